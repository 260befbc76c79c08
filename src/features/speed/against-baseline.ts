/** How fast a level is beside fp16 on the same provider, said only where runs show a difference. Pure. */
import type { Provider } from '../../../workers/contract/capabilities.ts';
import type { Speed, Spread } from '../../../workers/contract/report.ts';
import { PROVIDERS } from '../runtimes/drifts.ts';
import type { Figure } from '../../store/run.ts';

export interface SpeedChange {
  provider: Provider;
  /** What was timed: tokens written one by one, or runs of a model that is no language model. */
  of: 'decode' | 'run';
  /** More than 1: so many times as fast as fp16. Null where the runs of both overlap: no difference was seen. */
  times: number | null;
}

/** Less than this is not worth a word, whatever the runs say. */
const WORTH = 1.1;

/** Of one level on each provider that both were timed on. */
export function speedChanges(
  { baseline, sameFileAs, speed }: Pick<Figure, 'baseline' | 'sameFileAs' | 'speed'>,
  fp16: Pick<Figure, 'name' | 'speed'> | undefined,
): SpeedChange[] {
  if (baseline || !fp16 || sameFileAs === 'fp16') return [];
  return speed.flatMap((line): SpeedChange[] => {
    const against = fp16.speed.find(({ provider }) => provider === line.provider);
    return against ? changeOf(line, against) : [];
  });
}

function changeOf(line: Speed, against: Speed): SpeedChange[] {
  const { provider } = line;
  if (line.decode && against.decode)
    return [
      { provider, of: 'decode', times: timesAsFast(line.decode.tokensPerSecond, against.decode.tokensPerSecond) },
    ];
  // Seconds: less is faster.
  return line.run && against.run ? [{ provider, of: 'run', times: timesAsFast(against.run, line.run) }] : [];
}

/** Null where the extremes of the two overlap. */
function timesAsFast(rate: Spread, against: Spread): number | null {
  return rate.low > against.high || rate.high < against.low ? rate.median / against.median : null;
}

/** `7.3`, `12` */
const written = (times: number): string => (times >= 9.95 ? times.toFixed(0) : times.toFixed(1));

/** `7.3× slower than fp16`; `as fast as fp16` where no difference was seen. */
export function changeInWords({ times }: SpeedChange): string {
  if (times === null || (times < WORTH && times > 1 / WORTH)) return 'as fast as fp16';
  return times > 1 ? `${written(times)}× faster than fp16` : `${written(1 / times)}× slower than fp16`;
}

/** `Decoding is 7.3× slower than fp16 on WASM here.` Null where nothing was seen to be different. */
export function speedSentence(figure: Figure, fp16: Figure | undefined): string | null {
  const seen = speedChanges(figure, fp16).filter(
    ({ times }) => times !== null && (times >= WORTH || times <= 1 / WORTH),
  );
  const [first] = seen;
  if (!first) return null;
  return `${first.of === 'decode' ? 'Decoding' : 'One run'} is ${seen.map((change) => `${changeInWords(change)} on ${PROVIDERS[change.provider]}`).join(' and ')} here.`;
}
