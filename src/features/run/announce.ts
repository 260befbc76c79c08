/** What the tab's title and a screen reader are told about a run. */
import type { Stage } from '../../../workers/contract/job.ts';
import { formatProgress } from '../../lib/format/numbers.ts';
import { stoppedSentence } from '../protocols/protocols.ts';
import { outputsSentence } from '../outputs/outputs.ts';
import { perplexitySentence, sizeSentence } from '../results/sentences.ts';
import { loadingToMeasure } from '../../store/live.ts';
import { figuresOf, isActive, type Run } from '../../store/run.ts';

const DOING: Record<Stage, string> = {
  open: 'Opening',
  quantize: 'Quantizing',
  measure: 'Measuring',
  check: 'Checking',
};

const doing = ({ live }: Run): string =>
  loadingToMeasure(live) ? 'Loading models to measure' : DOING[live.stage ?? 'open'];

export function title(run: Run | null): string {
  if (!run) return 'Nibble';
  if (isActive(run)) return `${formatProgress(run.progress?.share ?? 0)} ${doing(run).toLowerCase()} · Nibble`;
  return run.status === 'done' ? `${run.model.name} compared · Nibble` : 'Nibble';
}

/** Changes with the stage and not with every per cent, or a screen reader would never fall silent. */
export function announcement(run: Run | null): string {
  if (!run) return '';
  switch (run.status) {
    case 'running':
      return doing(run);
    case 'finishing':
      return 'Stopping, with what was measured';
    case 'cancelling':
      return 'Cancelling';
    case 'cancelled':
      return 'Comparison cancelled';
    case 'failed':
      return 'Comparison failed';
    case 'done': {
      const figures = figuresOf(run);
      const baseline = figures.find((figure) => figure.baseline);
      const levels = figures
        .filter((figure) => !figure.baseline)
        .flatMap((figure) => [
          sizeSentence(figure, baseline, run.model.bytes),
          perplexitySentence(figure, baseline) ?? outputsSentence(figure.outputs ?? []),
        ]);
      const { protocol } = run.report ?? {};
      return ['Comparison done.', protocol ? stoppedSentence(protocol) : null, ...levels]
        .filter((sentence) => sentence !== null)
        .join(' ');
    }
  }
}
