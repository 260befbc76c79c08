/**
 * How far a level's outputs are from the baseline's, over samples that come one after the other: sums in float64, and
 * nothing is kept of a sample.
 */
import { fromFloat16Bits } from '../onnx/float16.ts';
import type { Estimate, OutputDrift } from '../protocol.ts';
import type { HostTensor } from './graph-session.ts';
import type { ValueInfo } from './inputs.ts';

/** Element types that can be compared, by onnxruntime's names. */
const FLOATS = ['float32', 'float16', 'float64'];
const WHOLE = ['int64', 'uint64', 'int32', 'uint32', 'int16', 'uint16', 'int8', 'uint8', 'bool'];

export const isComparable = ({ isTensor, type }: ValueInfo): boolean => isTensor && (FLOATS.includes(type ?? '') || WHOLE.includes(type ?? ''));

/** Top-5 agreement says nothing of five classes or fewer: it is always whole. */
const TOP = 5;
/** What the ratio is taken to be where the baseline is zero everywhere and the level is not, dB. */
const LOWEST_SQNR = -300;

const SCORES = /logit|prob|score|softmax|class/;
/** Outputs of rank 2 whose columns are no classes. */
const NO_SCORES = /embed|hidden|pool|feature|state|box|point|coord|mask|token|value|key/;

/**
 * Whether the last dimension looks like one of class scores: floats, two or more of them a row, and either a name with
 * `logit`, `prob`, `score`, `softmax` or `class` in it, or rank 2 (batch × classes) with a name that says nothing else.
 */
export function looksLikeScores(name: string, type: string, dims: readonly number[]): boolean {
  if (!FLOATS.includes(type) || dims.length < 2 || (dims.at(-1) ?? 0) < 2) return false;
  const lower = name.toLowerCase();
  return SCORES.test(lower) || (dims.length === 2 && !NO_SCORES.test(lower));
}

export interface OutputTally {
  /** One sample of both. Where the shapes differ nothing is compared. */
  add(baseline: HostTensor, level: HostTensor): void;
  /** Null while no value could be compared. */
  drift(): OutputDrift | null;
  /** What the figures leave out, as sentences without a subject; empty when nothing. */
  leftOut(): string[];
}

/**
 * Cosine of the angle between the outputs of all samples as one vector; 10·log10(Σ base² ⁄ Σ (level − base)²), the
 * signal-to-quantization-noise ratio, null where nothing differs; the largest difference; the baseline's RMS.
 * A value that is not finite in either counts only when it is the same in both, and then not in the sums.
 */
export function tallyOutput(output: string): OutputTally {
  let shape: number[] | null = null;
  let samples = 0;
  let otherShape = 0;
  let values = 0;
  let compared = 0;
  let notFinite = 0;
  let product = 0;
  let baseSquares = 0;
  let levelSquares = 0;
  let noise = 0;
  let maxError = 0;
  let whole = true;
  let equal = 0;
  const top = { rows: 0, same: 0, amongFive: 0, classes: 0 };

  return {
    add(baseline, level) {
      samples++;
      if (!sameShape(baseline.dims, level.dims)) {
        otherShape++;
        return;
      }
      shape ??= [...baseline.dims];
      whole = WHOLE.includes(baseline.type);
      const base = reader(baseline);
      const other = reader(level);
      const length = baseline.data.length;
      values += length;
      for (let index = 0; index < length; index++) {
        const expected = base(index);
        const actual = other(index);
        if (Object.is(expected, actual) || expected === actual) equal++;
        if (!Number.isFinite(expected) || !Number.isFinite(actual)) {
          if (!Object.is(expected, actual)) notFinite++;
          continue;
        }
        compared++;
        const difference = Math.abs(actual - expected);
        product += expected * actual;
        baseSquares += expected * expected;
        levelSquares += actual * actual;
        noise += difference * difference;
        if (difference > maxError) maxError = difference;
      }
      if (looksLikeScores(output, baseline.type, baseline.dims)) addRows(top, base, other, length, baseline.dims.at(-1) ?? 0);
    },
    drift() {
      if (shape === null || compared === 0) return null;
      return {
        output, shape,
        cosine: noise === 0 ? 1 : cosineOf(product, baseSquares, levelSquares),
        sqnr: noise === 0 ? null : Math.max(LOWEST_SQNR, 10 * Math.log10(baseSquares / noise)),
        maxError,
        rms: Math.sqrt(baseSquares / compared),
        top1: top.rows > 0 ? share(top.same, top.rows) : null,
        top5: top.rows > 0 && top.classes > TOP ? share(top.amongFive, top.rows) : null,
        equal: whole ? share(equal, values) : null,
      };
    },
    leftOut() {
      return [
        ...(otherShape > 0 ? [`has another shape than the baseline's in ${otherShape} of ${samples} samples, which are not compared`] : []),
        ...(notFinite > 0 ? [`has ${notFinite.toLocaleString('en')} of ${values.toLocaleString('en')} values that are not finite numbers here or at the baseline; they are left out`] : []),
        ...(shape !== null && compared === 0 && notFinite === 0 ? ['has no finite value to compare'] : []),
      ];
    },
  };
}

function cosineOf(product: number, baseSquares: number, levelSquares: number): number {
  const lengths = Math.sqrt(baseSquares) * Math.sqrt(levelSquares);
  return lengths === 0 ? 0 : Math.max(-1, Math.min(1, product / lengths));
}

/** A share with its binomial standard error. */
function share(count: number, of: number): Estimate {
  const value = count / of;
  return { value, error: of > 1 ? Math.sqrt(value * (1 - value) / (of - 1)) : 0 };
}

type Reader = (index: number) => number;

/** Of equal scores the first is the largest, as argmax has it. Rows without a number at the baseline have no class. */
function addRows(top: { rows: number; same: number; amongFive: number; classes: number }, base: Reader, level: Reader, length: number, classes: number): void {
  top.classes = classes;
  for (let from = 0; from + classes <= length; from += classes) {
    let best = -1;
    for (let index = 0; index < classes; index++) {
      if (base(from + index) > (best < 0 ? -Infinity : base(from + best))) best = index;
    }
    if (best < 0) continue;
    const score = level(from + best);
    let before = 0;
    for (let index = 0; index < classes; index++) {
      const other = level(from + index);
      if (other > score || (other === score && index < best)) before++;
    }
    top.rows++;
    if (Number.isNaN(score)) continue;
    if (before === 0) top.same++;
    if (before < TOP) top.amongFive++;
  }
}

/** Values as numbers; whole numbers beyond 2⁵³ are rounded. */
function reader({ type, data }: HostTensor): Reader {
  if (type === 'float16') return (index) => fromFloat16Bits(Number(data[index]));
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return (index) => Number(data[index]);
  return (index) => data[index]!;
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}
