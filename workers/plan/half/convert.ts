/**
 * A float32 graph in fp16, as a planned file: constants rounded, what is stated of values said anew, and Casts where
 * one type meets the other. The graph's inputs and outputs keep their types. Operators that have no fp16 form, or would
 * lose too much in it, stay in float32 (operators.ts).
 */
import { toBinary } from '@bufbuild/protobuf';
import { ValueInfoProtoSchema, type ValueInfoProto } from 'onnx-buf';
import { asFloat32 } from '../../bytes.ts';
import { encodeInitializer, encodeInput, encodeNode, NODE_FIELD } from '../../onnx/encode.ts';
import { elementCount, FLOAT16, FLOAT32 } from '../../onnx/element-types.ts';
import { toFloat16Array } from '../../onnx/float16.ts';
import type { Model, Node, ValueInfo } from '../../onnx/model.ts';
import { splice, type Edit, type Piece } from '../../onnx/splice.ts';
import { readTensor } from '../../onnx/tensor-data.ts';
import { encodeHeader } from '../../onnx/wire.ts';
import { uniqueNames, uniqueNodeNames } from '../draft.ts';
import { isQuantizedOperator } from '../families/registry.ts';
import { float16Bytes, type Recipe } from '../recipe.ts';
import { findStated } from '../scope-lookups.ts';
import { definingScope, opsetOf, type Constant, type Scope, type Use } from '../scopes.ts';
import { follows, handlingOf } from './operators.ts';
import { valueType } from './value-types.ts';

export interface Converted {
  pieces: Piece<Recipe>[];
  /** Constants that are fp16 now. */
  rounded: ReadonlySet<Constant>;
  /** Nodes that stay in float32. */
  kept: number;
  /** Values of the main graph that are float32 wherever they are used. */
  floats: ReadonlySet<string>;
}

/** Number of the field that states the type of a value inside a graph. */
const GRAPH_VALUE = 13;
/** Constants of up to so many elements are rounded at once: 1e-12 and −3.4e38 become the numbers of fp16 nearest to them that are neither 0 nor infinite. */
const SMALL = 256;
const LARGEST_HALF = 65_504;
const SMALLEST_HALF = 2 ** -24;
/** A factor of more elements is a weight, and not part of an angle. */
const MOST_OF_AN_ANGLE = 4096;

/** Before, Cast named its type in words. */
const OLDEST = 6;

type Wish = typeof FLOAT32 | typeof FLOAT16 | 'any';

/** A sentence when it cannot be done, which is true of the model. */
export type Refusal = string;

/** @param beyond Names of tensors that hold values fp16 cannot: they, and what computes with them, stay in float32. */
export async function convertToHalf(model: Model, scopes: readonly Scope[], beyond: ReadonlySet<string>): Promise<Converted | Refusal> {
  const refusal = whyNot(model, scopes);
  if (refusal !== null) return refusal;
  const kept = keptNodes(scopes, beyond);
  const unique = uniqueNames(scopes);
  const uniqueNode = uniqueNodeNames(scopes);
  const edits: Edit<Recipe>[] = [];
  const rounded = new Set<Constant>();
  const floats = new Set<string>();
  const unclear = new Set<string>();

  const wishOf = ({ node, input, scope }: Use): Wish => {
    if (handlingOf(node) === 'makes') return 'any';
    if (!kept.has(node)) return FLOAT16;
    const type = valueType(scope, node.inputs[input] ?? '');
    if (type === null) unclear.add(node.inputs[input] ?? '');
    return type === FLOAT32 ? FLOAT32 : 'any';
  };
  const cast = (from: string, to: string, type: Wish): Piece<Recipe> => ({
    kind: 'bytes', bytes: encodeNode({ type: 'Cast', domain: '', name: uniqueNode(`${to}_cast`), inputs: [from], outputs: [to], attributes: { to: type === FLOAT16 ? FLOAT16 : FLOAT32 } }, NODE_FIELD.graph),
  });

  for (const scope of scopes) {
    const isRoot = scope.parent === null;
    const beginning = scope.nodes[0]?.span.start ?? scope.within.at(-1)?.end ?? 0;
    const insert = (at: number, pieces: Piece<Recipe>[]) => { if (pieces.length > 0) edits.push({ start: at, end: at, within: scope.within, pieces }); };
    const given = new Map<string, Wish>();

    /** Gives each use the type it wants. @param type Of the value as its name has it. */
    const serve = (name: string, type: Wish, at: number, other: { name: string; type: Wish } | null = null) => {
      const names = new Map<Wish, string>([[type, name], ...(other ? [[other.type, other.name] as const] : [])]);
      const casts: Piece<Recipe>[] = [];
      for (const use of scope.uses.get(name) ?? []) {
        const wish = wishOf(use);
        if (wish === 'any' || wish === type) continue;
        const known = names.get(wish) ?? unique(`${name}_${wish === FLOAT16 ? 'half' : 'float'}`);
        if (!names.has(wish)) casts.push(cast(name, known, wish), ...statedAs(name, known, wish));
        names.set(wish, known);
        rename(use.node, use.node.inputSpans[use.input], known, use.scope);
      }
      insert(at, casts);
      given.set(name, type);
      if (isRoot && !names.has(FLOAT16)) floats.add(name);
    };
    /** What is stated of a value, for another of its shape. */
    const statedAs = (name: string, as: string, type: Wish): Piece<Recipe>[] => {
      const info = findStated(scope.values, name);
      return info && elementTypeOf(info.proto) === FLOAT32 ? stated({ ...info.proto, name: as }, type === FLOAT16 ? FLOAT16 : FLOAT32, GRAPH_VALUE) : [];
    };
    const rename = (node: Node, span: Node['span'] | undefined, name: string, where: Scope) => {
      if (span) edits.push({ start: span.start, end: span.end, within: [...where.within, node.span], pieces: [{ kind: 'bytes', bytes: encodeInput(name, span.number) }] });
    };

    for (const constant of scope.constants.values()) {
      const { name, tensor, node, readable, doubt } = constant;
      if (tensor.type !== FLOAT32) continue;
      const wishes = (scope.uses.get(name) ?? []).map(wishOf);
      const stays = !readable || doubt !== null || scope.outputs.has(name) || beyond.has(name) || elementCount(tensor.dims) === 0 || !wishes.includes(FLOAT16) || wishes.includes(FLOAT32);
      const place = node?.span ?? tensor.span;
      if (stays) {
        serve(name, FLOAT32, node ? place.end : beginning);
        continue;
      }
      rounded.add(constant);
      const data = elementCount(tensor.dims) <= SMALL ? { kind: 'bytes', bytes: nearestHalves(await readTensor(model.source, tensor, model.external)) } as const
        : { kind: 'made', recipe: { kind: 'to-float16', tensor }, part: 'values', length: float16Bytes(tensor) } as const;
      edits.push({ start: place.start, end: place.end, within: scope.within, pieces: encodeInitializer<Recipe>({ name, type: FLOAT16, dims: tensor.dims, data }) });
      given.set(name, FLOAT16);
    }
    for (const { proto, span } of scope.inputValues) {
      const constant = scope.constants.get(proto.name);
      if (constant) {
        // Models of IR version 3 list initializers as inputs as well, with their type.
        if (rounded.has(constant)) edits.push({ start: span.start, end: span.end, within: scope.within, pieces: [] });
      } else if (elementTypeOf(proto) === FLOAT32) serve(proto.name, isRoot ? FLOAT32 : FLOAT16, beginning);
    }
    for (const node of scope.nodes) {
      node.outputs.forEach((name, output) => {
        if (name === '' || scope.constants.has(name)) return;
        const type = valueType(scope, name);
        const keptHere = kept.has(node) || handlingOf(node) === 'makes';
        if (type === null && (keptHere || (isRoot && scope.outputs.has(name)))) unclear.add(name);
        if (type !== null && type !== FLOAT32) return;
        const made = keptHere ? FLOAT32 : FLOAT16;
        const wanted = scope.outputs.has(name) ? (isRoot ? FLOAT32 : FLOAT16) : made;
        if (wanted === made) {
          serve(name, made, node.span.end);
          return;
        }
        const inner = unique(`${name}_${made === FLOAT16 ? 'half' : 'float'}`);
        rename(node, node.outputSpans[output], inner, scope);
        insert(node.span.end, [cast(inner, name, wanted), ...statedAs(name, inner, made)]);
        serve(name, wanted, node.span.end, { name: inner, type: made });
      });
    }
    const listed = new Set(scope.inputValues.filter(({ proto }) => scope.constants.has(proto.name)));
    for (const info of scope.values) if (!listed.has(info) && elementTypeOf(info.proto) === FLOAT32 && given.get(info.proto.name) === FLOAT16) edits.push(restated(info, scope));
  }
  const [untyped] = unclear;
  if (untyped !== undefined) return `what type ${untyped} has is not stated, and does not follow from the operators in front`;
  return { pieces: splice(model.source.size, edits), rounded, kept: kept.size, floats };
}

/** Nodes that compute in float32: those that have to, and those that do nothing but prepare what they take. */
function keptNodes(scopes: readonly Scope[], beyond: ReadonlySet<string>): Set<Node> {
  const kept = new Set<Node>();
  for (const scope of scopes) {
    for (const node of scope.nodes) if (handlingOf(node) === 'float' || node.inputs.some((name) => beyond.has(name) && definingScope(scope, name)?.constants.has(name))) kept.add(node);
  }
  // From the end to the front: what a node prepares comes behind it.
  for (const scope of [...scopes].reverse()) {
    for (const node of [...scope.nodes].reverse()) {
      if (kept.has(node) || !follows(node)) continue;
      const uses = node.outputs.flatMap((name) => scope.uses.get(name) ?? []);
      const isLarge = node.inputs.some((name) => elementCount(definingScope(scope, name)?.constants.get(name)?.tensor.dims ?? []) > MOST_OF_AN_ANGLE);
      if (uses.length > 0 && !isLarge && !node.outputs.some((name) => scope.outputs.has(name)) && uses.every((use) => kept.has(use.node))) kept.add(node);
    }
  }
  return kept;
}

function whyNot(model: Model, scopes: readonly Scope[]): Refusal | null {
  const opset = scopes[0] ? opsetOf(scopes[0]) : 0;
  if (opset < OLDEST) return `a Cast that fp16 takes came with operator set ${OLDEST}, the model is written for ${opset}`;
  if (model.functions.length > 0) return 'it has local functions, whose types the calls decide';
  if (model.trainingNames.size > 0) return 'it holds training information, which names values in float32';
  for (const scope of scopes) {
    if (scope.sparse.some(({ type }) => type === FLOAT32)) return 'it has sparse weights in float32';
    for (const node of scope.nodes) {
      if (isQuantizedOperator(node)) return `it is quantized already: ${node.type} scales numbers that fp16 may not hold`;
      if (handlingOf(node) === 'unknown') return `whether ${node.domain === '' ? '' : `${node.domain}.`}${node.type} computes in fp16 is not known`;
      if (node.type === 'Constant' && node.attributes.some(({ sparse }) => sparse.length > 0)) return 'it has sparse constants';
    }
    // A body gives out what it makes itself; a value of the graph around it would have to have another type there.
    if (scope.parent && [...scope.outputs].some((name) => definingScope(scope, name) !== scope)) return `${scope.title} gives out a value of the graph around it`;
    for (const { proto } of scope.values) if (proto.type && proto.type.value.case !== 'tensorType') return `${proto.name} is a ${proto.type.value.case?.replace(/Type$/, '') ?? 'value without a type'}, not a tensor`;
  }
  return null;
}

/** The nearest fp16 numbers; what is finite stays so, and what is not 0 does not become it. */
function nearestHalves(bytes: Uint8Array): Uint8Array {
  const values = asFloat32(bytes).map((value) => {
    if (!Number.isFinite(value) || value === 0) return value;
    return Math.sign(value) * Math.min(LARGEST_HALF, Math.max(SMALLEST_HALF, Math.abs(value)));
  });
  return new Uint8Array(toFloat16Array(values).buffer);
}

function elementTypeOf({ type }: ValueInfoProto): number | null {
  return type?.value.case === 'tensorType' ? type.value.value.elemType : null;
}

function restated({ proto, span }: ValueInfo, scope: Scope): Edit<Recipe> {
  return { start: span.start, end: span.end, within: scope.within, pieces: stated(proto, FLOAT16, span.number) };
}

/** What is stated of a value, with another element type. */
function stated(proto: ValueInfoProto, elemType: number, field: number): Piece<Recipe>[] {
  const type = structuredClone(proto.type);
  if (type?.value.case === 'tensorType') type.value.value.elemType = elemType;
  const message = toBinary(ValueInfoProtoSchema, { ...proto, ...(type && { type }) });
  return [{ kind: 'bytes', bytes: encodeHeader(field, message.length) }, { kind: 'bytes', bytes: message }];
}
