/**
 * How far a level's outputs are from the baseline's, over samples that come one after the other: sums in float64, and
 * nothing is kept of a sample.
 */
import { fromFloat16Bits } from '../../onnx/numbers/float16.ts';
import type { OutputDrift } from '../../contract/report.ts';
import { clusteredShare, type ClusteredShare } from './clustered-share.ts';
import type { HostTensor } from '../sessions/graph-session.ts';
import type { ValueInfo } from '../inputs.ts';

/** Element types that can be compared, by onnxruntime's names. */
const FLOATS = ['float32', 'float16', 'float64'];
const WHOLE = ['int64', 'uint64', 'int32', 'uint32', 'int16', 'uint16', 'int8', 'uint8', 'bool'];

export const isComparable = ({ isTensor, type }: ValueInfo): boolean =>
  isTensor && (FLOATS.includes(type ?? '') || WHOLE.includes(type ?? ''));

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
  const equal = clusteredShare();
  const top: TopClasses = { same: clusteredShare(), amongFive: clusteredShare(), classes: 0 };

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
      const perInput = length / inputsIn(baseline.dims);
      let equalHere = 0;
      for (let index = 0; index < length; index++) {
        const expected = base(index);
        const actual = other(index);
        if (Object.is(expected, actual) || expected === actual) equalHere++;
        if (index % perInput === perInput - 1) {
          equal.add(equalHere, perInput);
          equalHere = 0;
        }
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
      if (looksLikeScores(output, baseline.type, baseline.dims)) addRows(top, base, other, baseline.dims);
    },
    drift() {
      if (shape === null || compared === 0) return null;
      return {
        output,
        shape,
        cosine: noise === 0 ? 1 : cosineOf(product, baseSquares, levelSquares),
        sqnr: noise === 0 ? null : Math.max(LOWEST_SQNR, 10 * Math.log10(baseSquares / noise)),
        maxError,
        rms: Math.sqrt(baseSquares / compared),
        top1: top.same.share(),
        top5: top.classes > TOP ? top.amongFive.share() : null,
        equal: whole ? equal.share() : null,
        ...(top.same.share() ? { counted: top.same.counted() } : whole && { counted: equal.counted() }),
      };
    },
    leftOut() {
      return [
        ...(otherShape > 0
          ? [`has another shape than the baseline's in ${otherShape} of ${samples} samples, which are not compared`]
          : []),
        ...(notFinite > 0
          ? [
              `has ${notFinite.toLocaleString('en')} of ${values.toLocaleString('en')} values that are not finite numbers here or at the baseline; they are left out`,
            ]
          : []),
        ...(shape !== null && compared === 0 && notFinite === 0 ? ['has no finite value to compare'] : []),
      ];
    },
  };
}

function cosineOf(product: number, baseSquares: number, levelSquares: number): number {
  const lengths = Math.sqrt(baseSquares) * Math.sqrt(levelSquares);
  return lengths === 0 ? 0 : Math.max(-1, Math.min(1, product / lengths));
}

/** How many inputs a tensor is of: its first axis is the batch. */
function inputsIn(dims: readonly number[]): number {
  return Math.max(1, dims[0] ?? 1);
}

type Reader = (index: number) => number;

interface TopClasses {
  same: ClusteredShare;
  amongFive: ClusteredShare;
  classes: number;
}

/** Of equal scores the first is the largest, as argmax has it. Rows without a number at the baseline have no class. */
function addRows(top: TopClasses, base: Reader, level: Reader, dims: readonly number[]): void {
  const classes = dims.at(-1) ?? 0;
  top.classes = classes;
  const inputs = inputsIn(dims);
  const rows = dims.slice(1, -1).reduce((product, dim) => product * dim, 1);
  for (let input = 0; input < inputs; input++) {
    let counted = 0;
    let same = 0;
    let amongFive = 0;
    for (let row = 0; row < rows; row++) {
      const before = placeOfBest(base, level, (input * rows + row) * classes, classes);
      if (before === null) continue;
      counted++;
      if (before === 0) same++;
      if (before < TOP) amongFive++;
    }
    top.same.add(same, counted);
    top.amongFive.add(amongFive, counted);
  }
}

/** How many classes the level puts before the baseline's best; infinitely many where it has no number for it, null where there is no best. */
function placeOfBest(base: Reader, level: Reader, from: number, classes: number): number | null {
  let best = -1;
  for (let index = 0; index < classes; index++) {
    if (base(from + index) > (best < 0 ? -Infinity : base(from + best))) best = index;
  }
  if (best < 0) return null;
  const score = level(from + best);
  if (Number.isNaN(score)) return Infinity;
  let before = 0;
  for (let index = 0; index < classes; index++) {
    const other = level(from + index);
    if (other > score || (other === score && index < best)) before++;
  }
  return before;
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
