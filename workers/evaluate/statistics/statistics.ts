/**
 * What llama.cpp's perplexity tool prints, from logits: perplexity of each model, and of a level against the
 * baseline the paired log ratio, KL divergence, agreement of the most likely token and change of the correct
 * token's probability (llama.cpp, tools/perplexity). Logits are float32, everything after them float64.
 *
 * Logits are looked at window by window and forgotten; what stays are running sums and two numbers for each scored
 * token (percentiles need them).
 */
import type { Drift, Perplexity } from '../../contract/report.ts';

/** Of each scored token of a window; valid until the scorer's next call of the same kind. */
export interface Scores {
  /** −ln p(correct token), nats. */
  nll: Float64Array;
  /** The most likely token; the first of several. */
  top: Int32Array;
}

export interface ComparedScores extends Scores {
  /** KL divergence of the baseline's distribution against this one, nats. */
  kld: Float64Array;
}

/**
 * Scores windows of up to `rows` positions: the baseline once, then any number of levels against it. The work on logits is
 * behind this interface, so that another implementation can take its place.
 */
export interface Scorer {
  /**
   * @param logits [positions, vocabulary], at most `rows` positions; must stay as they are until the next call of `baseline`.
   * @param targets [positions], the token that follows each.
   */
  baseline(logits: Float32Array, targets: Int32Array): Scores;
  /** @param logits [positions, vocabulary], the same as of the last baseline. */
  compare(logits: Float32Array): ComparedScores;
}

/** Whether all values are finite numbers. */
export function allFinite(values: Float64Array): boolean {
  let sum = 0;
  for (const value of values) sum += value;
  return Number.isFinite(sum);
}

export interface PerplexityTally {
  /** @param nll One value a scored token, nats. */
  add(nll: Float64Array): void;
  readonly tokens: number;
  /** exp of the mean; error PPL · √((E[nll²] − E[nll]²)/(n − 1)). */
  estimate(text?: ScoredText): Perplexity;
}

/** How much text the scored tokens are. */
export interface ScoredText {
  /** UTF-8; null where it cannot be told. */
  bytes: number | null;
  /** Null where perplexity is by token. */
  words: number | null;
}

export function tallyPerplexity(): PerplexityTally {
  const nll = tallyMean();
  return {
    add(values) {
      for (const value of values) nll.add(value);
    },
    get tokens() {
      return nll.count;
    },
    estimate({ bytes, words }: ScoredText = { bytes: null, words: null }) {
      const perUnit = unitsPerToken(nll.count, words);
      const value = Math.exp(nll.mean() * perUnit);
      const estimate = { value, error: value * nll.error() * perUnit };
      if (bytes === null || bytes === 0) return estimate;
      const perByte = nll.count / bytes;
      const bitsPerByte = { value: (nll.mean() * perByte) / Math.LN2, error: (nll.error() * perByte) / Math.LN2 };
      if (words === null) return { ...estimate, bitsPerByte };
      const bytePerplexity = 2 ** bitsPerByte.value;
      return {
        ...estimate,
        bitsPerByte,
        bytePerplexity: { value: bytePerplexity, error: bytePerplexity * bitsPerByte.error * Math.LN2 },
      };
    },
  };
}

/** Factor from a mean over tokens to one over words. */
function unitsPerToken(tokens: number, words: number | null): number {
  return words === null ? 1 : tokens / words;
}

export interface DriftTally {
  add(baseline: Scores, level: ComparedScores): void;
  /** @param words As in `ScoredText`: the ratio is that of the perplexities, by token or by word. */
  drift(words?: number | null): Drift;
}

export function tallyDrift(): DriftTally {
  const baseNll = tallyMean();
  const nll = tallyMean();
  const ratio = tallyMean();
  const kld = tallyMean();
  const squaredChange = tallyMean();
  const change = tallyMean();
  const klds = collectSorted();
  const changes = collectSorted();
  let productOfNlls = 0;
  let sameTop = 0;

  return {
    add(baseline, level) {
      for (let row = 0; row < level.nll.length; row++) {
        const a = baseline.nll[row]!;
        const b = level.nll[row]!;
        const divergence = level.kld[row]!;
        const delta = Math.exp(-b) - Math.exp(-a);
        baseNll.add(a);
        nll.add(b);
        ratio.add(b - a);
        productOfNlls += a * b;
        kld.add(divergence);
        change.add(delta);
        squaredChange.add(delta * delta);
        klds.add(divergence);
        changes.add(delta);
        if (baseline.top[row] === level.top[row]) sameTop++;
      }
    },

    drift(words = null) {
      const n = nll.count;
      // The error of a mean of differences is the paired one: σ²(b − a) = σ²(a) + σ²(b) − 2 cov(a, b).
      const perUnit = unitsPerToken(n, words);
      const lnRatio = { value: ratio.mean() * perUnit, error: ratio.error() * perUnit };
      const same = sameTop / n;
      const rms = Math.sqrt(squaredChange.mean());
      const kldAt = percentiles(klds.sorted());
      const changeAt = percentiles(changes.sorted());
      return {
        lnRatio,
        ratio: { value: Math.exp(lnRatio.value), error: Math.exp(lnRatio.value) * lnRatio.error },
        correlation: correlation(baseNll, nll, productOfNlls),
        kld: {
          mean: kld.mean(),
          error: kld.error(),
          median: kldAt(0.5),
          p90: kldAt(0.9),
          p95: kldAt(0.95),
          p99: kldAt(0.99),
          p999: kldAt(0.999),
          max: kldAt(1),
        },
        sameTop: { value: same, error: n > 1 ? Math.sqrt((same * (1 - same)) / (n - 1)) : 0 },
        deltaP: {
          mean: change.mean(),
          rms: { value: rms, error: rms > 0 ? squaredChange.error() / (2 * rms) : 0 },
          p1: changeAt(0.01),
          p5: changeAt(0.05),
          median: changeAt(0.5),
          p95: changeAt(0.95),
          p99: changeAt(0.99),
        },
      };
    },
  };
}

/** Pearson's, over tokens; two identical series correlate fully even when they are constant. */
function correlation(a: MeanTally, b: MeanTally, sumOfProducts: number): number {
  const variances = a.variance() * b.variance();
  if (variances === 0) return a.mean() === b.mean() && a.variance() === b.variance() ? 1 : 0;
  const covariance = sumOfProducts / a.count - a.mean() * b.mean();
  return Math.max(-1, Math.min(1, covariance / Math.sqrt(variances)));
}

interface MeanTally {
  add(value: number): void;
  readonly count: number;
  mean(): number;
  /** E[x²] − E[x]², not below 0. */
  variance(): number;
  /** One standard error of the mean: √(variance / (n − 1)); 0 for fewer than two values. */
  error(): number;
}

function tallyMean(): MeanTally {
  let count = 0;
  let sum = 0;
  let sumOfSquares = 0;
  const mean = () => sum / count;
  const variance = () => Math.max(0, sumOfSquares / count - mean() ** 2);
  return {
    add(value) {
      count++;
      sum += value;
      sumOfSquares += value * value;
    },
    get count() {
      return count;
    },
    mean,
    variance,
    error: () => (count > 1 ? Math.sqrt(variance() / (count - 1)) : 0),
  };
}

/** Percentile of sorted values: linear between the two nearest, as llama.cpp and NumPy have it. */
export function percentiles(sorted: Float64Array): (fraction: number) => number {
  return (fraction) => {
    const place = fraction * (sorted.length - 1);
    const below = Math.floor(place);
    const low = sorted[below] ?? NaN;
    const high = sorted[below + 1];
    return high === undefined || place === below ? low : low + (high - low) * (place - below);
  };
}

interface SortedCollection {
  add(value: number): void;
  /** All values in rising order; valid until the next `add`. */
  sorted(): Float64Array;
}

/** Keeps what it had sorted and merges in what came since, so that percentiles can be asked for again and again. */
function collectSorted(): SortedCollection {
  let values = new Float64Array(1024);
  let sortedCount = 0;
  let count = 0;

  return {
    add(value) {
      if (count === values.length) {
        const larger = new Float64Array(count * 2);
        larger.set(values);
        values = larger;
      }
      values[count++] = value;
    },
    sorted() {
      const fresh = values.slice(sortedCount, count).sort();
      let from = sortedCount - 1;
      let to = count - 1;
      for (let next = fresh.length - 1; next >= 0; to--) {
        values[to] = from >= 0 && values[from]! > fresh[next]! ? values[from--]! : fresh[next--]!;
      }
      sortedCount = count;
      return values.subarray(0, count);
    },
  };
}
