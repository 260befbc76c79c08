/**
 * The graph, the bodies of its control flow and the local functions, each with the names it defines and who uses them,
 * so that a weight can be followed from where it is used to where it lies, outer scopes included.
 */
import { fail } from '../../contract/errors.ts';
import { FLOAT32, INT64 } from '../../onnx/numbers/element-types.ts';
import { describeViolation, findViolations, FREE_INITIALIZERS } from '../../onnx/structure.ts';
import { isReadable } from '../../onnx/tensor-data.ts';
import { isWellFormed } from './node-form.ts';
import { findSparse, findStated } from './scope-lookups.ts';
import type { Attribute, Graph, Model, Node, Opset, Span, SparseTensor, Tensor, ValueInfo } from '../../onnx/model.ts';

/** An initializer, or what a `Constant` node holds. Its tensor has the name it is used by. */
export interface Constant {
  name: string;
  tensor: Tensor;
  scope: Scope;
  /** The `Constant` node; null for an initializer. */
  node: Node | null;
  /** Whether its elements can be read: the file they lie in is there. */
  readable: boolean;
  /**
   * Whether it is the default of an input, for which a caller may give another value. Before IR version 4 all
   * initializers are listed as inputs and none is.
   */
  overridable: boolean;
  /** Why it must stay as it is: what the graph says of it is not clear, or a caller may override it; null for nearly all. */
  doubt: string | null;
}

export interface Use {
  node: Node;
  /** Position among the node's inputs. */ input: number;
  scope: Scope;
}

export interface Scope {
  kind: 'graph' | 'function';
  /** Empty for the main graph; else where it is, for people: `then_branch of If_12`. */
  title: string;
  /** Where names are looked up that it does not define; functions see nothing outside. */
  parent: Scope | null;
  nodes: readonly Node[];
  /** The messages around its nodes, outermost first. */
  within: readonly Span[];
  constants: ReadonlyMap<string, Constant>;
  /** Constants whose name a later one has, too, which is the one that counts. */
  shadowed: readonly Constant[];
  sparse: readonly SparseTensor[];
  producer: ReadonlyMap<string, Node>;
  /** Uses of the names it defines, those from inside bodies included. */
  uses: ReadonlyMap<string, readonly Use[]>;
  inputs: ReadonlySet<string>;
  outputs: ReadonlySet<string>;
  /** What it says of the type and shape of values: inputs, outputs and others. */
  values: readonly ValueInfo[];
  inputValues: readonly ValueInfo[];
  opsets: readonly Opset[];
}

const OVERRIDABLE =
  'an input of the model with this default: callers may give another value, so it keeps its name and type; override by its name takes it in';

interface Draft extends Scope {
  constants: Map<string, Constant>;
  shadowed: Constant[];
  producer: Map<string, Node>;
  uses: Map<string, Use[]>;
  outputs: Set<string>;
}

/**
 * All scopes, the main graph first.
 * @param taken Whether an overridable initializer is to be a weight like any other.
 * Errors: `onnx-invalid` for what onnxruntime refuses, too: see structure.ts, and nodes that need each other's results.
 */
export function findScopes(model: Model, taken: (name: string) => boolean = () => false): Scope[] {
  const violation = findViolations(model).find(({ refused }) => refused);
  if (violation) invalid(model, describeViolation(violation));
  const scopes: Draft[] = [];
  const add = (draft: Draft, graph: Graph | null): Draft => {
    scopes.push(draft);
    const stated = new Map<string, ValueInfo[]>();
    for (const info of draft.values) {
      const known = stated.get(info.proto.name);
      if (known) known.push(info);
      else stated.set(info.proto.name, [info]);
    }
    const isOverridable = (name: string) => model.irVersion >= FREE_INITIALIZERS && draft.inputs.has(name);
    const doubtOf = (name: string, tensor: Tensor) =>
      isOverridable(name) && !taken(name)
        ? OVERRIDABLE
        : draft.constants.has(name) || findSparse(draft.sparse, name) !== undefined
          ? 'another tensor has the same name'
          : stated.get(name)?.some((info) => !agrees(info, tensor))
            ? 'the graph states another type or shape for it'
            : null;
    for (const tensor of graph?.initializers ?? []) {
      const earlier = draft.constants.get(tensor.name);
      if (earlier) draft.shadowed.push(earlier);
      draft.constants.set(tensor.name, {
        name: tensor.name,
        tensor,
        scope: draft,
        node: null,
        readable: isReadable(tensor, model.external),
        overridable: isOverridable(tensor.name),
        doubt: doubtOf(tensor.name, tensor),
      });
    }
    for (const node of draft.nodes) {
      for (const output of node.outputs) if (output !== '') draft.producer.set(output, node);
      const constant = constantOf(node, draft, model);
      if (constant) {
        const earlier = draft.constants.get(constant.name);
        if (earlier) draft.shadowed.push(earlier);
        draft.constants.set(constant.name, {
          ...constant,
          overridable: isOverridable(constant.name),
          doubt: doubtOf(constant.name, constant.tensor),
        });
      }
      for (const attribute of node.attributes) {
        attribute.graphs.forEach((body, index) => {
          const place = `${attribute.proto.name}${attribute.graphs.length > 1 ? ` ${index}` : ''} of ${node.name || node.type}`;
          add(graphScope(body, draft, draft.title === '' ? place : `${place}, ${draft.title}`, draft.opsets), body);
        });
      }
    }
    return draft;
  };
  add(graphScope(model.graph, null, '', model.opsets), model.graph);
  for (const body of model.functions) {
    add(
      {
        ...emptyScope(),
        kind: 'function',
        title: `function ${body.domain === '' ? '' : `${body.domain}.`}${body.name}`,
        parent: null,
        nodes: body.nodes,
        within: [body.span],
        inputs: new Set(body.inputs),
        outputs: new Set(body.outputs),
        opsets: body.opsets.map((opset) => olderOf(opset, model.opsets)),
      },
      null,
    );
  }
  doubtShadowed(scopes);
  for (const scope of scopes) {
    for (const node of scope.nodes) {
      node.inputs.forEach((name, input) => {
        const owner = name === '' ? null : (definingScope(scope, name) as Draft | null);
        if (!owner) return;
        const known = owner.uses.get(name);
        if (known) known.push({ node, input, scope });
        else owner.uses.set(name, [{ node, input, scope }]);
      });
    }
    // A body may give out a value of the graph around it.
    for (const name of scope.outputs) (definingScope(scope, name) as Draft | null)?.outputs.add(name);
    if (hasCycle(scope)) invalid(model, `nodes of ${scope.title || 'its graph'} need each other's results`);
  }
  for (const name of model.trainingNames) scopes[0]?.outputs.add(name);
  return scopes;
}

/** ONNX has names once, bodies included; which tensor a runtime takes where a body has one of a name outside is its own affair. */
function doubtShadowed(scopes: readonly Draft[]): void {
  const doubt = (draft: Draft, name: string) => {
    const constant = draft.constants.get(name);
    if (constant)
      draft.constants.set(name, {
        ...constant,
        doubt: constant.doubt ?? 'a graph inside or outside has another value of the same name',
      });
  };
  for (const scope of scopes) {
    if (!scope.parent) continue;
    for (const name of [...scope.constants.keys(), ...scope.producer.keys(), ...scope.inputs]) {
      const outer = definingScope(scope.parent, name) as Draft | null;
      if (!outer) continue;
      doubt(outer, name);
      doubt(scope, name);
    }
  }
}

function emptyScope(): Pick<
  Draft,
  'constants' | 'shadowed' | 'sparse' | 'producer' | 'uses' | 'values' | 'inputValues'
> {
  return {
    constants: new Map(),
    shadowed: [],
    sparse: [],
    producer: new Map(),
    uses: new Map(),
    values: [],
    inputValues: [],
  };
}

function graphScope(graph: Graph, parent: Scope | null, title: string, opsets: readonly Opset[]): Draft {
  return {
    ...emptyScope(),
    kind: 'graph',
    title,
    parent,
    nodes: graph.nodes,
    within: [...graph.within, graph.span],
    opsets,
    sparse: [...graph.sparseInitializers],
    inputs: new Set(graph.inputs.map(({ proto }) => proto.name)),
    outputs: new Set(graph.outputs.map(({ proto }) => proto.name)),
    values: [...graph.inputs, ...graph.outputs, ...graph.values],
    inputValues: graph.inputs,
  };
}

/** The scope that defines a name: the nearest one outwards. The empty name stands for an input that is left out. */
export function definingScope(scope: Scope, name: string): Scope | null {
  if (name === '') return null;
  for (let at: Scope | null = scope; at; at = at.parent) {
    if (at.constants.has(name) || at.producer.has(name) || at.inputs.has(name) || findSparse(at.sparse, name))
      return at;
  }
  return null;
}

/** Whether what a graph states of a value is true of a tensor. */
function agrees({ proto }: ValueInfo, { type, dims }: Tensor): boolean {
  const stated = proto.type?.value;
  if (stated?.case !== 'tensorType' || stated.value.elemType !== type) return false;
  const { shape } = stated.value;
  return (
    !shape ||
    (shape.dim.length === dims.length &&
      shape.dim.every(({ value }, axis) => value.case !== 'dimValue' || Number(value.value) === dims[axis]))
  );
}

/** onnxruntime puts the nodes of a function into the graph around it, where the model's operator sets count. */
function olderOf(opset: Opset, model: readonly Opset[]): Opset {
  const outside = model.find(({ domain }) => domain === opset.domain);
  return outside && outside.version < opset.version ? outside : opset;
}

/** The version of an operator set a scope is written for; 0 where it does not say. */
export function opsetOf(scope: Scope, domain = ''): number {
  return scope.opsets.find((opset) => opset.domain === domain)?.version ?? 0;
}

/** Whether a node is as its operator set has it; see node-form.ts. */
export function isNodeKnown(node: Node, scope: Scope): boolean {
  return isWellFormed(node, scope.opsets.length === 0 ? null : opsetOf(scope));
}

/** What a `Constant` node holds; sparse tensors and strings given as attributes are not weights. */
function constantOf(node: Node, scope: Scope, model: Model): Omit<Constant, 'doubt' | 'overridable'> | null {
  const name = node.outputs[0] ?? '';
  if (node.type !== 'Constant' || node.domain !== '' || name === '' || !isNodeKnown(node, scope)) return null;
  const given = node.attributes.find(
    ({ proto, tensors }) =>
      tensors.length > 0 || (proto.refAttrName === '' && /^value_(float|int)s?$/.test(proto.name)),
  );
  const tensor = given && (given.tensors[0] ?? numbersOf(given, node.span));
  return tensor
    ? { name, tensor: { ...tensor, name }, scope, node, readable: isReadable(tensor, model.external) }
    : null;
}

function numbersOf({ proto }: Attribute, span: Span): Tensor {
  const list = proto.name.endsWith('s');
  if (proto.name.startsWith('value_float')) {
    const values = Float32Array.from(list ? proto.floats : [proto.f]);
    return {
      name: '',
      type: FLOAT32,
      dims: list ? [values.length] : [],
      data: { kind: 'values', bytes: new Uint8Array(values.buffer) },
      bytes: values.byteLength,
      ints: null,
      span,
    };
  }
  const values = BigInt64Array.from(list ? proto.ints : [proto.i]);
  const bytes = values.reduce((sum, value) => sum + varintLength(value), 0);
  return {
    name: '',
    type: INT64,
    dims: list ? [values.length] : [],
    data: { kind: 'values', bytes: new Uint8Array(values.buffer) },
    bytes,
    ints: Array.from(values, Number),
    span,
  };
}

/** Bytes protobuf writes an int64 in. */
function varintLength(value: bigint): number {
  return Math.max(1, Math.ceil(BigInt.asUintN(64, value).toString(2).length / 7));
}

/** Kahn's algorithm over the nodes of one scope; what bodies use counts as used by the node they belong to. */
function hasCycle(scope: Scope): boolean {
  const waiting = new Map<Node, number>();
  const waitedFor = new Map<Node, Node[]>();
  for (const node of scope.nodes) {
    const needs = new Set([...namesUsed(node)].flatMap((name) => scope.producer.get(name) ?? []));
    waiting.set(node, needs.size);
    for (const needed of needs) {
      const list = waitedFor.get(needed);
      if (list) list.push(node);
      else waitedFor.set(needed, [node]);
    }
  }
  const ready = scope.nodes.filter((node) => waiting.get(node) === 0);
  let done = 0;
  for (let node = ready.pop(); node; node = ready.pop()) {
    done++;
    for (const next of waitedFor.get(node) ?? []) {
      const left = (waiting.get(next) ?? 0) - 1;
      waiting.set(next, left);
      if (left === 0) ready.push(next);
    }
  }
  return done < scope.nodes.length;
}

/** Names a node needs from its own scope: its inputs, and what its bodies use without defining it. */
function namesUsed(node: Node): Set<string> {
  const names = new Set(node.inputs);
  /** What bodies define, from the outermost to the one that is visited. */
  const defined: Set<string>[] = [];
  const use = (name: string) => {
    if (!defined.some((here) => here.has(name))) names.add(name);
  };
  const visit = (graph: Graph) => {
    defined.push(
      new Set([
        ...graph.initializers.map(({ name }) => name),
        ...graph.inputs.map(({ proto }) => proto.name),
        ...graph.nodes.flatMap(({ outputs }) => outputs),
      ]),
    );
    for (const inner of graph.nodes) {
      inner.inputs.forEach(use);
      for (const attribute of inner.attributes) attribute.graphs.forEach(visit);
    }
    for (const { proto } of graph.outputs) use(proto.name);
    defined.pop();
  };
  for (const attribute of node.attributes) attribute.graphs.forEach(visit);
  return names;
}

/** An integer attribute, or `fallback` when the node does not state it. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const found = node.attributes.find(({ proto }) => proto.name === name);
  return found ? Number(found.proto.i) : fallback;
}

/** A float attribute, or `fallback` when the node does not state it. */
export function floatAttribute(node: Node, name: string, fallback: number): number {
  const found = node.attributes.find(({ proto }) => proto.name === name);
  return found ? found.proto.f : fallback;
}

/** A list-of-integers attribute, or null when the node does not state it. */
export function intsAttribute(node: Node, name: string): number[] | null {
  const found = node.attributes.find(({ proto }) => proto.name === name);
  return found ? found.proto.ints.map(Number) : null;
}

/** Attributes that stand for a parameter of the function around them; what they are is not known here. */
export function hasReferences(node: Node): boolean {
  return node.attributes.some(({ proto }) => proto.refAttrName !== '');
}

/** Rank of a value, as far as the graph states it. */
export function statedRank(scope: Scope, name: string): number | null {
  const owner = definingScope(scope, name);
  const type = owner && findStated(owner.values, name)?.proto.type?.value;
  return type?.case === 'tensorType' && type.value.shape ? type.value.shape.dim.length : null;
}

function invalid(model: Model, why: string): never {
  fail(
    'onnx-invalid',
    `${model.source.name} is not a valid ONNX model: ${why}.`,
    'Check that the export finished, or export the model again.',
  );
}
