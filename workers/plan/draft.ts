/**
 * Collects the changes of a planned file: tensors that replace a constant, nodes that replace a node, and at the end what
 * is no longer used. It knows scopes and edits, and no operators.
 */
import {
  encodeConstant,
  encodeInitializer,
  encodeInput,
  encodeNode,
  encodeOpset,
  NODE_FIELD,
  OPSET_FIELD,
  type NewNode,
  type NewTensor,
} from '../onnx/writing/encode.ts';
import type { Model, Node, Span } from '../onnx/model.ts';
import { pieceLength, type Edit, type Piece } from '../onnx/writing/splice.ts';
import { placeNew, type DataFile } from './data-file.ts';
import type { QuantizeTask } from './quantize-task.ts';
import type { Constant } from '../onnx/graph/scopes.ts';
import { uniqueNames, uniqueNodeNames } from '../onnx/graph/unique-names.ts';
import { definingScope, type Scope } from '../onnx/graph/scopes.ts';
import type { Via } from '../onnx/graph/constant-view.ts';

/** The domain of onnxruntime's own operators. */
export const CONTRIB = 'com.microsoft';

/** What a constant is stored as in the new file, instead of or beside its old form. */
export interface Replacement {
  tensors: NewTensor<QuantizeTask>[];
  /** Tensors that are not weights, such as a shape. */
  extras: AddedTensor[];
  /** Nodes that compute a value from the tensors. They go where the constant is defined. */
  nodes: NewNode[];
}

/** A tensor that is not a weight, and its purpose. */
export interface AddedTensor {
  tensor: NewTensor<QuantizeTask>;
  why: string;
}

/** The changes of a file that is being planned. */
export interface Draft {
  /** Returns a new name for a value. */
  unique(wish: string): string;
  /** Replaces a node by new nodes. */
  replace(scope: Scope, node: Node, nodes: NewNode[]): void;
  /** Gives an input of a node another value. */
  rename(scope: Scope, node: Node, input: number, name: string): void;
  /** Marks nodes between a constant and a removed use. They are removed at the end unless other nodes use them. */
  markBypassed(via: Via): void;
  replacementOf(constant: Constant): Replacement;
  isReplaced(constant: Constant): boolean;
  /** Whether a constant is removed together with its last use, such as the shape of a Reshape. Known at the end. */
  isDropped(constant: Constant): boolean;
  /** Adds a tensor that belongs to no constant, such as a shape. */
  add(scope: Scope, extra: AddedTensor): void;
  /** Registers work for when all uses are known. */
  later(work: () => void): void;
  /** Whether a value is no longer used. */
  isDead(scope: Scope, name: string): boolean;
  /** Nodes that still use a value. */
  liveUses(scope: Scope, name: string): Node[];
  /** Operators of the new nodes, with their domain where they have one. */
  operators: ReadonlySet<string>;
  /** Element types of new tensors. Known at the end. */
  types: ReadonlySet<number>;
  finish(): { edits: Edit<QuantizeTask>[]; extras: AddedTensor[] };
}

/**
 * Creates a draft without changes.
 * @param data The file for large tensors; null if all go into the model.
 */
export function createDraft(model: Model, scopes: readonly Scope[], data: DataFile | null): Draft {
  const unique = uniqueNames(scopes);
  const uniqueNode = uniqueNodeNames(scopes);
  const edits: Edit<QuantizeTask>[] = [];
  const gone = new Set<Node>();
  const renamed = new Map<Node, Set<number>>();
  const passed: Via[] = [];
  const replacements = new Map<Constant, Replacement>();
  const added: { scope: Scope; extra: AddedTensor }[] = [];
  const waiting: (() => void)[] = [];
  const contribIn = new Set<Scope>();
  const operators = new Set<string>();
  const types = new Set<number>();
  const droppedConstants = new Set<Constant>();
  /** Values of the model that new nodes take: a weight may be the other factor or the bias of what is replaced, too. */
  const taken = new Map<Scope, Set<string>>();
  /**
   * How many uses of a value are gone with their node, or take another value now. Counted, as a value may have tens of
   * thousands.
   */
  const endedUses = new Map<Scope, Map<string, number>>();

  /** @param free A node name that has just become free. */
  const nodePieces = (scope: Scope, nodes: readonly NewNode[], free = ''): Piece<QuantizeTask>[] =>
    nodes.map((node) => {
      if (node.domain === CONTRIB) contribIn.add(scope);
      operators.add(node.domain === '' ? node.type : `${node.domain}:${node.type}`);
      const name = node.name === free ? free : uniqueNode(node.name);
      if (name === free) free = '';
      return { kind: 'bytes', bytes: encodeNode({ ...node, name }, NODE_FIELD[scope.kind]) };
    });
  const tensorPieces = (scope: Scope, tensor: NewTensor<QuantizeTask>) => {
    types.add(tensor.type);
    return scope.kind === 'graph' ? encodeInitializer(tensor, placeNew(data, tensor.data)) : encodeConstant(tensor);
  };
  const edit = (scope: Scope, at: { start: number; end: number }, pieces: Piece<QuantizeTask>[]) => {
    edits.push({ start: at.start, end: at.end, within: scope.within, pieces });
  };
  const beginning = (scope: Scope) => {
    const at = scope.nodes[0]?.span.start ?? scope.within.at(-1)?.end ?? 0;
    return { start: at, end: at };
  };

  const liveUses = (scope: Scope, name: string): Node[] => {
    const owner = definingScope(scope, name);
    return (owner?.uses.get(name) ?? []).flatMap(({ node, input }) =>
      gone.has(node) || renamed.get(node)?.has(input) ? [] : [node],
    );
  };
  const isDead = (scope: Scope, name: string): boolean => {
    const owner = definingScope(scope, name);
    if (!owner) return true;
    return (
      !owner.outputs.has(name) &&
      !taken.get(owner)?.has(name) &&
      (endedUses.get(owner)?.get(name) ?? 0) === (owner.uses.get(name)?.length ?? 0)
    );
  };
  const endUse = (scope: Scope, name: string) => {
    const owner = definingScope(scope, name);
    if (!owner) return;
    const ended = endedUses.get(owner) ?? new Map<string, number>();
    endedUses.set(owner, ended.set(name, (ended.get(name) ?? 0) + 1));
  };
  const end = (scope: Scope, node: Node) => {
    if (gone.has(node)) return;
    gone.add(node);
    node.inputs.forEach((name, input) => {
      if (!renamed.get(node)?.has(input)) endUse(scope, name);
    });
  };
  const remove = (scope: Scope, node: Node) => {
    end(scope, node);
    edit(scope, node.span, []);
  };

  return {
    unique,
    operators,
    types,
    replace(scope, node, nodes) {
      end(scope, node);
      for (const name of nodes.flatMap(({ inputs }) => inputs)) {
        const owner = definingScope(scope, name);
        if (owner) taken.set(owner, (taken.get(owner) ?? new Set()).add(name));
      }
      edit(scope, node.span, nodePieces(scope, nodes, node.name));
    },
    rename(scope, node, input, name) {
      const span = node.inputSpans[input];
      if (!span) throw new RangeError(`${node.name} has no input ${input}`);
      const inputs = renamed.get(node) ?? new Set();
      if (!gone.has(node) && !inputs.has(input)) endUse(scope, node.inputs[input] ?? '');
      renamed.set(node, inputs.add(input));
      edits.push({
        start: span.start,
        end: span.end,
        within: [...scope.within, node.span],
        pieces: [{ kind: 'bytes', bytes: encodeInput(name) }],
      });
    },
    markBypassed(via) {
      passed.push(via);
    },
    replacementOf(constant) {
      const known = replacements.get(constant) ?? { tensors: [], extras: [], nodes: [] };
      replacements.set(constant, known);
      return known;
    },
    isReplaced: (constant) => replacements.has(constant),
    isDropped: (constant) => droppedConstants.has(constant),
    add(scope, extra) {
      added.push({ scope, extra });
    },
    later(work) {
      waiting.push(work);
    },
    isDead,
    liveUses,
    finish() {
      for (const work of waiting) work();
      const dropped = new Map<Scope, Set<string>>();
      const drop = (scope: Scope, name: string) => {
        dropped.set(scope, (dropped.get(scope) ?? new Set()).add(name));
      };
      const besides: { scope: Scope; name: string }[] = [];
      for (const { node, scope } of passed.flat()) {
        const [output = ''] = node.outputs;
        if (gone.has(node) || !isDead(scope, output)) continue;
        remove(scope, node);
        drop(scope, output);
        for (const name of node.inputs.slice(1)) besides.push({ scope, name });
      }
      for (const { scope, name } of besides) {
        const constant = definingScope(scope, name)?.constants.get(name);
        if (!constant || replacements.has(constant) || droppedConstants.has(constant) || !isDead(scope, name)) continue;
        if (constant.node) remove(constant.scope, constant.node);
        else edit(constant.scope, constant.tensor.span, []);
        drop(constant.scope, name);
        droppedConstants.add(constant);
      }
      for (const { scope, extra } of added) edit(scope, beginning(scope), tensorPieces(scope, extra.tensor));
      for (const [{ scope, name, tensor, node }, { tensors, extras, nodes }] of replacements) {
        const place = node?.span ?? tensor.span;
        const stays = !isDead(scope, name);
        const made = nodePieces(scope, nodes);
        edit(scope, stays ? { start: place.end, end: place.end } : place, [
          ...[...extras.map(({ tensor: extra }) => extra), ...tensors].flatMap((one) => tensorPieces(scope, one)),
          ...(node ? made : []),
        ]);
        if (!node && made.length > 0) edit(scope, beginning(scope), made);
        if (stays) continue;
        drop(scope, name);
        if (node) end(scope, node);
      }
      for (const [scope, names] of dropped) {
        for (const { proto, span } of scope.values) {
          // Models of IR version 3 list initializers as inputs as well; one that is gone must not stay behind as a required input.
          if (names.has(proto.name) && !scope.outputs.has(proto.name)) edit(scope, span, []);
        }
      }
      addOpsets();
      return {
        edits,
        extras: [...added.map(({ extra }) => extra), ...[...replacements.values()].flatMap(({ extras }) => extras)],
      };
    },
  };

  function addOpsets(): void {
    if (contribIn.size === 0) return;
    const lacks = (opsets: Scope['opsets']) => opsets.every(({ domain }) => domain !== CONTRIB);
    if (lacks(model.opsets)) {
      const at = model.graph.span.start;
      edits.push({ start: at, end: at, within: [], pieces: [{ kind: 'bytes', bytes: encodeOpset(CONTRIB, 1) }] });
    }
    const functions = new Set(
      [...contribIn]
        .map((scope) => outermost(scope))
        .filter((scope) => scope.kind === 'function' && lacks(scope.opsets)),
    );
    for (const scope of functions) {
      const at = (scope.within.at(-1) as Span).body;
      edit(scope, { start: at, end: at }, [{ kind: 'bytes', bytes: encodeOpset(CONTRIB, 1, OPSET_FIELD.function) }]);
    }
  }
}

function outermost(scope: Scope): Scope {
  return scope.parent ? outermost(scope.parent) : scope;
}

/** Bytes of the elements of new tensors. */
export function tensorBytes(tensors: readonly NewTensor<QuantizeTask>[]): number {
  return tensors.reduce((sum, { data }) => sum + pieceLength(data), 0);
}
