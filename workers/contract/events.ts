/** What the engine tells while it works. */
import type { Provider } from './capabilities.ts';
import type { EngineError } from './errors.ts';
import type { Stage } from './job.ts';
import type { DataFile } from './level-plan.ts';
import type { Drift, MemoryPrediction, Perplexity } from './report.ts';

export interface Progress {
  type: 'progress';
  stage: Stage;
  /** Null while the stage works for all levels at once. */
  level: string | null;
  done: number;
  total: number;
  unit: 'bytes' | 'tokens' | 'runs';
  /** Name of the tensor in hand. */
  tensor: string | null;
  /** Null until there is enough to tell. */
  secondsLeft: number | null;
}

/** A level's file is finished and can be downloaded. */
export interface Written {
  type: 'written';
  level: string;
  /** Its name; in a folder that held another file of it, one of its own. */
  file: string;
  blob: Blob;
  /** Name of the folder it was written to, if a person has chosen one. */
  folder?: string;
  /** Of both files. */
  bytes: number;
  /** The second file of a model too large for one; it has to lie beside the first under this name. */
  data?: DataFile & { blob: Blob };
  weightBytes: number;
  /** As in the report. */
  memory?: Record<Provider, MemoryPrediction>;
}

/** Running figures; `final` when the text is through. */
export interface Measured {
  type: 'measured';
  level: string;
  tokens: number;
  perplexity: Perplexity;
  drift: Drift | null;
  final: boolean;
}

export interface Warning {
  type: 'warning';
  error: EngineError;
  /** Key of the level that is skipped because of it; absent for other warnings. */
  level?: string;
}

/** Steps of a job whose times are predicted. `start` is the start of a runtime in a worker of its own. */
export type TimedStep =
  'open' | 'quantize' | 'start' | 'tokenize' | 'load' | 'run' | 'overflow' | 'runtime-drift' | 'speed';

/** What a step took. Sent when the step has ended, and about once a second for `run`, where amounts and times add up. */
export interface Timing {
  type: 'timing';
  step: TimedStep;
  /** Null for a step that serves all levels, and for the float32 model that the noise floor is measured against. */
  level: string | null;
  /** Null where no model is run. */
  provider: Provider | null;
  /** Bytes that were read, written, tokenized or loaded; tokens that were run; 1 for the other steps. */
  amount: number;
  seconds: number;
}

export type EngineEvent = Progress | Written | Measured | Warning | Timing;
