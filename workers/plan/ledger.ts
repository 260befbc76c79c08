/** The ledger's lines and the words in them. */
import { bytesInWords } from '../lib/bytes-in-words.ts';
import type { LedgerLine } from '../contract/level-plan.ts';
import { elementType, FLOAT16, FLOAT32 } from '../onnx/numbers/element-types.ts';
import { pieceLength } from '../onnx/writing/splice.ts';
import type { AddedTensor } from './draft.ts';
import { isQuantizedOperator } from './families/registry.ts';
import type { Constant } from '../onnx/graph/scopes.ts';
import { isNodeKnown, type Scope } from '../onnx/graph/scopes.ts';
import { isFloat } from '../onnx/graph/constant-view.ts';

/** The line of a constant that stays as it is. */
export function keptLine({ name, tensor, scope }: Constant, reason: string): LedgerLine {
  const { name: type } = elementType(tensor.type);
  return {
    tensor: name,
    ...where(scope),
    shape: tensor.dims,
    from: type,
    to: type,
    bytesBefore: tensor.bytes,
    bytesAfter: tensor.bytes,
    reason,
  };
}

/** The line of a tensor that the new file does not need. */
export function droppedLine(constant: Constant): LedgerLine {
  return {
    ...keptLine(constant, 'left out: said how a weight is to be seen, which the new file has it as'),
    bytesAfter: 0,
  };
}

/**
 * The line of a constant that changes.
 * @param bytes Bytes of its new form, and of its old one where that stays.
 */
export function changedLine({ name, tensor, scope }: Constant, to: string, bytes: number, reason: string): LedgerLine {
  return {
    tensor: name,
    ...where(scope),
    shape: tensor.dims,
    from: elementType(tensor.type).name,
    to,
    bytesBefore: tensor.bytes,
    bytesAfter: bytes,
    reason,
  };
}

/** The line of an added tensor. */
export function extraLine({ tensor, why }: AddedTensor): LedgerLine {
  return {
    tensor: tensor.name,
    shape: [...tensor.dims],
    from: '',
    to: elementType(tensor.type).name,
    bytesBefore: 0,
    bytesAfter: pieceLength(tensor.data),
    reason: why,
  };
}

/** The lines of sparse tensors, which are copied unchanged. */
export function sparseLines(scope: Scope): LedgerLine[] {
  return scope.sparse.map(({ name, dims, type, bytes }) => {
    const element = elementType(type).name;
    return {
      tensor: name,
      ...where(scope),
      shape: dims,
      from: element,
      to: element,
      bytesBefore: bytes,
      bytesAfter: bytes,
      reason: 'sparse: only what is not zero is stored, and left as it is',
    };
  });
}

function where({ title }: Scope): { where?: string } {
  return title === '' ? {} : { where: title };
}

/** Why a constant that no family uses stays. */
export function whyNotCovered({ tensor, name, scope, overridable, doubt }: Constant, element: string): string {
  if (overridable && doubt !== null) return doubt;
  const users = scope.uses.get(name) ?? [];
  const quantized = users.find(({ node }) => isQuantizedOperator(node))?.node;
  if (quantized) return `belongs to a weight that is quantized already: used by ${quantized.type}`;
  if (tensor.type !== FLOAT32 && tensor.type !== FLOAT16) return whyNotFloat(tensor.type);
  if (tensor.dims.length < 2) return 'a vector or a number: small, and kept exact';
  const odd = users.find(({ node, scope: where }) => !isNodeKnown(node, where))?.node;
  if (odd) return `used by ${odd.type} with inputs or attributes that the model's operator set does not have`;
  const operators = [...new Set(users.map(({ node }) => node.type))];
  if (operators.length === 0)
    return scope.outputs.has(name) ? 'given out by the graph as it is' : 'not used by any operator';
  return `used by ${operators.join(', ')}, which ${element} does not cover here`;
}

/** Why a constant of a type that is not floating-point stays. */
export function whyNotFloat(type: number): string {
  const { name } = elementType(type);
  if (/^(u?int|bool|string)/.test(name)) return `${name}: shapes, indices and flags stay exact`;
  return isFloat(type)
    ? `${name} arithmetic, which quantized operators do not do`
    : `${name} weights are not quantized`;
}

/** A number and a noun, in the plural unless the number is 1. */
export function count(n: number, noun: string): string {
  return `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`;
}

/** A number in millions, for sentences. */
export function millions(n: number): string {
  return n >= 1e6 ? `${(n / 1e6).toFixed(n >= 1e8 ? 0 : 1)} M` : n.toLocaleString('en');
}

/** Where most of the unchanged bytes are, and why. Null when there are hardly any. */
export function whatStayed(ledger: readonly LedgerLine[], total: number): string | null {
  const byReason = new Map<string, { bytes: number; tensors: number }>();
  for (const { from, to, bytesAfter, reason } of ledger) {
    if (from !== to) continue;
    const entry = byReason.get(reason) ?? { bytes: 0, tensors: 0 };
    byReason.set(reason, { bytes: entry.bytes + bytesAfter, tensors: entry.tensors + 1 });
  }
  const [most] = [...byReason].sort(([, a], [, b]) => b.bytes - a.bytes);
  if (!most || most[1].bytes * 4 < total) return null;
  const [reason, { bytes, tensors }] = most;
  return `${bytesInWords(bytes)} in ${count(tensors, 'tensor')} stayed: ${reason}`;
}
