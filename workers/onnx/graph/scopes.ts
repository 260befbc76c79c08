/**
 * The graph, the bodies of its control flow and the local functions, each with the names it defines and who uses them,
 * so that a weight can be followed from where it is used to where it lies, outer scopes included.
 */
import { fail } from '../../contract/errors.ts';
import { describeViolation, findViolations, FREE_INITIALIZERS } from '../structure.ts';
import { isReadable } from '../tensor-data.ts';
import { isWellFormed } from './operator-signatures.ts';
import { findSparse, findStated } from './lookups.ts';
import { matchesStatement, constantNodeValue, type Constant } from './constants.ts';
import { namesUsed } from './walk.ts';
import type { Graph, Model, Node, Opset, Span, SparseTensor, Tensor, ValueInfo } from '../model.ts';

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

/** The scope of the main graph. Errors as `findScopes`. */
export function mainScope(model: Model): Scope {
  return findScopes(model)[0]!;
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

/** onnxruntime puts the nodes of a function into the graph around it, where the model's operator sets count. */
function olderOf(opset: Opset, model: readonly Opset[]): Opset {
  const outside = model.find(({ domain }) => domain === opset.domain);
  return outside && outside.version < opset.version ? outside : opset;
}

/** The version of an operator set a scope is written for; 0 where it does not say. */
export function opsetOf(scope: Scope, domain = ''): number {
  return scope.opsets.find((opset) => opset.domain === domain)?.version ?? 0;
}

/** Whether a node is as its operator set has it; see operator-signatures.ts. */
export function isNodeKnown(node: Node, scope: Scope): boolean {
  return isWellFormed(node, scope.opsets.length === 0 ? null : opsetOf(scope));
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
