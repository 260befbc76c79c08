/**
 * A float32 graph in fp16, as a planned file: constants rounded, what is stated of values said anew, and Casts where
 * one type meets the other. What the graph and its bodies take and give keeps its type. Operators that have no fp16
 * form stay in float32 (operators.ts), and so do those whose values fp16 would spoil (precision/exact.ts).
 */
import { least } from '../../contract/extremes.ts';
import { toBinary } from '@bufbuild/protobuf';
import { ValueInfoProtoSchema, type ValueInfoProto } from 'onnx-buf';
import { asFloat32 } from '../../lib/bytes.ts';
import { encodeConstant, encodeInitializer, encodeInput, encodeNode, NODE_FIELD } from '../../onnx/writing/encode.ts';
import { BFLOAT16, elementCount, FLOAT16, FLOAT32, FLOAT64 } from '../../onnx/numbers/element-types.ts';
import { convert } from '../../onnx/numbers/elements.ts';
import { toFloat16Array } from '../../onnx/numbers/float16.ts';
import type { Model, Node, Tensor, ValueInfo } from '../../onnx/model.ts';
import { splice, type Edit, type Piece } from '../../onnx/writing/splice.ts';
import { readTensor } from '../../onnx/tensor-data.ts';
import { tensorAttribute } from '../../onnx/graph/attributes.ts';
import { encodeField } from '../../onnx/wire.ts';
import { uniqueNames, uniqueNodeNames } from '../../onnx/graph/unique-names.ts';
import { isQuantizedOperator } from '../families/registry.ts';
import { MOST_READ, type PlanInput } from '../plan.ts';
import { decidePrecision, FAR, MASK_LIMIT, type ConstantValues } from '../precision/exact.ts';
import { describeMisfit, judge, type Misfits } from '../precision/fits.ts';
import { float16Bytes, type QuantizeTask } from '../quantize-task.ts';
import { findStated } from '../../onnx/graph/lookups.ts';
import type { Constant } from '../../onnx/graph/scopes.ts';
import { definingScope, opsetOf, type Scope, type Use } from '../../onnx/graph/scopes.ts';
import { float16Handling, makesFromFloats } from './operators.ts';
import { valueType } from './value-types.ts';

/** A float32 graph planned in fp16. */
export interface Converted {
  pieces: Piece<QuantizeTask>[];
  /** Constants that are fp16 now. */
  rounded: ReadonlySet<Constant>;
  /** Nodes that stay in float32. */
  kept: number;
  /** Values of the main graph that are float32 wherever they are used. */
  floats: ReadonlySet<string>;
  /** float32 constants that stay, and why. */
  whyFloat: ReadonlyMap<Constant, string>;
  /** Constants that were not there before, and what they are for. */
  added: ReadonlyMap<string, string>;
}

/** Number of the field that states the type of a value inside a graph. */
const GRAPH_VALUE = 13;
/** Before, Cast named its type in words. */
const OLDEST = 6;
/** Since then Max takes inputs of different shapes. */
const BROADCASTING_MAX = 8;

type Wish = typeof FLOAT32 | typeof FLOAT16 | 'any';

/** Why a model cannot be converted, as a clause about the model. */
export type WhyNotConverted = string;

/**
 * Plans a float32 graph in fp16.
 * @param misfits Tensors that fp16 cannot hold. They, and nodes that compute with them, stay in float32.
 */
export async function convertToHalf(
  { model, scopes, flow, noWeights }: PlanInput,
  misfits: Misfits,
): Promise<Converted | WhyNotConverted> {
  const refusal = whyNot(model, scopes);
  if (refusal !== null) return refusal;
  const { numbersOf, fillOf } = await readNumbers(model, scopes, misfits);
  const { kept, isClamped } = decidePrecision(scopes, flow, numbersOf, fillOf, (constant) => noWeights.has(constant));
  const unique = uniqueNames(scopes);
  const uniqueNode = uniqueNodeNames(scopes);
  const edits: Edit<QuantizeTask>[] = [];
  const rounded = new Set<Constant>();
  const floats = new Set<string>();
  const unclear = new Set<string>();
  const whyFloat = new Map<Constant, string>();
  const added = new Map<string, string>();

  const wishOf = ({ node, input, scope }: Use): Wish => {
    if (float16Handling(node) === 'makes' && !makesFromFloats(node)) return 'any';
    if (float16Handling(node) !== 'makes' && !kept.has(node)) return FLOAT16;
    const type = valueType(scope, node.inputs[input] ?? '');
    if (type === null) unclear.add(node.inputs[input] ?? '');
    return type === FLOAT32 ? FLOAT32 : 'any';
  };
  const cast = (from: string, to: string, type: Wish): Piece<QuantizeTask> => ({
    kind: 'bytes',
    bytes: encodeNode(
      {
        type: 'Cast',
        domain: '',
        name: uniqueNode(`${to}_cast`),
        inputs: [from],
        outputs: [to],
        attributes: { to: type === FLOAT16 ? FLOAT16 : FLOAT32 },
      },
      NODE_FIELD.graph,
    ),
  });
  /** A float32 mask as fp16, with nothing further from zero than fp16 can add up. */
  const clampedCast = (from: string, to: string): Piece<QuantizeTask>[] => {
    const [limit, clamped] = [unique(`${from}_limit`), unique(`${from}_clamped`)];
    const bytes = new Uint8Array(Float32Array.of(-MASK_LIMIT).buffer);
    added.set(limit, 'what a mask is clamped to, so that sums of masks stay within fp16');
    return [
      ...encodeConstant<QuantizeTask>(
        { name: limit, type: FLOAT32, dims: [], data: { kind: 'bytes', bytes } },
        NODE_FIELD.graph,
      ),
      {
        kind: 'bytes',
        bytes: encodeNode(
          {
            type: 'Max',
            domain: '',
            name: uniqueNode(clamped),
            inputs: [from, limit],
            outputs: [clamped],
            attributes: {},
          },
          NODE_FIELD.graph,
        ),
      },
      cast(clamped, to, FLOAT16),
    ];
  };

  for (const scope of scopes) {
    const isRoot = scope.parent === null;
    const canClamp = opsetOf(scope) >= BROADCASTING_MAX;
    const beginning = scope.nodes[0]?.span.start ?? scope.within.at(-1)?.end ?? 0;
    const insert = (at: number, pieces: Piece<QuantizeTask>[]) => {
      if (pieces.length > 0) edits.push({ start: at, end: at, within: scope.within, pieces });
    };
    const given = new Map<string, Wish>();

    /** Gives each use the type it wants. @param type Of the value as its name has it. */
    const serve = (name: string, type: Wish, at: number, other: { name: string; type: Wish } | null = null) => {
      const names = new Map<Wish, string>([[type, name], ...(other ? [[other.type, other.name] as const] : [])]);
      const casts: Piece<QuantizeTask>[] = [];
      const uses = scope.uses.get(name) ?? [];
      const clamps =
        canClamp &&
        type === FLOAT32 &&
        isClamped(
          scope,
          name,
          uses.filter((use) => wishOf(use) === FLOAT16),
        );
      for (const use of uses) {
        const wish = wishOf(use);
        if (wish === 'any' || wish === type) continue;
        const known = names.get(wish) ?? unique(`${name}_${wish === FLOAT16 ? 'half' : 'float'}`);
        if (!names.has(wish))
          casts.push(
            ...(clamps && wish === FLOAT16 ? clampedCast(name, known) : [cast(name, known, wish)]),
            ...statedAs(name, known, wish),
          );
        names.set(wish, known);
        rename(use.node, use.node.inputSpans[use.input], known, use.scope);
      }
      insert(at, casts);
      given.set(name, type);
      if (isRoot && !names.has(FLOAT16)) floats.add(name);
    };
    /** What is stated of a value, for another of its shape. */
    const statedAs = (name: string, as: string, type: Wish): Piece<QuantizeTask>[] => {
      const info = findStated(scope.values, name);
      return info && elementTypeOf(info.proto) === FLOAT32
        ? stated({ ...info.proto, name: as }, type === FLOAT16 ? FLOAT16 : FLOAT32, GRAPH_VALUE)
        : [];
    };
    const rename = (node: Node, span: Node['span'] | undefined, name: string, where: Scope) => {
      if (span)
        edits.push({
          start: span.start,
          end: span.end,
          within: [...where.within, node.span],
          pieces: [{ kind: 'bytes', bytes: encodeInput(name, span.number) }],
        });
    };

    for (const constant of scope.constants.values()) {
      const { name, tensor, node, readable, doubt } = constant;
      if (tensor.type !== FLOAT32) continue;
      const uses = scope.uses.get(name) ?? [];
      const wishes = uses.map(wishOf);
      const { misfit } = numbersOf(constant);
      const isMask = isClamped(scope, name, uses);
      // A weight is stored in fp16 as the baseline has it, whatever computes with it.
      const isWeight = tensor.dims.length > 1 && uses.length > 0 && !noWeights.has(constant);
      const stays =
        !readable ||
        doubt !== null ||
        scope.outputs.has(name) ||
        (misfit !== null && !(isMask && misfit === 'low')) ||
        elementCount(tensor.dims) === 0 ||
        (!isWeight && (!wishes.includes(FLOAT16) || wishes.includes(FLOAT32)));
      const place = node?.span ?? tensor.span;
      if (stays) {
        if (uses.length > 0)
          whyFloat.set(
            constant,
            misfit === null
              ? (noWeights.get(constant)?.why ?? 'used where fp16 would lose too much: kept in float32')
              : describeMisfit(misfit),
          );
        serve(name, FLOAT32, node ? place.end : beginning);
        continue;
      }
      rounded.add(constant);
      const data =
        elementCount(tensor.dims) <= MOST_READ
          ? ({
              kind: 'bytes',
              bytes: halvesOf(await readTensor(model.source, tensor, model.external), isMask),
            } as const)
          : ({
              kind: 'made',
              task: { kind: 'to-float16', tensor, ...(isMask && { limit: MASK_LIMIT }) },
              part: 'values',
              length: float16Bytes(tensor),
            } as const);
      edits.push({
        start: place.start,
        end: place.end,
        within: scope.within,
        pieces: encodeInitializer<QuantizeTask>({ name, type: FLOAT16, dims: tensor.dims, data }),
      });
      serve(name, FLOAT16, node ? place.end : beginning);
    }
    for (const { proto, span } of scope.inputValues) {
      const constant = scope.constants.get(proto.name);
      if (constant) {
        // Models of IR version 3 list initializers as inputs as well, with their type.
        if (rounded.has(constant)) edits.push({ start: span.start, end: span.end, within: scope.within, pieces: [] });
      } else if (elementTypeOf(proto) === FLOAT32) serve(proto.name, FLOAT32, beginning);
    }
    for (const node of scope.nodes) {
      node.outputs.forEach((name, output) => {
        if (name === '' || scope.constants.has(name)) return;
        const type = valueType(scope, name);
        const keptHere = kept.has(node) || float16Handling(node) === 'makes';
        if (type === null && (keptHere || scope.outputs.has(name))) unclear.add(name);
        if (type !== null && type !== FLOAT32) return;
        const made = keptHere ? FLOAT32 : FLOAT16;
        const wanted = scope.outputs.has(name) ? FLOAT32 : made;
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
    for (const info of scope.values)
      if (!listed.has(info) && elementTypeOf(info.proto) === FLOAT32 && given.get(info.proto.name) === FLOAT16)
        edits.push(restated(info, scope));
  }
  const [untyped] = unclear;
  if (untyped !== undefined)
    return `what type ${untyped} has is not stated, and does not follow from the operators in front`;
  return { pieces: splice(model.source.size, edits), rounded, kept: kept.size, floats, whyFloat, added };
}

/**
 * What is known of the numbers of constants, of which small ones are read, and what ConstantOfShape nodes fill with.
 */
async function readNumbers(
  model: Model,
  scopes: readonly Scope[],
  misfits: Misfits,
): Promise<{ numbersOf: (constant: Constant) => ConstantValues; fillOf: (node: Node) => number }> {
  const known = new Map<Constant, ConstantValues>();
  const fills = new Map<Node, number>();
  const read = async (tensor: Tensor): Promise<Float32Array> =>
    asFloat32(convert(await readTensor(model.source, tensor, model.external), [tensor.type, FLOAT32]));
  for (const { constants, nodes } of scopes) {
    for (const constant of constants.values()) {
      const { name, tensor, readable } = constant;
      if (!FLOATS.has(tensor.type)) continue;
      const isSmall = readable && elementCount(tensor.dims) <= MOST_READ;
      if (!isSmall) {
        const misfit = misfits.get(name) ?? null;
        known.set(constant, {
          ...ORDINARY,
          misfit,
          isLow: misfit === 'low',
          isFar: misfit === 'low' || misfit === 'large',
        });
        continue;
      }
      const values = await read(tensor);
      const sizes = values.map(Math.abs);
      known.set(constant, {
        misfit: judge(values),
        isLow: values.some((value) => value <= -FAR) && values.every((value) => value <= 1),
        isFar: sizes.some((size) => size >= FAR),
        least: least(sizes),
      });
    }
    for (const node of nodes) {
      const fill = node.type === 'ConstantOfShape' ? tensorAttribute(node, 'value') : null;
      if (fill && FLOATS.has(fill.type) && elementCount(fill.dims) === 1) fills.set(node, (await read(fill))[0] ?? 0);
    }
  }
  return { numbersOf: (constant) => known.get(constant) ?? ORDINARY, fillOf: (node) => fills.get(node) ?? 0 };
}

const FLOATS: ReadonlySet<number> = new Set([FLOAT32, FLOAT64, FLOAT16, BFLOAT16]);
const ORDINARY: ConstantValues = { misfit: null, isLow: false, isFar: false, least: 0 };

function whyNot(model: Model, scopes: readonly Scope[]): WhyNotConverted | null {
  const opset = scopes[0] ? opsetOf(scopes[0]) : 0;
  if (opset < OLDEST)
    return `a Cast that fp16 takes came with operator set ${OLDEST}, the model is written for ${opset}`;
  if (model.functions.length > 0) return 'it has local functions, whose types the calls decide';
  if (model.trainingNames.size > 0) return 'it holds training information, which names values in float32';
  for (const scope of scopes) {
    if (scope.sparse.some(({ type }) => type === FLOAT32)) return 'it has sparse weights in float32';
    for (const node of scope.nodes) {
      if (isQuantizedOperator(node))
        return `it is quantized already: ${node.type} scales numbers that fp16 may not hold`;
      if (float16Handling(node) === 'unknown')
        return `whether ${node.domain === '' ? '' : `${node.domain}.`}${node.type} computes in fp16 is not known`;
      if (node.type === 'Constant' && node.attributes.some(({ sparse }) => sparse.length > 0))
        return 'it has sparse constants';
    }
    // A body gives out what it makes itself; a value of the graph around it would have to have another type there.
    if (scope.parent && [...scope.outputs].some((name) => definingScope(scope, name) !== scope))
      return `${scope.title} gives out a value of the graph around it`;
    for (const { proto } of scope.values)
      if (proto.type && proto.type.value.case !== 'tensorType')
        return `${proto.name} is a ${proto.type.value.case?.replace(/Type$/, '') ?? 'value without a type'}, not a tensor`;
  }
  return null;
}

/** The nearest fp16 numbers; of a mask none further from zero than its limit. */
function halvesOf(bytes: Uint8Array, isMask: boolean): Uint8Array {
  const values = asFloat32(bytes);
  return new Uint8Array(
    toFloat16Array(isMask ? values.map((value) => Math.max(-MASK_LIMIT, Math.min(MASK_LIMIT, value))) : values).buffer,
  );
}

function elementTypeOf({ type }: ValueInfoProto): number | null {
  return type?.value.case === 'tensorType' ? type.value.value.elemType : null;
}

function restated({ proto, span }: ValueInfo, scope: Scope): Edit<QuantizeTask> {
  return { start: span.start, end: span.end, within: scope.within, pieces: stated(proto, FLOAT16, span.number) };
}

/** What is stated of a value, with another element type. */
function stated(proto: ValueInfoProto, elemType: number, field: number): Piece<QuantizeTask>[] {
  const type = structuredClone(proto.type);
  if (type?.value.case === 'tensorType') type.value.value.elemType = elemType;
  const message = toBinary(ValueInfoProtoSchema, { ...proto, ...(type && { type }) });
  return [{ kind: 'bytes', bytes: encodeField(field, message) }];
}
