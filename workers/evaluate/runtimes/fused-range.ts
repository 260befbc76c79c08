/**
 * Which nodes a provider fuses into one kernel that gives a wrong value. onnxruntime tells it nowhere, but it fuses nothing
 * over a value that is given out: when giving out a value makes the wrong one right, it is a value from inside the fused
 * kernel.
 */
import type { FusedRange } from '../../contract/report.ts';
import type { Result } from '../../contract/errors.ts';
import type { Node } from '../../onnx/model.ts';
import { nodeName, type ComputedValue } from '../../onnx/graph/walk.ts';
import type { HostTensor } from '../sessions/graph-session.ts';
import { isFinal, type Observe, type Side } from './observe-values.ts';
import { tensorDifference } from '../outputs/tensor-difference.ts';

export interface RangeJob {
  values: ReadonlyMap<string, ComputedValue>;
  /** The wrong value: the output of the range. */
  target: string;
  /** How far it is from the right one. */
  difference: number;
  /** The value with all optimizations, and the right value. */
  suspect: Side;
  right: HostTensor;
  observe: Observe;
}

/** The value is right again when giving out another one leaves less than this of its difference. */
const HEALED = 1 / 4;
/** Values given out in all: a fused attention is of some thirty nodes. */
const MOST_TRIED = 64;

/** Null where nothing that is given out makes the value right: the fault is in the one node. Fails only with what ends all observing. */
export async function fusedRange({
  values,
  target,
  difference,
  suspect,
  right,
  observe,
}: RangeJob): Promise<Result<FusedRange | null>> {
  const last = values.get(target);
  if (!last) return { ok: true, value: null };
  const nodes = new Set<Node>([last.node]);
  const tried = new Set<string>();
  const alone = await targetWith([]);
  if (!alone.ok) return alone;

  for (let open = [...inputsOf(last.node)]; open.length > 0 && tried.size < MOST_TRIED;) {
    const next: string[] = [];
    for (const name of open) {
      const value = values.get(name);
      if (!value || tried.has(name) || tried.size >= MOST_TRIED) continue;
      tried.add(name);
      const seen = await targetWith([name]);
      if (!seen.ok) return seen;
      if (!seen.value || !isInside(value, seen.value, alone.value)) continue;
      nodes.add(value.node);
      for (const input of inputsOf(value.node)) next.push(input);
    }
    open = next;
  }
  if (nodes.size === 1) return { ok: true, value: null };
  const order = [...new Set([...values.values()].map(({ node }) => node))].filter((node) => nodes.has(node));
  const operators = order.map(({ type }) => type);
  const [first] = order;
  return {
    ok: true,
    value: {
      firstNode: first ? nodeName(first) : '',
      firstOperator: first?.type ?? '',
      operators,
      into: fusedInto(operators),
    },
  };

  /** The target when more is given out beside it; null where that does not run. */
  async function targetWith(names: readonly string[]): Promise<Result<HostTensor | null>> {
    const found = await observe(suspect, [...names, target]);
    if (isFinal(found) && !found.ok) return found;
    return { ok: true, value: found.ok ? (found.value[target] ?? null) : null };
  }

  function isInside(value: ComputedValue, seen: HostTensor, before: HostTensor | null): boolean {
    const left = tensorDifference(seen, right)?.relative ?? 0;
    if (left <= difference * HEALED) return true;
    // When a norm is not fused as a whole its end may still be, as a simplified norm with the same fault: the value stays
    // wrong, but in other bits.
    return (
      isNorm([...nodes]) &&
      NORM_START.has(value.node.type) &&
      isUsedOnlyIn(value.name) &&
      before !== null &&
      !sameBits(seen, before)
    );
  }

  function isUsedOnlyIn(name: string): boolean {
    return [...values.values()].every(({ node, inputs }) => nodes.has(node) || !inputs.includes(name));
  }

  function* inputsOf({ inputs }: Node): Iterable<string> {
    for (const name of inputs) if (name !== '' && name !== target) yield name;
  }
}

const NORM_START = new Set(['Sub', 'ReduceMean', 'Cast']);
const isNorm = (nodes: readonly Node[]) =>
  ['Sqrt', 'Div'].every((operator) => nodes.some(({ type }) => type === operator));

function sameBits(a: HostTensor, b: HostTensor): boolean {
  return a.data.length === b.data.length && a.data.every((value, index) => Object.is(value, b.data[index]));
}

/** Fused kernels of onnxruntime and what they are made of, the more special before the more general: all of the first, none of the second list. */
const PATTERNS: readonly [into: string, all: readonly string[], none?: readonly string[]][] = [
  ['Attention', ['MatMul', 'Softmax', 'Transpose']],
  ['SkipLayerNormalization', ['Add', 'LayerNormalization']],
  ['SkipSimplifiedLayerNormalization', ['Add', 'SimplifiedLayerNormalization']],
  ['LayerNormalization', ['ReduceMean', 'Sub', 'Sqrt', 'Div']],
  ['SimplifiedLayerNormalization', ['ReduceMean', 'Sqrt', 'Div']],
  ['SimplifiedLayerNormalization', ['ReduceMean', 'Sqrt', 'Reciprocal']],
  ['Gelu', ['Erf', 'Mul']],
  ['FastGelu', ['Tanh', 'Mul']],
  ['QuickGelu', ['Sigmoid', 'Mul']],
  ['BiasGelu', ['Add', 'Gelu']],
  ['BiasSoftmax', ['Add', 'Softmax']],
  ['DynamicQuantizeMatMul', ['DynamicQuantizeLinear', 'MatMulInteger']],
  ['MatMulIntegerToFloat', ['MatMulInteger', 'Cast', 'Mul']],
  ['MatMulNBits', ['DequantizeLinear', 'MatMul'], ['QuantizeLinear']],
  ['QLinearMatMul', ['DequantizeLinear', 'MatMul', 'QuantizeLinear']],
  ['QLinearConv', ['DequantizeLinear', 'Conv', 'QuantizeLinear']],
  ['Gemm', ['MatMul', 'Add']],
  ['FusedMatMul', ['MatMul']],
  ['FusedGemm', ['Gemm']],
  ['FusedConv', ['Conv']],
];

/** What onnxruntime calls the kernel that these operators become; null where no fusion of them is known here. */
function fusedInto(operators: readonly string[]): string | null {
  const there = new Set(operators);
  return (
    PATTERNS.find(
      ([, all, none = []]) =>
        all.every((operator) => there.has(operator)) && !none.some((operator) => there.has(operator)),
    )?.[0] ?? null
  );
}
