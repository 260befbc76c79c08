/**
 * The index of a model: the main graph, the bodies of its control flow and its local functions, each with the names it
 * defines and their uses. It leads from a use of a weight to its constant, through outer scopes too.
 */
import { fail } from '../../contract/errors.ts';
import { describeViolation, findViolations, FREE_INITIALIZERS } from '../structure.ts';
import { isReadable } from '../tensor-data.ts';
import { isWellFormed } from './operator-signatures.ts';
import { findSparse, findStated } from './lookups.ts';
import { matchesStatement, constantNodeValue } from './constants.ts';
import { namesUsed } from './walk.ts';
import type { Graph, Model, Node, Opset, Span, SparseTensor, Tensor, ValueInfo } from '../model.ts';

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
  /**
   * Why it is not changed: the graph is ambiguous about it, or a caller may override it. Null for nearly all constants.
   */
  doubt: string | null;
}

/** One input of a node that uses a value. */
export interface Use {
  node: Node;
  /** Position among the node's inputs. */
  input: number;
  scope: Scope;
}

/** A graph, a body of control flow or a local function, with the names it defines and their uses. */
export interface Scope {
  kind: 'graph' | 'function';
  /** Where it is, for messages: `then_branch of If_12`. Empty for the main graph. */
  title: string;
  /**
   * The scope in which names are looked up that this one does not define. Null for the main graph and for functions.
   */
  parent: Scope | null;
  nodes: readonly Node[];
  /** The messages around its nodes, outermost first. */
  within: readonly Span[];
  constants: ReadonlyMap<string, Constant>;
  /** Constants that a later constant of the same name replaces. */
  shadowed: readonly Constant[];
  sparse: readonly SparseTensor[];
  producer: ReadonlyMap<string, Node>;
  /** Uses of the names it defines, including uses in bodies. */
  uses: ReadonlyMap<string, readonly Use[]>;
  inputs: ReadonlySet<string>;
  outputs: ReadonlySet<string>;
  /** Stated types and shapes of values: inputs, outputs and others. */
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
 * Finds all scopes of a model, the main graph first.
 * @param taken Whether an initializer that callers may override is treated as a weight like any other.
 * Errors: `onnx-invalid` for models that onnxruntime refuses (structure.ts) and for cycles of nodes.
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
          : stated.get(name)?.some((info) => !matchesStatement(info, tensor))
            ? 'the graph states another type or shape for it'
            : null;
    const addConstant = (tensor: Tensor, node: Node | null) => {
      const { name } = tensor;
      const earlier = draft.constants.get(name);
      if (earlier) draft.shadowed.push(earlier);
      draft.constants.set(name, {
        name,
        tensor,
        scope: draft,
        node,
        readable: isReadable(tensor, model.external),
        overridable: isOverridable(name),
        doubt: doubtOf(name, tensor),
      });
    };
    for (const tensor of graph?.initializers ?? []) addConstant(tensor, null);
    for (const node of draft.nodes) {
      for (const output of node.outputs) if (output !== '') draft.producer.set(output, node);
      const value = constantNodeValue(node);
      if (value && isNodeKnown(node, draft)) addConstant(value, node);
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

/**
 * Marks constants whose name is also defined in an outer scope. ONNX forbids this, and runtimes differ in which one
 * they use.
 */
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

/** The scope of the main graph. Errors as `findScopes`. */
export function mainScope(model: Model): Scope {
  return findScopes(model)[0]!;
}

/**
 * Finds the nearest scope, going outwards, that defines a name. Null where none does, and for the empty name of an
 * omitted input.
 */
export function definingScope(scope: Scope, name: string): Scope | null {
  if (name === '') return null;
  for (let at: Scope | null = scope; at; at = at.parent) {
    if (at.constants.has(name) || at.producer.has(name) || at.inputs.has(name) || findSparse(at.sparse, name))
      return at;
  }
  return null;
}

/** The older of two versions of an operator set: onnxruntime inlines functions, so the model's version applies too. */
function olderOf(opset: Opset, model: readonly Opset[]): Opset {
  const outside = model.find(({ domain }) => domain === opset.domain);
  return outside && outside.version < opset.version ? outside : opset;
}

/** The version of an operator set that a scope imports; 0 where it imports none. */
export function opsetOf(scope: Scope, domain = ''): number {
  return scope.opsets.find((opset) => opset.domain === domain)?.version ?? 0;
}

/** Whether a node matches its operator's signature; see operator-signatures.ts. */
export function isNodeKnown(node: Node, scope: Scope): boolean {
  return isWellFormed(node, scope.opsets.length === 0 ? null : opsetOf(scope));
}

/** Kahn's algorithm over the nodes of one scope. A value that a body uses counts as used by the node of the body. */
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

/** The stated rank of a value; null where the graph states none. */
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
