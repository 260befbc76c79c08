/** Element types of the values of a graph: as it states them, else worked out from the operators that make them. */
import { FLOAT32, INT64 } from '../../onnx/numbers/element-types.ts';
import type { Graph, Node } from '../../onnx/model.ts';
import { findSparse, findStated } from '../../onnx/graph/lookups.ts';
import { intAttribute, tensorAttribute } from '../../onnx/graph/attributes.ts';
import { definingScope, type Scope } from '../../onnx/graph/scopes.ts';
import { float16Handling, typeAttributeOf } from './operators.ts';

const BOOL = 9;
/** Longer chains of values without a type are no export's. */
const MAX_STEPS = 400;

const WHOLE_NUMBERS = new Set(['ArgMax', 'ArgMin', 'NonMaxSuppression', 'NonZero', 'Shape', 'Size']);
const FLAGS = new Set([
  'And',
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'IsInf',
  'IsNaN',
  'Less',
  'LessOrEqual',
  'Not',
  'Or',
  'Xor',
]);
/** Operators whose result is of the type of another input than the first. */
const TYPE_OF_INPUT: Readonly<Record<string, number>> = {
  Where: 1,
  CastLike: 1,
  OneHot: 2,
  'com.microsoft:EmbedLayerNormalization': 2,
};

/** What has been found, by scope and name: chains of values without a type are walked once. */
const FOUND = new WeakMap<Scope, Map<string, number>>();

/** Null where neither tells. */
export function valueType(scope: Scope, name: string, steps = MAX_STEPS): number | null {
  const owner = definingScope(scope, name);
  if (!owner || steps === 0) return null;
  const found = FOUND.get(owner) ?? new Map<string, number>();
  FOUND.set(owner, found);
  const known = found.get(name);
  if (known !== undefined) return known;
  const type = findType(owner, name, steps);
  if (type !== null) found.set(name, type);
  return type;
}

function findType(owner: Scope, name: string, steps: number): number | null {
  const constant = owner.constants.get(name);
  if (constant) return constant.tensor.type;
  const sparse = findSparse(owner.sparse, name);
  if (sparse) return sparse.type;
  const stated = findStated(owner.values, name)?.proto.type?.value;
  if (stated?.case === 'tensorType' && stated.value.elemType !== 0) return stated.value.elemType;
  if (stated?.case && stated.case !== 'tensorType') return null;
  const node = owner.producer.get(name);
  return node ? madeBy(node, owner, node.outputs.indexOf(name), steps - 1) : null;
}

function madeBy(node: Node, scope: Scope, output: number, steps: number): number | null {
  const { type, inputs } = node;
  const ofInput = (input: number) => (inputs[input] ? valueType(scope, inputs[input], steps) : null);
  if (float16Handling(node) === 'makes') {
    const attribute = typeAttributeOf(node);
    if (attribute === 'value') return tensorAttribute(node, attribute)?.type ?? FLOAT32;
    const stated = intAttribute(node, attribute, 0);
    return stated !== 0 ? stated : /Like$|^Bernoulli$/.test(type) ? ofInput(0) : type === 'Multinomial' ? 6 : FLOAT32;
  }
  if (node.domain === '') {
    if (WHOLE_NUMBERS.has(type) || ((type === 'TopK' || type === 'MaxPool') && output === 1)) return INT64;
    if (FLAGS.has(type) || (type === 'Dropout' && output === 1)) return BOOL;
    if (type === 'If') return bodyOutput(node, output);
    if (type === 'Loop') return output + 2 < inputs.length ? ofInput(output + 2) : bodyOutput(node, output + 1);
    if (type === 'Scan') return bodyOutput(node, output);
  }
  const from = TYPE_OF_INPUT[node.domain === '' ? type : `${node.domain}:${type}`];
  return from === undefined ? ofInput(inputs.findIndex((name) => name !== '')) : ofInput(from);
}

function bodyOutput({ attributes }: Node, output: number): number | null {
  const body: Graph | undefined = attributes.flatMap(({ graphs }) => graphs)[0];
  const stated = body?.outputs[output]?.proto.type?.value;
  return stated?.case === 'tensorType' && stated.value.elemType !== 0 ? stated.value.elemType : null;
}
