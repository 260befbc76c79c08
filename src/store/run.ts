/** A comparison: the levels as they were when it started, and what came of it. */
import type {
  Drift,
  LevelReport,
  MemoryPrediction,
  OutputDrift,
  Perplexity,
  Report,
  RuntimeDrift,
  Speed,
} from '../../workers/contract/report.ts';
import type { EngineError } from '../../workers/contract/errors.ts';
import type { Extras, ProtocolRequest, Stage } from '../../workers/contract/job.ts';
import type { LedgerLine } from '../../workers/contract/level-plan.ts';
import type { ModelSummary } from '../../workers/contract/files.ts';
import type { Provider } from '../../workers/contract/capabilities.ts';
import type { Written } from '../../workers/contract/events.ts';
import type { Forecast } from './forecast/forecast.ts';
import { inputsProvenance } from '../features/outputs/outputs.ts';
import { PROTOCOLS, provenanceOf, unfinishedProvenance, type Provenance } from '../features/protocols/protocols.ts';
import { levelName, sameLevel } from '../../workers/contract/levels/words.ts';
import type { Level } from './levels.ts';
import type { Live } from './live.ts';

export interface Run {
  id: string;
  startedAt: number;
  endedAt: number | null;
  /** Of a run read back from the browser's storage: when it was kept, ISO 8601. */
  storedAt?: string;
  /** Of a stored result: whether what came along with the model was stored with it, none included. */
  companionsStored?: boolean;
  /** `finishing`: told to stop measuring and to keep what it has. */
  status: 'running' | 'finishing' | 'cancelling' | 'done' | 'cancelled' | 'failed';
  /** Snapshot: editing a level afterwards does not reach it. */
  levels: readonly Level[];
  model: Pick<ModelSummary, 'name' | 'cacheBytesPerToken' | 'baseline'> & Partial<Pick<ModelSummary, 'bytes'>>;
  /** What is run through the models: the text, or else inputs shaped from the graph or dropped. */
  subject: 'text' | 'inputs';
  /** What it was asked to measure by. */
  protocol: ProtocolRequest;
  /** What else it was asked to measure. */
  extras: Required<Extras>;
  /** Handles of its tokenizer and that one's configuration: with them, what it wrote can be continued later. */
  tokenizer: readonly File[];
  /** Handles of what goes along with its models: configuration, tokenizer, licence. */
  companions: readonly File[];
  live: Live;
  /** As it was when the run started; absent where nothing was predicted. */
  forecast?: Forecast | null;
  /** How far it is: a share of the whole, and seconds left where they were predicted. */
  progress?: { share: number; secondsLeft: number | null };
  report: Report | null;
  error: EngineError | null;
}

/** What is known of one level of a run, finished or not. */
export interface Figure {
  level: Level;
  name: string;
  baseline: boolean;
  bytes: number | null;
  weightBytes: number | null;
  perplexity: Perplexity | null;
  /** What perplexity is the inverse mean probability of. */
  unit: 'token' | 'word';
  drift: Drift | null;
  /** Figures that the report holds by the metric's id. */
  figures?: LevelReport['figures'] | undefined;
  /** Of each output, where inputs and not a text were run; null for the baseline. */
  outputs: readonly OutputDrift[] | null;
  runtimeDrift: RuntimeDrift | null;
  /** A line a provider. */
  speed: readonly Speed[];
  /** The level as the report's other parts call it; null without a report. */
  reported: string | null;
  /** False while the figures still move. */
  final: boolean;
  file: string | null;
  blob: Blob | null;
  /** The folder of the person's own it was written to; null when it is to be downloaded. */
  folder: string | null;
  /** The second file of a model too large for one. */
  data: NonNullable<Written['data']> | null;
  ledger: readonly LedgerLine[];
  /** Predicted, by provider. */
  memory?: Record<Provider, MemoryPrediction> | null;
  /** The level, as the report calls it, whose file has the same content, and whose figures these are. */
  sameFileAs?: string | null;
}

/** What is known of each level: from the report's line that answers it, else from events. */
export function figuresOf(run: Run): Figure[] {
  const lines = new Map((run.report?.levels ?? []).map((line) => [line.key, line]));
  return run.levels.map((level) => {
    const line = lines.get(level.uid);
    const row = run.live.rows.get(level.uid);
    return {
      level,
      name: levelName(level),
      baseline: level.id === 'fp16',
      bytes: line?.bytes ?? row?.written?.bytes ?? null,
      weightBytes: line?.weightBytes ?? row?.written?.weightBytes ?? null,
      perplexity: line?.perplexity ?? row?.measured?.perplexity ?? null,
      unit: run.report?.protocol?.unit ?? PROTOCOLS[run.protocol.name].unit,
      drift: line?.drift ?? row?.measured?.drift ?? null,
      figures: line?.figures,
      outputs: line?.outputs ?? null,
      runtimeDrift: line?.runtimeDrift ?? null,
      speed: line?.speed ?? [],
      reported: line?.level ?? null,
      final: line !== undefined || row?.measured?.final === true,
      file: line?.file ?? row?.written?.file ?? null,
      blob: row?.written?.blob ?? null,
      folder: row?.written?.folder ?? null,
      data: row?.written?.data ?? null,
      ledger: line?.ledger ?? [],
      memory: line?.memory ?? row?.written?.memory ?? null,
      sameFileAs: line?.sameFileAs ?? null,
    };
  });
}

/** The level, as the report calls it, that the figures were measured of: that of the same file where there are several. */
export const measuredAs = ({ reported, sameFileAs }: Pick<Figure, 'reported' | 'sameFileAs'>): string | null =>
  sameFileAs ?? reported;

/** How the level that made a result stands to the levels selected now. */
export function staleness(level: Level, now: readonly Level[]): 'current' | 'changed' | 'removed' {
  const present = now.find(({ uid }) => uid === level.uid);
  if (!present) return 'removed';
  return sameLevel(present, level) ? 'current' : 'changed';
}

export const isActive = (run: Run | null): boolean =>
  run?.status === 'running' || run?.status === 'finishing' || run?.status === 'cancelling';

/** The stages a run goes through, in order. */
export function stagesOf({ extras, live }: Pick<Run, 'extras' | 'live'>): Stage[] {
  const checks = extras.runtimeDrift || extras.speed || live.stage === 'check';
  return ['open', 'quantize', 'measure', ...(checks ? ['check' as const] : [])];
}

/** Levels that could not be made after all. */
export const skippedIn = ({ live }: Pick<Run, 'live'>): number =>
  [...live.rows.values()].filter(({ skipped }) => skipped !== null).length;

/** How a run's figures are or were measured; null when there are none. */
export function provenance(run: Run): Provenance | null {
  const { report } = run;
  if (report?.protocol) return provenanceOf(report.protocol);
  if (report) return report.inputs ? inputsProvenance(report.inputs) : null;
  return run.subject === 'text' ? unfinishedProvenance(run.protocol, isActive(run)) : null;
}

/** Whether a run that did not finish has anything to show. */
export const hasFindings = (run: Run): boolean =>
  [...run.live.rows.values()].some((row) => row.written !== null || row.measured !== null);

/** `nibble-model_fp16.json` */
export function reportFileName(modelName: string): string {
  const stem = modelName
    .replace(/\.onnx$/i, '')
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[.-]+|-+$/g, '');
  return stem ? `nibble-${stem}.json` : 'nibble-report.json';
}
