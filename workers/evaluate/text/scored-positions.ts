/**
 * Makes a language model compute only what the logits of the scored positions need. In the graph that is evaluated, never
 * in a file that is written, a Slice with two inputs of its own stands as far up as every operator behind it treats each
 * position by itself: in a transformer, behind the last attention.
 *
 *     hidden [batch, tokens, width] ─► Slice(first, end) ─► row-wise operators, output projection ─► logits [batch, end − first, vocabulary]
 *
 * The rows that come out are those the whole graph would have made.
 */
import type { ModelFiles } from '../../contract/files.ts';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  GraphProtoSchema,
  NodeProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type NodeProto,
  type ValueInfoProto,
} from 'onnx-buf';
import { FLOAT16, FLOAT32, INT64 } from '../../onnx/numbers/element-types.ts';
import { encodeInt64Initializer, encodeNode, encodeValueInfo } from '../../onnx/writing/encode.ts';
import type { Model, Node, ValueInfo } from '../../onnx/model.ts';
import { scanModel } from '../../onnx/scan.ts';
import type { Edit } from '../../onnx/writing/splice.ts';
import { encodeField } from '../../onnx/wire.ts';
import { fieldNumbers } from '../../onnx/fields.ts';
import { appendFields, editModel, replaceFields } from '../../onnx/graph/edit.ts';
import { findScopes } from '../../onnx/graph/scopes.ts';
import { uniqueNames } from '../../onnx/graph/unique-names.ts';
import { blobSource } from '../../io/source.ts';
import { recogniseSignature, signatureOf } from '../inputs.ts';
import { findCuts, type Cut } from './row-wise.ts';

export interface SlicedModel {
  /** Refers to the bytes of the model it was made of. */
  model: ModelFiles;
  /** Names of the added inputs, both int64 [1]: the first position to give logits for, and the one after the last. */
  first: string;
  end: string;
}

/** Since this operator set Slice takes its range as inputs. */
const SLICE_WITH_INPUTS = 10;
const SEQUENCE_AXIS = 1;
const GRAPH = fieldNumbers(GraphProtoSchema);

/**
 * Ways to slice a model, the one that saves most first; none unless the graph tells that the logits of the positions left
 * come out the same: logits of rank 3, made by a MatMul or MatMulNBits with a constant matrix, and between the Slice and
 * the output only operators that treat positions alike (row-wise.ts), whose results nothing else sees.
 */
export async function sliceToScored(model: ModelFiles): Promise<SlicedModel[]> {
  try {
    const scanned = await scanModel(blobSource('model', model.model));
    const scopes = findScopes(scanned);
    const output = logitsOf(scanned);
    if (!output || (scanned.opsets.find(({ domain }) => domain === '')?.version ?? 0) < SLICE_WITH_INPUTS) return [];
    const cuts = findCuts(scopes[0]!, output.proto.name);
    return await Promise.all(cuts.map((cut) => slice(model, scanned, uniqueNames(scopes), output, cut)));
  } catch {
    // What is wrong with the file is for the runtime to say when it opens the model as it is.
    return [];
  }
}

function logitsOf({ graph }: Model): ValueInfo | null {
  const weights = new Set(graph.initializers.map(({ name }) => name));
  const inputs = graph.inputs.filter(({ proto }) => !weights.has(proto.name)).map(({ proto }) => signatureOf(proto));
  const signature = recogniseSignature(
    inputs,
    graph.outputs.map(({ proto }) => signatureOf(proto)),
  );
  const output = signature.ok
    ? graph.outputs.find(({ proto }) => proto.name === signature.value.logits.name)
    : undefined;
  return output && signatureOf(output.proto).shape?.length === 3 ? output : null;
}

async function slice(
  files: ModelFiles,
  model: Model,
  name: (wish: string) => string,
  output: ValueInfo,
  { nodes: region, values }: Cut,
): Promise<SlicedModel> {
  const { graph } = model;
  const [first, end, axes] = [name('scored_first'), name('scored_end'), name('scored_axes')];
  const edits: Edit<never>[] = [];
  const replace = (span: { start: number; end: number }, bytes: readonly Uint8Array[]) => {
    edits.push(replaceFields(graph, span, bytes));
  };

  const sliced = new Map<string, string>();
  const behind = new Set<string>();
  for (const node of graph.nodes) {
    if (!region.has(node)) continue;
    for (const value of node.outputs) behind.add(value);
    const wanted = node.inputs.filter((input) => values.has(input));
    if (wanted.length === 0) continue;
    const added: Uint8Array[] = [];
    for (const value of wanted) {
      if (sliced.has(value)) continue;
      const made = sliceOf(value, values.get(value) === FLOAT16, [first, end, axes], name);
      for (const one of made.nodes) added.push(one);
      sliced.set(value, made.result);
    }
    const proto = await readNode(model, node);
    replace(node.span, [
      ...added,
      encodeField(
        GRAPH.node,
        toBinary(NodeProtoSchema, { ...proto, input: proto.input.map((input) => sliced.get(input) ?? input) }),
      ),
    ]);
  }
  replace(output.span, [encodeValueInfo(withFreeDimension(output.proto, name('scored_positions')), GRAPH.output)]);
  // Shapes noted for values behind the Slice are no longer theirs.
  for (const { proto, span } of graph.values) if (behind.has(proto.name)) replace(span, []);
  edits.push(appendFields(graph, [encodeInt64Initializer(axes, [SEQUENCE_AXIS]), int64Input(first), int64Input(end)]));

  return { model: { ...files, model: editModel(files.model, model, edits) }, first, end };
}

/**
 * onnxruntime computes float16 in float32 where it has no float16 kernel, and leaves out the rounding between two such
 * operators. A Slice of float16 between them would bring it back, so it is made of float32; the Cast after it has the
 * name of those that onnxruntime inserts itself, which it leaves out (insert_cast_transformer.cc).
 */
const UNROUNDED = 'InsertedPrecisionFreeCast_';

function sliceOf(
  value: string,
  half: boolean,
  range: string[],
  name: (wish: string) => string,
): { nodes: Uint8Array[]; result: string } {
  const nodes: Uint8Array[] = [];
  const add = (type: string, inputs: string[], attributes: Record<string, number>, wish: string): string => {
    const output = name(wish);
    nodes.push(encodeNode({ type, domain: '', name: output, inputs, outputs: [output], attributes }));
    return output;
  };
  const wide = half ? add('Cast', [value], { to: FLOAT32 }, 'scored_wide') : value;
  const rows = add('Slice', [wide, ...range], {}, 'scored_hidden');
  return { nodes, result: half ? add('Cast', [rows], { to: FLOAT16 }, `${UNROUNDED}scored`) : rows };
}

async function readNode({ source }: Model, { span }: Node): Promise<NodeProto> {
  return fromBinary(NodeProtoSchema, await source.read(span.body, span.end - span.body));
}

/** The same output with a sequence axis of its own: it is no longer as long as the input. */
function withFreeDimension(output: ValueInfoProto, dimension: string): ValueInfoProto {
  const changed = fromBinary(ValueInfoProtoSchema, toBinary(ValueInfoProtoSchema, output));
  const dim =
    changed.type?.value.case === 'tensorType' ? changed.type.value.value.shape?.dim[SEQUENCE_AXIS] : undefined;
  if (dim) dim.value = { case: 'dimParam', value: dimension };
  return changed;
}

function int64Input(name: string): Uint8Array {
  const shape = create(TensorShapeProtoSchema, {
    dim: [create(TensorShapeProto_DimensionSchema, { value: { case: 'dimValue', value: 1n } })],
  });
  const type = create(TypeProtoSchema, {
    value: { case: 'tensorType', value: create(TypeProto_TensorSchema, { elemType: INT64, shape }) },
  });
  return encodeValueInfo(create(ValueInfoProtoSchema, { name, type }), GRAPH.input);
}
