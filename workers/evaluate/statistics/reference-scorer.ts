/** Scores of logits, written plainly: the reference for `wasm/scorer.ts`, which the engine uses. */
import { expOfNonPositive } from './exponential.ts';
import type { ComparedScores, Scorer, Scores } from './statistics.ts';

/** Baseline entries less likely than e^−16 are left out of the divergence, as llama.cpp does. */
const NEGLIGIBLE = -16;
/** Exponentials of the baseline kept between `baseline` and `compare`: 32 MiB; past that they are computed again. */
const KEPT_EXPONENTIALS = 2 ** 22;

/** The readable scorer, which the WebAssembly one is tested against. Windows have at most `rows` positions. */
export function createReferenceScorer(rows: number, vocabulary: number): Scorer {
  const keptRows = Math.min(rows, Math.floor(KEPT_EXPONENTIALS / vocabulary));
  const kept = new Float64Array(keptRows * vocabulary);
  const spare = new Float64Array(vocabulary);
  const weightsOf = (row: number) => (row < keptRows ? kept.subarray(row * vocabulary, (row + 1) * vocabulary) : spare);

  const base: { logits: Float32Array; targets: Int32Array; max: Float64Array; sum: Float64Array } = {
    logits: new Float32Array(0),
    targets: new Int32Array(0),
    max: new Float64Array(rows),
    sum: new Float64Array(rows),
  };
  const baseScores: Scores = { nll: new Float64Array(rows), top: new Int32Array(rows) };
  const firstOf = <T extends Scores>(all: T, count: number): T =>
    count === rows
      ? all
      : (Object.fromEntries(
          Object.entries(all).map(([name, values]: [string, Float64Array | Int32Array]) => [
            name,
            values.subarray(0, count),
          ]),
        ) as unknown as T);
  const scores: ComparedScores = {
    nll: new Float64Array(rows),
    top: new Int32Array(rows),
    kld: new Float64Array(rows),
  };

  return {
    baseline(logits, targets) {
      base.logits = logits;
      base.targets = targets;
      for (let row = 0; row < targets.length; row++) {
        const start = row * vocabulary;
        const top = argmax(logits, start, vocabulary);
        const max = logits[start + top]!;
        const sum = exponentials(logits, start, max, weightsOf(row));
        base.max[row] = max;
        base.sum[row] = sum;
        baseScores.top[row] = top;
        baseScores.nll[row] = Math.log(sum) - (logits[start + targets[row]!]! - max);
      }
      return firstOf(baseScores, targets.length);
    },

    compare(logits) {
      for (let row = 0; row < base.targets.length; row++) {
        const start = row * vocabulary;
        const top = argmax(logits, start, vocabulary);
        const max = logits[start + top]!;
        const logOfSum = Math.log(sumOfExponentials(logits, start, vocabulary, max));
        scores.top[row] = top;
        scores.nll[row] = logOfSum - (logits[start + base.targets[row]!]! - max);

        const baseMax = base.max[row]!;
        const baseSum = base.sum[row]!;
        const weights = weightsOf(row);
        if (row >= keptRows) exponentials(base.logits, start, baseMax, weights);
        scores.kld[row] =
          divergence(base.logits, baseMax + Math.log(baseSum), weights, logits, max + logOfSum, start) / baseSum;
      }
      return firstOf(scores, base.targets.length);
    },
  };
}

function argmax(logits: Float32Array, start: number, length: number): number {
  let top = 0;
  let max = logits[start]!;
  for (let index = 1; index < length; index++) {
    const value = logits[start + index]!;
    if (value > max) {
      max = value;
      top = index;
    }
  }
  return top;
}

/** Fills `weights` with e^(logit − max) and returns their sum. */
function exponentials(logits: Float32Array, start: number, max: number, weights: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < weights.length; index++) {
    const weight = expOfNonPositive(logits[start + index]! - max);
    weights[index] = weight;
    sum += weight;
  }
  return sum;
}

function sumOfExponentials(logits: Float32Array, start: number, length: number, max: number): number {
  let sum = 0;
  for (let index = start; index < start + length; index++) sum += expOfNonPositive(logits[index]! - max);
  return sum;
}

/** Σ weight · (ln p_base − ln p_level) over the entries that count. */
function divergence(
  base: Float32Array,
  baseLogSum: number,
  weights: Float64Array,
  level: Float32Array,
  levelLogSum: number,
  start: number,
): number {
  let sum = 0;
  for (let index = 0; index < weights.length; index++) {
    const logBase = base[start + index]! - baseLogSum;
    if (logBase > NEGLIGIBLE) sum += weights[index]! * (logBase - (level[start + index]! - levelLogSum));
  }
  return sum;
}
