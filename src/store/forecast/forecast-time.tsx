/** How long the next comparison takes, with what that rests on. */
import { formatDuration, plural } from '../../lib/format/numbers.ts';
import { offered } from '../targets.ts';
import { useWorkbench } from '../use-workbench.ts';
import { Hint } from '../../ui/terms/term.tsx';
import { forecast } from './forecast.ts';
import { shapeOf } from './run-shape.ts';
import { stepsOf } from './steps.ts';

/** @param tokens Of the text. `data-seconds` and `data-basis` are for the benchmark of forecasts. */
export function ForecastTime({ tokens }: { tokens: number }) {
  const opened = useWorkbench((state) => state.opened);
  const all = useWorkbench((state) => state.levels);
  const offers = useWorkbench((state) => state.offers);
  const target = useWorkbench((state) => state.target);
  const plans = useWorkbench((state) => state.plans);
  const protocol = useWorkbench((state) => state.protocol);
  const extras = useWorkbench((state) => state.extras);
  const provider = useWorkbench((state) => state.provider);
  const capabilities = useWorkbench((state) => state.capabilities);
  const paces = useWorkbench((state) => state.paces);
  const levels = offered(all, offers, target);
  const shape = shapeOf({ opened, levels, plans, tokens, protocol, extras, provider, capabilities, paces });
  if (!shape) return null;
  const { seconds, extraSeconds, basis } = forecast(stepsOf(shape), paces, capabilities?.pace ?? null);
  const rests =
    basis === 'measured'
      ? 'Predicted from what was measured on this machine.'
      : 'Predicted from how fast this machine computes just now; measured with the first comparison.';
  const extra = extraSeconds >= 1 ? ` About ${formatDuration(extraSeconds)} of this is extra checks.` : '';
  return (
    <span data-seconds={seconds.toFixed(1)} data-basis={basis}>
      <Hint text={`${rests} ${plural(levels.length, 'level')}, fp16 included, run over the same tokens.${extra}`}>
        {seconds < 1 ? '' : 'about '}
        {formatDuration(seconds)}
      </Hint>
    </span>
  );
}
