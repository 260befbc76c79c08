/**
 * The scorer on WebAssembly with SIMD: the definitions of `reference-scorer.ts` in the same precision, several times as
 * fast; sums are added up in another order. Logits come and go a few rows at a time.
 */
import { instantiateInline } from '../../../kernels/inline-wasm.ts';
import type { ComparedScores, Scorer, Scores } from '../statistics.ts';
import moduleUrl from './build/score.wasm?url&inline';

/** What assembly/score.ts exports; addresses in bytes, counts in elements. */
interface Exports {
  memory: WebAssembly.Memory;
  heapBase(): number;
  table(): number;
  steps(): number;
  sums(logits: number, rows: number, stride: number, tops: number, sums: number): void;
  divergences(
    base: number,
    level: number,
    rows: number,
    stride: number,
    baseLogSums: number,
    levelLogSums: number,
    divergences: number,
  ): void;
}

const PAGE = 65536;
/** The module goes through rows this many entries at a time. */
const LANES = 8;
/** Logits of each model in the module's memory at once, one row at least: what a second-level cache holds. */
const TILE_BYTES = 2 ** 17;

/**
 * As `createReferenceScorer`.
 * @param tileBytes For tests.
 */
export async function createWasmScorer(
  rows: number,
  vocabulary: number,
  tileBytes: number = TILE_BYTES,
): Promise<Scorer> {
  const exports = await instantiateInline<Exports>(moduleUrl);
  const { memory, heapBase, sums, divergences } = exports;
  const stride = Math.ceil(vocabulary / LANES) * LANES;
  const tileRows = Math.max(1, Math.min(rows, Math.floor(tileBytes / (stride * 4))));

  let end = heapBase();
  const reserve = (bytes: number) => {
    const at = Math.ceil(end / 16) * 16;
    end = at + bytes;
    return at;
  };
  const at = {
    base: reserve(tileRows * stride * 4),
    level: reserve(tileRows * stride * 4),
    tops: reserve(tileRows * 4),
    sums: reserve(tileRows * 8),
    baseLogSums: reserve(tileRows * 8),
    levelLogSums: reserve(tileRows * 8),
    divergences: reserve(tileRows * 8),
  };
  memory.grow(Math.max(0, Math.ceil((end - memory.buffer.byteLength) / PAGE)));
  fillTable(exports);
  const entries = new Float32Array(memory.buffer);
  const tops = new Int32Array(memory.buffer, at.tops, tileRows);
  const doubles = (address: number) => new Float64Array(memory.buffer, address, tileRows);
  const [rowSums, baseLogSums, levelLogSums, rowDivergences] = [
    doubles(at.sums),
    doubles(at.baseLogSums),
    doubles(at.levelLogSums),
    doubles(at.divergences),
  ];
  // What fills rows up; copies leave it alone.
  entries.fill(-Infinity, at.base / 4, at.base / 4 + tileRows * stride);
  entries.fill(-Infinity, at.level / 4, at.level / 4 + tileRows * stride);

  const copy = (logits: Float32Array, row: number, count: number, target: number) => {
    if (stride === vocabulary) {
      entries.set(logits.subarray(row * vocabulary, (row + count) * vocabulary), target / 4);
      return;
    }
    for (let index = 0; index < count; index++) {
      entries.set(
        logits.subarray((row + index) * vocabulary, (row + index + 1) * vocabulary),
        target / 4 + index * stride,
      );
    }
  };

  /** Top tokens, losses and ln Σ e^logit of a tile that lies at `address`. */
  const score = (
    logits: Float32Array,
    targets: Int32Array,
    row: number,
    count: number,
    address: number,
    scores: Scores,
    logSums: Float64Array,
  ) => {
    copy(logits, row, count, address);
    sums(address, count, stride, at.tops, at.sums);
    for (let index = 0; index < count; index++) {
      const start = (row + index) * vocabulary;
      const top = tops[index]!;
      const max = logits[start + top]!;
      const logOfSum = Math.log(rowSums[index]!);
      scores.top[row + index] = top;
      scores.nll[row + index] = logOfSum - (logits[start + targets[row + index]!]! - max);
      logSums[index] = max + logOfSum;
    }
  };

  const base = { logits: new Float32Array(0), targets: new Int32Array(0), logSums: new Float64Array(rows) };
  const baseScores: Scores = { nll: new Float64Array(rows), top: new Int32Array(rows) };
  const scores: ComparedScores = {
    nll: new Float64Array(rows),
    top: new Int32Array(rows),
    kld: new Float64Array(rows),
  };

  return {
    baseline(logits, targets) {
      const count = targets.length;
      Object.assign(base, { logits, targets });
      for (let row = 0; row < count; row += tileRows) {
        const some = Math.min(tileRows, count - row);
        score(logits, targets, row, some, at.base, baseScores, baseLogSums);
        base.logSums.set(baseLogSums.subarray(0, some), row);
      }
      return { nll: baseScores.nll.subarray(0, count), top: baseScores.top.subarray(0, count) };
    },

    compare(logits) {
      const { targets } = base;
      const count = targets.length;
      for (let row = 0; row < count; row += tileRows) {
        const some = Math.min(tileRows, count - row);
        score(logits, targets, row, some, at.level, scores, levelLogSums);
        copy(base.logits, row, some, at.base);
        baseLogSums.set(base.logSums.subarray(row, row + some));
        divergences(at.base, at.level, some, stride, at.baseLogSums, at.levelLogSums, at.divergences);
        scores.kld.set(rowDivergences.subarray(0, some), row);
      }
      return {
        nll: scores.nll.subarray(0, count),
        top: scores.top.subarray(0, count),
        kld: scores.kld.subarray(0, count),
      };
    },
  };
}

/** 2^(i/steps) for the module's exponential, less i in the bits that k's low bits are added to. */
function fillTable({ memory, table, steps }: Exports): void {
  const count = steps();
  const roots = new Float64Array(memory.buffer, table(), count);
  const words = new Uint32Array(memory.buffer, table(), 2 * count);
  for (let index = 0; index < count; index++) {
    roots[index] = 2 ** (index / count);
    // Of the upper word 20 bits are fraction.
    words[2 * index + 1]! -= index * (2 ** 20 / count);
  }
}
