/**
 * Finds where two runs of one graph part, given a way to look at values: the order of looking and the judgement, no
 * runtime. Looking is dear (a model is opened for it), so it is done several values at a time, and by bisection.
 */
import { greatest } from '../../contract/extremes.ts';
import type { Result } from '../../contract/errors.ts';
import { ancestors, type ComputedValue } from '../../onnx/graph/walk.ts';
import type { Difference } from '../outputs/tensor-difference.ts';

/** How far apart the two runs are in each of the values; null where that cannot be seen. */
export type Look = (tensors: readonly string[]) => Promise<Result<ReadonlyMap<string, Difference | null>>>;

export interface Parting {
  value: ComputedValue;
  difference: number;
  inputDifference: number;
}

/** A node is at fault when its output is this many times further apart than any of its inputs. */
const RISE = 4;
/** Values looked at together, unless stated otherwise. */
const TOGETHER = 8;
/** Times to look in all, lest a search among roundings goes on for ever. */
const MOST_LOOKS = 100;
/** Values that cannot be seen, as inside a fused kernel, between the output blamed and the inputs it is judged by. */
const LARGEST_REGION = 16;

/** Relative differences that are rounding, by element type; everything else as float32. */
const ROUNDING: Readonly<Record<string, number>> = { float16: 1e-3, float64: 1e-9 };
const FLOAT32_ROUNDING = 1e-5;

/** Operators whose result can be far smaller than what it is a sum of, and then is mostly rounding. */
const SUMMING = new Set([
  'Add',
  'Sub',
  'Sum',
  'Mean',
  'ReduceMean',
  'ReduceSum',
  'CumSum',
  'MatMul',
  'Gemm',
  'Einsum',
  'Conv',
  'ConvTranspose',
  'MatMulNBits',
  'FusedMatMul',
]);

/**
 * Bisects what `output` comes of, in the order of the nodes, for the first value that differs while those looked at
 * before agree; when one of its inputs turns out to differ too (bisection can miss another branch), goes on from there.
 * A value no further apart than its inputs explain is let go, and the search goes on without it.
 * @param tolerance Relative difference above which values differ; bisected by.
 * @param together Values looked at together at most.
 * @returns Null where `output` agrees, or where no node makes more of a difference than it is given.
 */
export async function searchDivergence(
  values: ReadonlyMap<string, ComputedValue>,
  output: string,
  look: Look,
  tolerance: number,
  together = TOGETHER,
): Promise<Result<Parting | null>> {
  const seen = new Map<string, Difference | null>();
  const explained = new Set<string>();
  let looks = 0;

  const see = async (tensors: readonly string[]): Promise<Result<void>> => {
    const unseen = tensors.filter((tensor) => !seen.has(tensor));
    for (let from = 0; from < unseen.length; from += together) {
      looks++;
      const found = await look(unseen.slice(from, from + together));
      if (!found.ok) return found;
      for (const tensor of unseen.slice(from, from + together)) seen.set(tensor, found.value.get(tensor) ?? null);
    }
    return { ok: true, value: undefined };
  };
  const relative = (tensor: string) => seen.get(tensor)?.relative ?? 0;

  /** The first of what `target` comes of that differs, as far as bisection can tell; `target` itself differs. */
  const bisect = async (target: string, threshold: number): Promise<Result<string>> => {
    const all = ancestors(values, target);
    const withConstants = values.get(target)?.constant === true;
    const list = [...values.values()]
      .filter(({ name, constant }) => all.has(name) && !explained.has(name) && (withConstants || !constant))
      .map(({ name }) => name);
    for (;;) {
      const observable = list.filter((tensor) => tensor === target || seen.get(tensor) !== null);
      const differs = (tensor: string) => tensor === target || relative(tensor) > threshold;
      const first = observable.findIndex((tensor) => seen.has(tensor) && differs(tensor));
      const lastSame = observable.findLastIndex((tensor, index) => index < first && seen.has(tensor));
      const between = observable.slice(lastSame + 1, first);
      if (between.length === 0 || looks >= MOST_LOOKS) return { ok: true, value: observable[first] ?? target };
      const looked = await see(spread(between, together));
      if (!looked.ok) return looked;
    }
  };

  /** The nearest values before one that can be seen; null when there are too many between that cannot. */
  const inputsOf = async (value: ComputedValue): Promise<Result<string[] | null>> => {
    const inputs = new Set<string>();
    const region = new Set<string>();
    for (let open: string[] = [...value.inputs]; open.length > 0;) {
      const computed = open.filter((name) => values.has(name) && !inputs.has(name) && !region.has(name));
      const looked = await see(computed);
      if (!looked.ok) return looked;
      open = [];
      for (const name of computed) {
        if (seen.get(name) !== null) inputs.add(name);
        else {
          region.add(name);
          for (const input of values.get(name)?.inputs ?? []) open.push(input);
        }
      }
    }
    return { ok: true, value: region.size > LARGEST_REGION ? null : [...inputs] };
  };

  const locate = async (target: string, threshold: number): Promise<Result<Parting | null>> => {
    while (looks < MOST_LOOKS) {
      const suspect = await bisect(target, threshold);
      if (!suspect.ok) return suspect;
      const value = values.get(suspect.value);
      const difference = seen.get(suspect.value);
      if (!value || !difference) return { ok: true, value: null };
      const inputs = await inputsOf(value);
      if (!inputs.ok) return inputs;
      if (inputs.value) {
        const given = inputs.value.map((name) => seen.get(name)).filter((input) => input != null);
        if (rises(value, difference, given)) {
          return {
            ok: true,
            value: {
              value,
              difference: difference.relative,
              inputDifference: greatest(
                given.map((input) => input.relative),
                0,
              ),
            },
          };
        }
        // Its inputs may be apart by less than the threshold and still be the cause.
        const worst = inputs.value.filter((name) => !explained.has(name)).sort((a, b) => relative(b) - relative(a))[0];
        if (worst !== undefined && relative(worst) * RISE >= difference.relative && relative(worst) > 0) {
          const found = await locate(worst, Math.min(threshold, relative(worst) / 2));
          if (!found.ok || found.value) return found;
        }
      }
      explained.add(suspect.value);
      if (suspect.value === target) break;
    }
    return { ok: true, value: null };
  };

  const looked = await see([output]);
  if (!looked.ok) return looked;
  return relative(output) > tolerance ? locate(output, tolerance) : { ok: true, value: null };
}

/** Whether a node makes a difference that its inputs do not explain. */
export function rises({ node }: ComputedValue, output: Difference, inputs: readonly Difference[]): boolean {
  const rounding = roundingOf(output.type);
  if (
    output.relative <= rounding ||
    output.relative <=
      RISE *
        greatest(
          inputs.map((input) => input.relative),
          0,
        )
  )
    return false;
  const largest = greatest(
    inputs.map(({ rms }) => rms),
    0,
  );
  return !SUMMING.has(node.type) || output.error > rounding * largest;
}

export function roundingOf(type: string): number {
  return ROUNDING[type] ?? FLOAT32_ROUNDING;
}

/** Up to `count` of a list, evenly apart. */
function spread<T>(list: readonly T[], count: number): T[] {
  if (list.length <= count) return [...list];
  return Array.from({ length: count }, (_, index) => list[Math.floor(((index + 1) * list.length) / (count + 1))]!);
}
