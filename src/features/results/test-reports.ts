/** Reports as an engine would make them, with the numbers of real models, for tests and pictures. */
import type {
  Drift,
  DriftInWords,
  LevelReport,
  MeasuredMemory,
  OutputDrift,
  Passage,
  Report,
  RuntimeDrift,
  Speed,
  Spread,
  WorstToken,
} from '../../../workers/contract/report.ts';

const SETTINGS = { block: 32, asymmetric: false, head: 'quantize', embedding: false } as const;
const FILES = {
  fp16: { file: 'model_fp16.onnx', bytes: 11_733_455, weightBytes: 11_661_312 },
  int8: { file: 'model_int8.onnx', bytes: 8_417_920, weightBytes: 8_339_456 },
  int4: { file: 'model_q4.onnx', bytes: 5_548_295, weightBytes: 5_469_184 },
} as const;
type Id = keyof typeof FILES;

const drift = (lnRatio: number, kld: number, sameTop: number): Drift => ({
  lnRatio: { value: lnRatio, error: lnRatio / 14 },
  ratio: { value: Math.exp(lnRatio), error: lnRatio / 13 },
  correlation: 0.9996 - lnRatio / 20,
  kld: {
    mean: kld,
    error: kld / 90,
    median: kld / 1.7,
    p90: kld * 2.1,
    p95: kld * 2.9,
    p99: kld * 5.2,
    p999: kld * 11,
    max: kld * 23,
  },
  sameTop: { value: sameTop, error: 0.0021 },
  deltaP: {
    mean: -lnRatio / 9,
    rms: { value: kld, error: kld / 60 },
    p1: -0.21,
    p5: -0.07,
    median: -0.0003,
    p95: 0.04,
    p99: 0.12,
  },
});

const spread = (median: number, share = 0.06): Spread => ({
  median,
  low: median * (1 - share),
  high: median * (1 + 1.6 * share),
  runs: 5,
});

const memory = (weights: number, gpu: boolean): MeasuredMemory =>
  gpu
    ? { gpu: { steady: weights * 1.31, peak: weights * 1.72 }, heap: 29_360_128, predicted: weights * 1.26 }
    : { gpu: null, heap: weights * 2.45 + 17e6, predicted: weights * 2.3 + 16e6 };

function speedOf(id: Id): Speed[] {
  const factor = { fp16: 1, int8: 1.18, int4: 1.42 }[id];
  const { weightBytes } = FILES[id];
  return [
    {
      provider: 'wasm',
      threads: 4,
      load: spread(0.184 / factor),
      prefill: { tokens: 512, tokensPerSecond: spread(2912 * factor) },
      decode: { tokens: 64, tokensPerSecond: spread(141 * factor), cached: true },
      run: null,
      memory: memory(weightBytes, false),
      fallback: { nodes: 0, of: 214 },
      widened: false,
      problem: null,
    },
    {
      provider: 'webgpu',
      threads: 1,
      load: spread(0.611 / factor),
      prefill: { tokens: 512, tokensPerSecond: spread(9480 * factor, 0.11) },
      decode: { tokens: 64, tokensPerSecond: spread(188 * factor, 0.09), cached: true },
      run: null,
      memory: memory(weightBytes, true),
      fallback: { nodes: 6, of: 214 },
      widened: id === 'fp16',
      problem: null,
    },
  ];
}

const apart = (kld: number, exceeds: boolean, widened = false): RuntimeDrift => ({
  provider: 'webgpu',
  against: 'wasm',
  outputs: null,
  exceeds,
  widened,
  problem: null,
  distance: {
    tokens: 2040,
    kld: { value: kld, error: kld / 25, max: kld * 40 },
    sameTop: { value: exceeds ? 0.413 : 0.9976, error: exceeds ? 0.011 : 0.0011 },
    lnRatio: { value: exceeds ? 1.92 : 0.00004, error: exceeds ? 0.05 : 0.00006 },
  },
  partsAt: exceeds
    ? {
        node: '/model/layers.2/mlp/down_proj/MatMul_Q4',
        operator: 'MatMulNBits',
        tensor: '/model/layers.2/mlp/down_proj/MatMul/output_0',
        difference: 0.173,
        inputDifference: 0.0000021,
      }
    : null,
});

function languageLevel(id: Id): LevelReport {
  const figures = { fp16: null, int8: drift(0.00093, 0.00061, 0.9861), int4: drift(0.0871, 0.0862, 0.8412) }[id];
  return {
    id,
    level: id,
    baseline: id === 'fp16',
    settings: id === 'fp16' ? {} : SETTINGS,
    ...FILES[id],
    perplexity: {
      value: 56.67 * Math.exp(figures?.lnRatio.value ?? 0),
      error: 0.65,
      bitsPerByte: { value: 1.392 + (figures?.lnRatio.value ?? 0) / 3, error: 0.004 },
    },
    drift: figures,
    outputs: null,
    runtimeDrift: apart({ fp16: 0.0000031, int8: 0.0000044, int4: 0.0000036 }[id], false, id === 'fp16'),
    speed: speedOf(id),
    ledger: [],
  };
}

const TEXT =
  'Call me Ishmael . Some years ago — never mind how long precisely — having little or no money in my purse , and nothing particular to interest me on shore , I thought I would sail about a little and see the watery part of the world . It is a way I have of driving off the spleen and regulating the circulation . Whenever I find myself growing grim about the mouth ; whenever it is a damp , drizzly November in my soul ; whenever I find myself involuntarily pausing before coffin warehouses , and bringing up the rear of every funeral I meet ; and especially whenever my hypos get such an upper hand of me , that it requires a strong moral principle to prevent me from deliberately stepping into the street , and methodically knocking people ’ s hats off — then , I account it high time to get to sea as soon as I can .';
/** A text that would be markup, were it ever taken for such. */
const MARKUP = '<img src=x onerror=alert(1)>';

/** The same every time, between 0 and 1. */
const noise = (index: number, salt: number): number => {
  const wave = Math.sin(index * 12.9898 + salt * 78.233) * 43_758.5453;
  return wave - Math.floor(wave);
};

function passage(salt: number): Passage {
  const tokens = `${TEXT} ${salt === 0 ? MARKUP : TEXT}`.split(/(?= )/);
  const scoredFrom = 24;
  const scored = tokens.length - scoredFrom;
  const change = (size: number, level: number) =>
    Array.from(
      { length: scored },
      (_, index) => size * (noise(index, salt + level) ** 3 * 2.4 - noise(index, salt + level + 5) ** 4),
    );
  return {
    tokens,
    scoredFrom,
    baseline: Array.from({ length: scored }, (_, index) => 0.05 + 7.5 * noise(index, salt) ** 2),
    levels: [
      { level: 'int8', change: change(0.06, 1) },
      { level: 'int4', change: change(1.1, 2) },
    ],
  };
}

const worst: WorstToken[] = [
  ['in the morning , and the captain stood upon the', ' quarter', 0.412, ' deck', 0.21, 0.395, 0.061, ' deck', 0.44],
  ['there leaned the old man , with his ivory', ' leg', 0.874, ' leg', 0.874, 0.866, 0.209, ' hand', 0.33],
  ['The Congress of the United', ' States', 0.9989, ' States', 0.9989, 0.9988, 0.61, ' Nations', 0.18],
  ['and said , “ Have ye seen the White', ' Whale', 0.93, ' Whale', 0.93, 0.928, 0.31, ' House', 0.402],
  ['\n\n', 'Chapter', 0.27, 'It', 0.3, 0.266, 0.043, 'The', 0.29],
  [MARKUP, '<b>', 0.02, '\n', 0.2, 0.019, 0.0004, ' ', 0.31],
].map(([before, token, probability, guess, guessed, at8, at4, other, otherGuessed]): WorstToken => ({
  before: String(before),
  token: String(token),
  baseline: { probability: Number(probability), guess: { token: String(guess), probability: Number(guessed) } },
  levels: [
    {
      level: 'int8',
      probability: Number(at8),
      change: Math.log(Number(probability) / Number(at8)),
      guess: { token: String(guess), probability: Number(guessed) },
    },
    {
      level: 'int4',
      probability: Number(at4),
      change: Math.log(Number(probability) / Number(at4)),
      guess: { token: String(other), probability: Number(otherGuessed) },
    },
  ],
}));

const words: DriftInWords = { passages: [0, 1, 2, 3].map(passage), worst };

/** A language model, with everything measured and nothing wrong. */
export const languageReport: Report = {
  schema: 'nibble.report/1',
  model: {
    name: 'model_fp16.onnx',
    sha256: '0'.repeat(64),
    bytes: 11_733_455,
    parameters: 5_830_656,
    cacheBytesPerToken: 6144,
  },
  protocol: {
    name: 'llama.cpp',
    context: 512,
    tokens: 8160,
    chunks: 32,
    plannedChunks: 32,
    textTokens: 122_991,
    textBytes: 514_235,
    provider: 'wasm',
    threads: 4,
    text: 'held-out.txt',
  },
  backend: 'webgpu',
  levels: [languageLevel('fp16'), languageLevel('int8'), languageLevel('int4')],
  noiseFloor: {
    tokens: 2040,
    kld: { value: 0.0000042, error: 0.0000002, max: 0.00011 },
    sameTop: { value: 0.9981, error: 0.001 },
    lnRatio: { value: 0.00002, error: 0.00005 },
    reference: 'widened',
  },
  words,
  inputs: null,
  overflow: [],
  notes: [],
};

/** The same on an adapter that computes one operator wrongly. */
export const faultyReport: Report = {
  ...languageReport,
  levels: languageReport.levels.map((level) =>
    level.id === 'int4' ? { ...level, runtimeDrift: apart(2.31, true) } : level,
  ),
  overflow: [
    { node: '/model/layers.3/mlp/Mul', operator: 'Mul', tensor: '/model/layers.3/mlp/Mul_output_0', largest: 91_204 },
    { node: '/model/layers.5/mlp/Mul', operator: 'Mul', tensor: '/model/layers.5/mlp/Mul_output_0', largest: 204_771 },
  ],
};

const outputs = (sqnr: number, top1: number): OutputDrift[] => [
  {
    output: 'logits',
    shape: [1, 1000],
    cosine: 1 - 10 ** (-sqnr / 10) / 2,
    sqnr,
    maxError: 4.1 * 10 ** (-sqnr / 20),
    rms: 1.37,
    top1: { value: top1, error: Math.sqrt((top1 * (1 - top1)) / 7) },
    top5: { value: 1, error: 0 },
  },
  {
    output: 'embedding',
    shape: [1, 384],
    cosine: 1 - 10 ** (-(sqnr + 4) / 10) / 2,
    sqnr: sqnr + 4.2,
    maxError: 2.2 * 10 ** (-sqnr / 20),
    rms: 0.81,
    top1: null,
    top5: null,
  },
];

function imageLevel(id: Id, bytes: number, drifts: OutputDrift[] | null): LevelReport {
  return {
    id,
    level: id,
    baseline: id === 'fp16',
    settings: id === 'fp16' ? {} : SETTINGS,
    file: `mobilevit_${id}.onnx`,
    bytes,
    weightBytes: bytes - 60_000,
    perplexity: null,
    drift: null,
    outputs: drifts,
    runtimeDrift: {
      provider: 'webgpu',
      against: 'wasm',
      distance: null,
      exceeds: false,
      partsAt: null,
      widened: false,
      problem: null,
      outputs: outputs(71, 1),
    },
    speed: speedOf(id).map((line) => ({
      ...line,
      prefill: null,
      decode: null,
      run: spread(line.provider === 'wasm' ? 0.0412 : 0.0087),
      memory: line.memory && { ...line.memory },
    })),
    ledger: [],
  };
}

/** An image classifier with two outputs, on random inputs. */
export const imageReport: Report = {
  schema: 'nibble.report/1',
  model: {
    name: 'mobilevit.onnx',
    sha256: '1'.repeat(64),
    bytes: 11_402_112,
    parameters: 5_578_632,
    cacheBytesPerToken: null,
  },
  protocol: null,
  backend: 'wasm',
  levels: [
    imageLevel('fp16', 11_402_112, null),
    imageLevel('int8', 6_034_432, outputs(41.3, 1)),
    imageLevel('int4', 3_401_216, outputs(19.8, 0.875)),
  ],
  noiseFloor: null,
  words: null,
  overflow: null,
  inputs: {
    kind: 'random',
    seed: 1,
    samples: 8,
    inputs: [{ name: 'pixel_values', type: 'float32', shape: [1, 3, 256, 256], from: 'random' }],
    provider: 'wasm',
    threads: 4,
  },
  notes: [],
};
