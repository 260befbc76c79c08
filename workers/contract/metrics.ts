/**
 * The figures of a comparison, one row each. The tables of the command line and the page, charts, the CSV, the card for
 * the Hub, the glossary and the schema of the report iterate over these rows.
 */
import type { Drift, Estimate, OutputDrift, Perplexity, Speed, Spread } from './measurements.ts';

/** A figure: with its standard error, with the extremes of several runs, or alone. Null where it was not measured. */
export type Reading = number | Estimate | Spread | null;

/** What level metrics are read from: a line of a report, or the figures of a level that is still being measured. */
export interface MeasuredLevel {
  baseline: boolean;
  bytes: number | null;
  weightBytes: number | null;
  perplexity: Perplexity | null;
  drift: Drift | null;
  /** Figures that nothing else holds, by id of the metric. */
  figures?: Readonly<Record<string, number | Estimate>> | undefined;
}

/** How a figure is written: each place has its own way for each of these. */
export type Format =
  | 'bytes'
  | 'plain'
  | 'estimate'
  /** A share, as per cent. */
  | 'share'
  /** A logarithm of a ratio, as the change in per cent. */
  | 'change'
  | 'correlation'
  /** A difference of probabilities, in percentage points. */
  | 'points'
  /** Null means that nothing differs. */
  | 'decibels'
  | 'seconds'
  /** Tokens a second. */
  | 'rate';

/** How a figure appears in one place. */
export interface Place {
  /** Head of its column; the label when absent. */
  heading?: string;
  /** Digits behind the point, in places that do not derive them from the error. */
  decimals?: number;
  /** Significant digits, in place of `decimals`. */
  significant?: number;
}

/** A chart of a figure, a bar or a dot for each level. */
export interface MetricChart {
  title: string;
  /** Name of the chart for screen readers. */
  name: string;
  about: string;
  /** `zero`: bars from 0. `free`: dots on an axis that need not start at zero. */
  axis: 'zero' | 'free';
  /** The largest value there can be. */
  limit?: number;
  /** What the baseline is drawn at; as it was measured when absent, and not at all when null. */
  baselineAt?: number | null;
}

interface Described {
  /** Head of its column on the page. */
  label: string;
  /** Empty where the value has none. */
  unit: string;
  /** One sentence: what it says, and which way is better. */
  meaning: string;
  better: 'lower' | 'higher' | null;
  format: Format;
  /** Column of the command line's table; absent for none. */
  terminal?: Place;
  /** Column of the table in the card for the Hub; absent for none. */
  card?: Place;
  /** Column of the page's table of figures; absent for none. */
  page?: Place;
  chart?: MetricChart;
}

/** A figure of a level. */
export interface LevelMetric extends Described {
  of: 'file' | 'text';
  /** Absent for a figure that is kept in the report's `figures`. */
  read?(level: MeasuredLevel): Reading;
  /** Against the baseline, for which it means nothing. */
  paired?: true;
  /** Measured by protocols of this unit only. */
  by?: 'token' | 'word';
  /** Row of the page's table of all statistics; absent for none. */
  statistic?: { group: string; label: string };
  /** Shown only where at least one level has it. */
  sometimes?: true;
}

/** A figure of each output of a level; that of the level is the worst of its outputs. */
export interface OutputMetric extends Described {
  of: 'outputs';
  read(output: OutputDrift): Reading;
  /** Shown only where at least one output has it. */
  sometimes?: true;
}

/** A figure of a level on one provider. */
export interface SpeedMetric extends Described {
  of: 'speed';
  read(speed: Speed): Reading;
  /** Models or the provider that have it; all when absent. */
  when?: 'language' | 'other' | 'webgpu';
  /** What the command line writes behind the figure: ` at 256`. */
  remark?(speed: Speed): string;
  /** How it is measured, in words. */
  about?(speed: Speed, count: (count: number) => string): string;
  /** The figure in words, where it is not a number alone; null where it was not measured. */
  text?(speed: Speed, count: (count: number) => string): string | null;
}

/** A row of the table. */
export type Metric = LevelMetric | OutputMetric | SpeedMetric;

const PERCENTILE = 'That share of the tokens lies below it: how bad it gets for the tokens hit hardest.';
const MEDIAN = 'Half of the runs or tokens lie below it: what is typical, whatever the extremes do.';
const LOW = 'That share of the tokens, the ones hit hardest, lies below it.';
const HIGH = 'That share of the tokens lies below it; the rest gained more.';

const KLD = 'KL divergence from fp16';
const DELTA_P = 'Change in probability of the right token';
const TOP = 'Most likely token';

/** A row of the statistics of KL divergence. */
const kld = (label: string, meaning: string, of: (kld: Drift['kld']) => number): LevelMetric => ({
  of: 'text',
  label: `KL divergence, ${label.toLowerCase()}`,
  unit: 'nats',
  meaning,
  better: 'lower',
  format: 'plain',
  paired: true,
  read: ({ drift }) => drift && of(drift.kld),
  statistic: { group: KLD, label },
});

/** A row of the statistics of the change in probability. */
const deltaP = (label: string, meaning: string, of: (change: Drift['deltaP']) => Reading): LevelMetric => ({
  of: 'text',
  label: `Change in probability, ${label.toLowerCase()}`,
  unit: 'percentage points',
  meaning,
  better: null,
  format: 'points',
  paired: true,
  read: ({ drift }) => drift && of(drift.deltaP),
  statistic: { group: DELTA_P, label },
});

const meanKld = ({ drift }: MeasuredLevel): Reading => drift && { value: drift.kld.mean, error: drift.kld.error };

const PERPLEXITY_CHART = {
  about:
    'Lower is better; the axis does not start at zero. Whiskers: one standard error of each level alone. The change between levels is known far better.',
  axis: 'free',
} as const;

/** All metrics, in the order in which tables have them. */
export const METRICS = {
  bytes: {
    of: 'file',
    label: 'File',
    unit: 'bytes',
    meaning: 'All that was written: the model and the file beside it, if there is one.',
    better: 'lower',
    format: 'bytes',
    read: ({ bytes }) => bytes,
    terminal: { heading: 'bytes' },
    card: { heading: 'size' },
    page: {},
    chart: { title: 'File size', name: 'File size', about: 'Bytes on disk and over the wire.', axis: 'zero' },
  },
  weightBytes: {
    of: 'file',
    label: 'Weights',
    unit: 'bytes',
    meaning: 'What of the file is weights, with their scales and zero points.',
    better: 'lower',
    format: 'bytes',
    read: ({ weightBytes }) => weightBytes,
    terminal: {},
    page: {},
  },
  perplexity: {
    of: 'text',
    by: 'token',
    label: 'Perplexity',
    unit: '',
    meaning: 'How surprised the model is by the text: lower is better, and fp16 is the baseline.',
    better: 'lower',
    format: 'estimate',
    read: ({ perplexity }) => perplexity,
    terminal: { decimals: 4 },
    card: { decimals: 3 },
    page: {},
    statistic: { group: 'Perplexity', label: 'Perplexity' },
    chart: { ...PERPLEXITY_CHART, title: 'Perplexity', name: 'Perplexity' },
  },
  wordPerplexity: {
    of: 'text',
    by: 'word',
    label: 'Word perplexity',
    unit: '',
    meaning:
      'How surprised the model is by a word, all its tokens together: lower is better, and many times as large as by token.',
    better: 'lower',
    format: 'estimate',
    read: ({ perplexity }) => perplexity,
    terminal: { decimals: 4 },
    card: { decimals: 3 },
    page: {},
    statistic: { group: 'Perplexity', label: 'Word perplexity' },
    chart: { ...PERPLEXITY_CHART, title: 'Word perplexity', name: 'Word perplexity' },
  },
  bitsPerByte: {
    of: 'text',
    label: 'Bits per byte',
    unit: 'bits',
    meaning:
      'How many bits a compressor that uses the model would need for a byte of the text: lower is better, and comparable between tokenizers.',
    better: 'lower',
    format: 'estimate',
    read: ({ perplexity }) => perplexity?.bitsPerByte ?? null,
    terminal: { decimals: 4 },
    statistic: { group: 'Perplexity', label: 'Bits per byte' },
  },
  bytePerplexity: {
    of: 'text',
    label: 'Byte perplexity',
    unit: '',
    meaning: 'How surprised the model is by a byte of the text: 2 to the power of bits per byte.',
    better: 'lower',
    format: 'estimate',
    read: ({ perplexity }) => perplexity?.bytePerplexity ?? null,
    sometimes: true,
    statistic: { group: 'Perplexity', label: 'Byte perplexity' },
  },
  ratio: {
    of: 'text',
    label: 'Ratio to fp16',
    unit: '',
    meaning: 'The level’s perplexity over the baseline’s, on the same tokens: 1 means no loss.',
    better: 'lower',
    format: 'estimate',
    paired: true,
    read: ({ drift }) => drift?.ratio ?? null,
    terminal: { heading: 'ratio', decimals: 5 },
    statistic: { group: 'Perplexity', label: 'Ratio to fp16' },
  },
  lnRatio: {
    of: 'text',
    label: 'ln of the ratio to fp16',
    unit: 'nats',
    meaning:
      'Logarithm of the level’s perplexity over the baseline’s, on the same tokens: 0 means no loss, and its error is far smaller than that of either.',
    better: 'lower',
    format: 'estimate',
    paired: true,
    read: ({ drift }) => drift && drift.lnRatio,
    terminal: { heading: 'ln ratio', decimals: 5 },
    statistic: { group: 'Perplexity', label: 'ln of the ratio to fp16' },
  },
  change: {
    of: 'text',
    label: 'Change',
    unit: 'nats',
    meaning: 'How much larger the level’s perplexity is than the baseline’s, on the same tokens.',
    better: 'lower',
    format: 'change',
    paired: true,
    read: ({ drift }) => drift && drift.lnRatio,
    page: {},
  },
  correlation: {
    of: 'text',
    label: 'Correlation with fp16',
    unit: '',
    meaning: 'How closely level and baseline find the same tokens hard: 1 means in lockstep.',
    better: 'higher',
    format: 'correlation',
    paired: true,
    read: ({ drift }) => drift && drift.correlation,
    statistic: { group: 'Perplexity', label: 'Correlation with fp16' },
  },
  kld: {
    of: 'text',
    label: 'KL divergence',
    unit: 'nats',
    meaning:
      'KL divergence: how far the level’s predictions are from the baseline’s, per token, in nats; 0 means identical.',
    better: 'lower',
    format: 'estimate',
    paired: true,
    read: meanKld,
    terminal: { decimals: 6 },
    card: { significant: 3 },
    page: {},
    statistic: { group: KLD, label: 'Mean' },
    chart: {
      title: KLD,
      name: 'KL divergence from fp16, nats per token',
      about: 'Nats per token, mean and one standard error; 0 is identical.',
      axis: 'zero',
      baselineAt: 0,
    },
  },
  kldMedian: kld('Median', MEDIAN, ({ median }) => median),
  kldP90: kld('90th percentile', PERCENTILE, ({ p90 }) => p90),
  kldP95: kld('95th percentile', PERCENTILE, ({ p95 }) => p95),
  kldP99: { ...kld('99th percentile', PERCENTILE, ({ p99 }) => p99), page: { heading: 'its 99th percentile' } },
  kldP999: kld('99.9th percentile', PERCENTILE, ({ p999 }) => p999),
  kldMax: kld(
    'Maximum',
    'The one token on which the level’s predictions are farthest from the baseline’s.',
    ({ max }) => max,
  ),
  sameTop: {
    of: 'text',
    label: 'Same top token',
    unit: '',
    meaning: 'How often the level’s most likely next token is the one the baseline would choose.',
    better: 'higher',
    format: 'share',
    paired: true,
    read: ({ drift }) => drift && drift.sameTop,
    terminal: { heading: 'same top', decimals: 2 },
    card: { decimals: 2 },
    page: {},
    statistic: { group: TOP, label: 'Same top token' },
    chart: {
      title: 'Same top token',
      name: 'Same top token as fp16',
      about: 'Share of tokens; the axis does not start at zero.',
      axis: 'free',
      limit: 1,
      baselineAt: 1,
    },
  },
  deltaP: deltaP(
    'Mean',
    'How much more probability the level gives the token that really comes next than the baseline does: below 0 it has become worse at guessing.',
    ({ mean }) => mean,
  ),
  deltaPRms: deltaP(
    'Root mean square',
    'How far that probability is typically moved, in either direction.',
    ({ rms }) => rms,
  ),
  deltaP1: deltaP('1st percentile', LOW, ({ p1 }) => p1),
  deltaP5: deltaP('5th percentile', LOW, ({ p5 }) => p5),
  deltaPMedian: deltaP('Median', MEDIAN, ({ median }) => median),
  deltaP95: deltaP('95th percentile', HIGH, ({ p95 }) => p95),
  deltaP99: deltaP('99th percentile', HIGH, ({ p99 }) => p99),
  sqnr: {
    of: 'outputs',
    label: 'Signal-to-noise ratio',
    unit: 'dB',
    meaning:
      'Signal-to-quantization-noise ratio, in decibels: how much stronger the output is than its error; higher is better, and 20 dB more is a ten times smaller error.',
    better: 'higher',
    format: 'decibels',
    read: ({ sqnr }) => sqnr,
    terminal: { heading: 'SQNR', decimals: 2 },
    card: { heading: 'worst output: SQNR', decimals: 1 },
    page: { heading: 'Signal-to-noise ratio, of the output that drifted most' },
    chart: {
      title: 'Signal-to-noise ratio',
      name: 'Signal-to-noise ratio, decibels',
      about: 'Decibels, of the output that drifted most; higher is better.',
      axis: 'zero',
      baselineAt: null,
    },
  },
  cosine: {
    of: 'outputs',
    label: 'Cosine',
    unit: '',
    meaning: 'Cosine of the angle between the level’s output and the baseline’s: 1 means the same direction.',
    better: 'higher',
    format: 'correlation',
    read: ({ cosine }) => cosine,
    terminal: { decimals: 6 },
    card: { decimals: 6 },
  },
  maxError: {
    of: 'outputs',
    label: 'Largest difference',
    unit: '',
    meaning:
      'The largest difference of any one number of the output, to be read with the output’s own size (Output RMS).',
    better: 'lower',
    format: 'plain',
    read: ({ maxError }) => maxError,
    terminal: { heading: 'largest error', significant: 4 },
  },
  outputRms: {
    of: 'outputs',
    label: 'Output RMS',
    unit: '',
    meaning: 'Root mean square of the baseline’s output: how large its numbers are.',
    better: null,
    format: 'plain',
    read: ({ rms }) => rms,
    terminal: { heading: 'RMS', significant: 4 },
  },
  top1: {
    of: 'outputs',
    label: 'Same top class',
    unit: '',
    meaning: 'How often the class with the highest score is the same as at the baseline.',
    better: 'higher',
    format: 'share',
    read: ({ top1 }) => top1,
    sometimes: true,
    terminal: { heading: 'top 1', decimals: 2 },
    chart: {
      title: 'Same top class',
      name: 'Same top class as fp16',
      about: 'Share of rows of scores, errors over inputs; the axis does not start at zero.',
      axis: 'free',
      limit: 1,
      baselineAt: 1,
    },
  },
  top5: {
    of: 'outputs',
    label: 'In the top 5',
    unit: '',
    meaning: 'How often the baseline’s class is among the level’s five highest scores.',
    better: 'higher',
    format: 'share',
    read: ({ top5 }) => top5,
    sometimes: true,
    terminal: { heading: 'top 5', decimals: 2 },
  },
  equalValues: {
    of: 'outputs',
    label: 'Same values',
    unit: '',
    meaning: 'How many of the whole numbers in the output are exactly the same.',
    better: 'higher',
    format: 'share',
    read: ({ equal }) => equal ?? null,
    sometimes: true,
    terminal: { heading: 'equal', decimals: 2 },
  },
  loadTime: {
    of: 'speed',
    label: 'Load',
    unit: 's',
    meaning: 'Seconds from the file in memory to a model that can run.',
    better: 'lower',
    format: 'seconds',
    read: ({ load }) => load,
    about: () => 'from bytes in memory to a session that can run',
    terminal: { heading: 'load, s' },
    page: {},
  },
  prefill: {
    of: 'speed',
    label: 'Prefill',
    unit: 'tokens/s',
    meaning: 'Reading the prompt: many tokens at once, as when a text is given to the model.',
    better: 'higher',
    format: 'rate',
    read: ({ prefill }) => prefill && prefill.tokensPerSecond,
    when: 'language',
    about: ({ prefill }, count) => `${count(prefill?.tokens ?? 0)} tokens at once`,
    remark: ({ prefill }) => (prefill ? ` at ${prefill.tokens}` : ''),
    terminal: { heading: 'prefill, tokens/s' },
    page: {},
  },
  decode: {
    of: 'speed',
    label: 'Decode',
    unit: 'tokens/s',
    meaning: 'Writing the answer: one token after the other, as when the model talks.',
    better: 'higher',
    format: 'rate',
    read: ({ decode }) => decode && decode.tokensPerSecond,
    when: 'language',
    about: ({ decode }, count) =>
      `${count(decode?.tokens ?? 0)} tokens one after the other, KV cache ${decode?.cached ? 'used' : 'not used'}`,
    remark: ({ decode }) => (decode && !decode.cached ? ' without cache' : ''),
    terminal: { heading: 'decode, tokens/s' },
    page: {},
  },
  runTime: {
    of: 'speed',
    label: 'One run',
    unit: 's',
    meaning: 'Seconds that one run of the model takes.',
    better: 'lower',
    format: 'seconds',
    read: ({ run }) => run,
    when: 'other',
    about: () => 'one run',
    terminal: { heading: 'one run, s' },
    page: {},
  },
  heap: {
    of: 'speed',
    label: 'Heap',
    unit: 'bytes',
    meaning:
      'The WebAssembly heap at its largest: it holds weights and everything computed from them, and never shrinks.',
    better: 'lower',
    format: 'bytes',
    read: ({ memory }) => memory && memory.heap,
    terminal: { heading: 'heap, MB' },
    page: {},
  },
  steady: {
    of: 'speed',
    label: 'GPU, steady',
    unit: 'bytes',
    meaning: 'Memory held once the model is loaded and has run; the peak is the most it ever held.',
    better: 'lower',
    format: 'bytes',
    read: ({ memory }) => memory?.gpu?.steady ?? null,
    when: 'webgpu',
    terminal: { heading: 'GPU, MB' },
    page: {},
  },
  peak: {
    of: 'speed',
    label: 'GPU, peak',
    unit: 'bytes',
    meaning: 'The most memory of the GPU that the model ever held.',
    better: 'lower',
    format: 'bytes',
    read: ({ memory }) => memory?.gpu?.peak ?? null,
    when: 'webgpu',
    terminal: { heading: 'GPU peak, MB' },
    page: {},
  },
  predictedMemory: {
    of: 'speed',
    label: 'Predicted',
    unit: 'bytes',
    meaning: 'What was said before anything ran, from the file’s weights and what running them takes.',
    better: null,
    format: 'bytes',
    read: ({ memory }) => memory && memory.predicted,
    terminal: { heading: 'predicted, MB' },
    page: {},
  },
  fallback: {
    of: 'speed',
    label: 'Nodes elsewhere',
    unit: 'nodes',
    meaning: 'Steps of the model that this provider cannot run, so that another one does, with copies to and fro.',
    better: 'lower',
    format: 'plain',
    read: ({ fallback }) => fallback && fallback.nodes,
    text: ({ fallback }, count) =>
      fallback && `${count(fallback.nodes)} of ${count(fallback.of)} node${fallback.of === 1 ? '' : 's'}`,
    terminal: { heading: 'fallback' },
    page: {},
  },
} as const satisfies Record<string, Metric>;

/** Id of a metric. */
export type MetricId = keyof typeof METRICS;
