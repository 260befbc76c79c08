/**
 * Decides what becomes of every tensor at one level, and why, before any weight is read: the edits that make the new
 * file, its exact size, and a ledger with one line for each initializer.
 */
import { engineError } from '../errors.ts';
import type { EngineError, LedgerLine, LevelSettings } from '../protocol.ts';
import { elementCount, elementType, FLOAT16, FLOAT32, UINT8 } from '../onnx/element-types.ts';
import { encodeInitializer, encodeInt64Initializer, encodeNode, encodeOpset } from '../onnx/encode.ts';
import type { Model, Node, Span, Tensor } from '../onnx/model.ts';
import { piecesLength, splice, type Edit, type Piece } from '../onnx/splice.ts';
import type { BlockedWeights, ResolvedLevel, Scheme } from '../schemes/scheme.ts';
import { findWeights, type EmbeddingTable, type MatMulWeight, type Via, type Weights } from './find-weights.ts';
import { indexGraph, type GraphIndex } from './graph-index.ts';
import { blockedBytes, blockedShape, float16Bytes, type Recipe } from './recipe.ts';

export interface Plan {
  pieces: Piece<Recipe>[];
  bytes: number;
  weightBytes: number;
  ledger: LedgerLine[];
  /** Initializers that change. */
  changed: number;
  summary: string;
  /** Why this level cannot be made of this model, or null. */
  problem: EngineError | null;
}

/** A scanned model with what planning needs to know of it, worked out once for all levels. */
export interface PlanInput { model: Model; index: GraphIndex; weights: Weights }

export function preparePlan(model: Model): PlanInput {
  const index = indexGraph(model.graph);
  return { model, index, weights: findWeights(index) };
}

const CONTRIB = 'com.microsoft';

/** Operators whose presence says that weights were quantized before. */
const QUANTIZED_OPERATORS = new Set([
  'MatMulNBits', 'GatherBlockQuantized', 'DequantizeLinear', 'QLinearMatMul', 'MatMulInteger', 'DynamicQuantizeMatMul',
  'MatMulIntegerToFloat', 'QLinearConv', 'ConvInteger', 'QAttention', 'QGemm', 'MatMulBnb4',
]);

/**
 * A level is made of the weights it is compared with, those of the fp16 baseline, so that its drift is quantization and
 * nothing else; the setting `source: 'original'` takes the model's own float32 weights instead.
 *
 * @param beyondFloat16 names of float32 tensors that hold values fp16 cannot (see float16-range.ts).
 */
export function planLevel(input: PlanInput, scheme: Scheme, settings: LevelSettings, beyondFloat16: ReadonlySet<string>): Plan {
  const level = scheme.resolve(settings);
  return level.weights ? planBlocked(input, scheme, level, level.weights, beyondFloat16) : planFloat16(input, beyondFloat16);
}

/** Whether the model's own weights are half precision already, so that it is its own fp16 baseline. */
export function isHalfPrecision({ model }: PlanInput): boolean {
  const bytesOf = (type: number) => model.graph.initializers
    .filter((tensor) => tensor.type === type && tensor.dims.length > 1)
    .reduce((sum, tensor) => sum + tensor.bytes, 0);
  return bytesOf(FLOAT16) > bytesOf(FLOAT32);
}

/** float32 weights the fp16 baseline rounds, as far as fp16 can hold them; none when the model is its own baseline. */
export function roundedTensors(input: PlanInput): Tensor[] {
  return isHalfPrecision(input) ? [] : input.model.graph.initializers.filter((tensor) => tensor.type === FLOAT32 && tensor.dims.length > 1 && tensor.data.kind === 'inline');
}

function planFloat16(input: PlanInput, beyondFloat16: ReadonlySet<string>): Plan {
  const { model, index } = input;
  if (isHalfPrecision(input)) {
    const ledger = model.graph.initializers.map((tensor) => keptLine(tensor, 'the model is half precision already: it is its own baseline'));
    return finish(model, [], ledger, 'The model as it is: its weights are fp16 already.', null);
  }
  const names = uniqueNames(index);
  const rounded = new Set(roundedTensors(input).filter((tensor) => !beyondFloat16.has(tensor.name)));
  const edits: Edit<Recipe>[] = [];
  const casts: Uint8Array[] = [];
  const ledger = model.graph.initializers.map((tensor): LedgerLine => {
    if (!rounded.has(tensor)) return keptLine(tensor, beyondFloat16.has(tensor.name) ? 'holds values beyond 65,504, the largest fp16 number' : whyNotRounded(tensor));
    const name = names(`${tensor.name}_fp16`);
    const length = float16Bytes(tensor);
    edits.push(inGraph(model, tensor.span, encodeInitializer<Recipe>(name, FLOAT16, tensor.dims, { kind: 'made', recipe: { kind: 'to-float16', tensor }, part: 'values', length })));
    casts.push(encodeNode({ type: 'Cast', domain: '', name: `${tensor.name}_widen`, inputs: [name], outputs: [tensor.name], attributes: { to: FLOAT32 } }));
    return { tensor: tensor.name, shape: tensor.dims, from: 'float32', to: 'float16', bytesBefore: tensor.bytes, bytesAfter: length, reason: 'weight rounded to fp16, widened by a Cast so that arithmetic stays float32' };
  });
  const dropped = new Set([...rounded].map((tensor) => tensor.name));
  edits.push(...dropInputs(model, dropped));
  if (casts.length > 0) edits.push(beforeNodes(model, casts));
  const summary = rounded.size > 0
    ? `${count(rounded.size, 'weight')} rounded to fp16; arithmetic stays float32.`
    : 'The model as it is: no float32 weight to round.';
  return finish(model, edits, ledger, summary, null);
}

function whyNotRounded(tensor: Tensor): string {
  if (tensor.type !== FLOAT32) return whyNotFloat(tensor);
  if (tensor.dims.length < 2) return 'a vector or a number: small, and kept exact';
  return whyNotReadable(tensor);
}

/** A weight in blocked form and the initializers it is stored as. */
interface Blocked {
  recipe: Recipe & { kind: 'quantize' };
  codes: string | null;
  /** Codes without padding, as GatherBlockQuantized takes them; the same initializer as `codes` when nothing is padded. */
  rows: string | null;
  scales: string;
  zeroPoints: string | null;
  pieces: Piece<Recipe>[];
  bytes: number;
}

function planBlocked(input: PlanInput, scheme: Scheme, level: ResolvedLevel, weights: BlockedWeights, beyondFloat16: ReadonlySet<string>): Plan {
  const { model, index } = input;
  const rounded = new Set(level.source === 'baseline' ? roundedTensors(input).filter(({ name }) => !beyondFloat16.has(name)) : []);
  const names = uniqueNames(index);
  const edits: Edit<Recipe>[] = [];
  const extraLines: LedgerLine[] = [];
  const converted = new Set<Node>();
  const pathsToUse: Via[] = [];
  const passedBy = new Set<Node>();
  const blockedOf = new Map<Tensor, Blocked[]>();
  const whyKept = new Map<Tensor, string>();

  const blocked = (tensor: Tensor, layout: 'kn' | 'nk', type: number, k: number, n: number): Blocked => {
    const known = blockedOf.get(tensor) ?? [];
    const same = known.find(({ recipe }) => recipe.layout === layout && recipe.type === type);
    if (same) return same;
    const recipe: Blocked['recipe'] = { kind: 'quantize', tensor, layout, k, n, type, scheme: weights, rounded: rounded.has(tensor) };
    const bytes = blockedBytes(k, n, weights, type);
    const shape = blockedShape(k, n, weights);
    const scales = names(`${tensor.name}_scales`);
    const zeroPoints = weights.symmetric ? null : names(`${tensor.name}_zero_points`);
    const made: Blocked = {
      recipe, codes: null, rows: null, scales, zeroPoints, bytes: bytes.scales + bytes.zeroPoints,
      pieces: [
        ...encodeInitializer<Recipe>(scales, type, shape.scales, { kind: 'made', recipe, part: 'scales', length: bytes.scales }),
        ...(zeroPoints === null ? [] : encodeInitializer<Recipe>(zeroPoints, UINT8, shape.zeroPoints, { kind: 'made', recipe, part: 'zeroPoints', length: bytes.zeroPoints })),
      ],
    };
    blockedOf.set(tensor, [...known, made]);
    return made;
  };
  const addCodes = (made: Blocked, part: 'codes' | 'rows', dims: readonly number[]): string => {
    const { tensor } = made.recipe;
    const name = names(`${tensor.name}_Q${weights.bits}`);
    const length = elementCount(dims);
    made.pieces.push(...encodeInitializer<Recipe>(name, UINT8, dims, { kind: 'made', recipe: made.recipe, part, length }));
    made.bytes += length;
    made[part] = name;
    return name;
  };

  const tables = new Map<Tensor, EmbeddingTable>();
  for (const table of input.weights.embeddings) {
    const asked = level.tables === 'all' || (level.tables === 'tokens' && table.tokens);
    const why = asked ? whyNotBlocked(table.tensor, table.type, table.width, table.rows, weights) ?? whyNotTable(table, weights)
      : table.tokens ? 'embedding table; the embedding setting quantizes it' : 'table looked up by something else than tokens, such as positions: kept exact';
    if (why === null) tables.set(table.tensor, table);
    else whyKept.set(table.tensor, why);
  }
  for (const { tensor, rows, width, type, nodes } of tables.values()) {
    const made = blocked(tensor, 'nk', type, width, rows);
    const codes = made.rows ?? addCodes(made, 'rows', [rows, (width * weights.bits) / 8]);
    for (const { node, via } of nodes) {
      converted.add(node);
      pathsToUse.push(via);
      edits.push(inGraph(model, node.span, [bytesPiece(encodeNode({
        type: 'GatherBlockQuantized', domain: CONTRIB, name: node.name,
        inputs: [codes, node.inputs[1] ?? '', made.scales, ...(made.zeroPoints === null ? [] : [made.zeroPoints])], outputs: node.outputs,
        attributes: { bits: weights.bits, block_size: weights.block, gather_axis: 0, quantize_axis: 1 },
      }))]));
    }
  }
  for (const weight of input.weights.matMuls) {
    const nodes = weight.nodes.filter(({ head }) => level.head || !head);
    if (nodes.length < weight.nodes.length) whyKept.set(weight.tensor, 'output projection, kept as asked');
    if (nodes.length === 0) continue;
    const why = whyNotBlocked(weight.tensor, weight.type, weight.k, weight.n, weights);
    if (why !== null) {
      whyKept.set(weight.tensor, why);
      continue;
    }
    const made = blocked(weight.tensor, weight.layout, weight.type, weight.k, weight.n);
    const codes = matMulCodes(weight, made);
    for (const { node, via } of nodes) {
      converted.add(node);
      pathsToUse.push(via);
      edits.push(inGraph(model, node.span, [...codes.before(), bytesPiece(encodeNode({
        type: 'MatMulNBits', domain: CONTRIB, name: node.name,
        inputs: [node.inputs[0] ?? '', codes.name, made.scales, ...(made.zeroPoints === null ? [] : [made.zeroPoints])], outputs: node.outputs,
        attributes: { K: weight.k, N: weight.n, bits: weights.bits, block_size: weights.block },
      }))]));
    }
  }
  // Transposes and Casts that only served converted nodes go; those still used by others stay.
  for (const node of pathsToUse.flat()) {
    if (converted.has(node) || !isDead(node.outputs[0] ?? '')) continue;
    converted.add(node);
    passedBy.add(node);
    edits.push(inGraph(model, node.span, []));
  }

  /** A tied table's codes are the same bytes in both layouts: the projection sees the table's initializer through a Reshape. */
  function matMulCodes(weight: MatMulWeight, made: Blocked): { name: string; before: () => Piece<Recipe>[] } {
    const shape = blockedShape(weight.k, weight.n, weights);
    if (made.rows !== null && weight.k % weights.block === 0) {
      const name = names(`${made.rows}_blocked`);
      const shapeName = names(`${made.rows}_shape`);
      const target = bytesPiece(encodeInt64Initializer(shapeName, shape.codes));
      edits.push(inGraph(model, insertionPoint(weight.tensor.span), [target]));
      extraLines.push({ tensor: shapeName, shape: [3], from: '', to: 'int64', bytesBefore: 0, bytesAfter: 24, reason: 'shape through which the output projection sees the embedding table' });
      let pending: Piece<Recipe>[] = [bytesPiece(encodeNode({ type: 'Reshape', domain: '', name, inputs: [made.rows, shapeName], outputs: [name], attributes: {} }))];
      return { name, before: () => { const pieces = pending; pending = []; return pieces; } };
    }
    return { name: made.codes ?? addCodes(made, 'codes', shape.codes), before: () => [] };
  }

  function isDead(value: string): boolean {
    return !index.outputs.has(value) && !index.usedInside.has(value) && (index.uses.get(value) ?? []).every(({ node }) => converted.has(node));
  }

  const dropped = new Set<string>();
  const ledger = model.graph.initializers.map((tensor): LedgerLine => {
    const made = blockedOf.get(tensor);
    if (!made) return keptLine(tensor, whyKept.get(tensor) ?? whyNotCovered(index, tensor, scheme.element));
    const stays = !isDead(tensor.name);
    const bytes = made.reduce((sum, part) => sum + part.bytes, 0);
    edits.push(inGraph(model, tensor.span, [
      ...(stays ? [{ kind: 'copy' as const, start: tensor.span.start, end: tensor.span.end }] : []),
      ...made.flatMap(({ pieces }) => pieces),
    ]));
    if (!stays) dropped.add(tensor.name);
    const type = elementType(tensor.type).name;
    return {
      tensor: tensor.name, shape: tensor.dims, from: type, to: stays ? `${type} and ${scheme.element}` : scheme.element,
      bytesBefore: tensor.bytes, bytesAfter: bytes + (stays ? tensor.bytes : 0),
      reason: `${describe(weights)}${tables.get(tensor)?.tokens === false ? '; not looked up by token, and embedding=tokens would keep it exact' : ''}${tables.has(tensor) && made[0]?.codes === null ? '; embedding table and output projection share it' : ''}${stays ? `; stored twice, because ${whyStays(index, tensor, converted, whyKept.get(tensor))}` : ''}`,
    };
  });
  for (const node of passedBy) for (const output of node.outputs) dropped.add(output);
  edits.push(...dropInputs(model, dropped), ...dropValues(model, dropped));

  if (blockedOf.size === 0) return finish(model, [], model.graph.initializers.map((tensor) => keptLine(tensor, whyKept.get(tensor) ?? whyNotCovered(index, tensor, scheme.element))), 'Nothing to quantize.', whyNothing(input, whyKept));
  if (!model.opsets.some(({ domain }) => domain === CONTRIB)) {
    edits.push({ start: model.graph.span.start, end: model.graph.span.start, within: [], pieces: [bytesPiece(encodeOpset(CONTRIB, 1))] });
  }
  const covered = [...blockedOf.keys()].reduce((sum, tensor) => sum + elementCount(tensor.dims), 0);
  return finish(model, edits, [...ledger, ...extraLines],
    `${count(blockedOf.size, 'weight')} with ${millions(covered)} parameters become ${scheme.element}, ${describe(weights)}.`, null);
}

function whyNotBlocked(tensor: Tensor, type: number, k: number, n: number, weights: BlockedWeights): string | null {
  if (tensor.type !== FLOAT32 && tensor.type !== FLOAT16) return whyNotFloat(tensor);
  if (tensor.data.kind !== 'inline') return whyNotReadable(tensor);
  if (k === 0 || n === 0) return 'it is empty';
  const { codes, scales, zeroPoints } = blockedBytes(k, n, weights, type);
  return codes + scales + zeroPoints < tensor.bytes ? null : `would not get smaller: ${k} inputs fill too little of a block of ${weights.block}`;
}

function whyNotTable({ width }: EmbeddingTable, { bits }: BlockedWeights): string | null {
  return (width * bits) % 8 === 0 ? null : `rows of ${width} values do not end on a byte at ${bits} bits`;
}

function whyNotCovered(index: GraphIndex, tensor: Tensor, element: string): string {
  if (tensor.type !== FLOAT32 && tensor.type !== FLOAT16) return whyNotFloat(tensor);
  if (tensor.dims.length < 2) return 'a vector or a number: small, and kept exact';
  const operators = [...new Set((index.uses.get(tensor.name) ?? []).map(({ node }) => node.type))];
  if (operators.length === 0) return index.usedInside.has(tensor.name) ? 'used inside control flow, where weights are left alone' : 'not used by any operator';
  return `used by ${operators.join(', ')}, which ${element} does not cover here`;
}

function whyNotFloat(tensor: Tensor): string {
  const { name } = elementType(tensor.type);
  return /^(u?int|bool|string)/.test(name) ? `${name}: shapes, indices and flags stay exact` : `${name} weights are not quantized yet`;
}

function whyNotReadable(tensor: Tensor): string {
  return tensor.data.kind === 'external' ? 'stored in another file' : 'stored number by number instead of as raw data';
}

function whyStays(index: GraphIndex, tensor: Tensor, converted: ReadonlySet<Node>, why: string | undefined): string {
  const users = (index.uses.get(tensor.name) ?? []).filter(({ node }) => !converted.has(node)).map(({ node }) => node.type);
  const type = elementType(tensor.type).name;
  const use = users.length > 0 ? `${[...new Set(users)].join(', ')} still needs it as ${type}` : `the graph still needs it as ${type}`;
  return why ? `${use} (${why})` : use;
}

function whyNothing({ model, weights }: PlanInput, whyKept: ReadonlyMap<Tensor, string>): EngineError {
  const reasons = [...new Set(weights.matMuls.flatMap(({ tensor }) => whyKept.get(tensor) ?? []))];
  if (reasons.length > 0) {
    return engineError('nothing-to-quantize', `No weight of ${model.source.name} can be quantized with these settings.`, 'Try other settings: a smaller block, or the output projection too.', reasons.join('\n'));
  }
  const quantized = [...new Set(model.graph.nodes.map(({ type }) => type).filter((type) => QUANTIZED_OPERATORS.has(type)))];
  return quantized.length > 0
    ? engineError('already-quantized', `${model.source.name} is quantized already (it uses ${quantized.join(', ')}).`, 'Drop the float16 or float32 model it was made from.')
    : engineError('nothing-to-quantize', `${model.source.name} has no weight these levels can quantize: no MatMul whose second input is a 2-D float16 or float32 initializer.`, 'Drop a transformer or another model built on MatMul; weights inside Constant, Gemm or Conv nodes are not covered yet.');
}

function describe({ bits, block, symmetric }: BlockedWeights): string {
  return `${bits} bits in blocks of ${block}, ${symmetric ? 'symmetric' : 'asymmetric'}`;
}

function keptLine(tensor: Tensor, reason: string): LedgerLine {
  const { name } = elementType(tensor.type);
  return { tensor: tensor.name, shape: tensor.dims, from: name, to: name, bytesBefore: tensor.bytes, bytesAfter: tensor.bytes, reason };
}

function finish(model: Model, edits: Edit<Recipe>[], ledger: LedgerLine[], summary: string, problem: EngineError | null): Plan {
  const pieces = splice(model.source.size, edits);
  return {
    pieces, ledger, summary, problem,
    bytes: piecesLength(pieces),
    weightBytes: ledger.reduce((sum, line) => sum + line.bytesAfter, 0),
    changed: ledger.filter((line) => line.from !== line.to && line.from !== '').length,
  };
}

function inGraph(model: Model, at: { start: number; end: number }, pieces: Piece<Recipe>[]): Edit<Recipe> {
  return { start: at.start, end: at.end, within: [model.graph.span], pieces };
}

function insertionPoint(span: Span): { start: number; end: number } {
  return { start: span.start, end: span.start };
}

function beforeNodes(model: Model, nodes: Uint8Array[]): Edit<Recipe> {
  const first = model.graph.nodes[0]?.span.start ?? model.graph.span.end;
  return inGraph(model, { start: first, end: first }, nodes.map(bytesPiece));
}

/** Models of IR version 3 list initializers as inputs as well; one that is gone must not stay behind as a required input. */
function dropInputs(model: Model, names: ReadonlySet<string>): Edit<Recipe>[] {
  return model.graph.inputs.filter(({ proto }) => names.has(proto.name)).map(({ span }) => inGraph(model, span, []));
}

function dropValues(model: Model, names: ReadonlySet<string>): Edit<Recipe>[] {
  return model.graph.values.filter(({ proto }) => names.has(proto.name)).map(({ span }) => inGraph(model, span, []));
}

function bytesPiece(bytes: Uint8Array): Piece<Recipe> {
  return { kind: 'bytes', bytes };
}

/** Hands out names no value of the graph has. */
function uniqueNames(index: GraphIndex): (wish: string) => string {
  const taken = new Set([...index.initializers.keys(), ...index.producer.keys(), ...index.uses.keys(), ...index.inputs, ...index.usedInside]);
  return (wish) => {
    let name = wish;
    for (let i = 2; taken.has(name); i++) name = `${wish}_${i}`;
    taken.add(name);
    return name;
  };
}

function count(n: number, noun: string): string {
  return `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`;
}

function millions(n: number): string {
  return n >= 1e6 ? `${(n / 1e6).toFixed(n >= 1e8 ? 0 : 1)} M` : n.toLocaleString('en');
}
