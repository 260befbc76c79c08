/**
 * The rules a model's structure has to keep: those of onnx.checker (onnx/checker.cc, docs/IR.md), and which of them
 * onnxruntime insists on when it loads a model (core/graph/graph.cc). Time is linear in the size of the graph.
 */
import { firstIrVersion } from './numbers/element-types.ts';
import type { Attribute, FunctionBody, Graph, Model, Node, Tensor } from './model.ts';

/** A rule that a model breaks. */
export type Rule =
  /** A graph lists an input twice. */
  | 'input-twice'
  /** Two initializers have one name. */
  | 'initializer-twice'
  /** An initializer has no element type. */
  | 'type-missing'
  /** An element type came with a newer IR version than the model's. */
  | 'type-too-new'
  /** Before IR version 4 every initializer is an input, too. */
  | 'initializer-not-input'
  /** Two nodes make one value. */
  | 'made-twice'
  /** A node makes a value that is an initializer, too. */
  | 'initializer-made'
  /** A node makes a value that is an input, too. */
  | 'input-made'
  /** A node in a body makes a value of a name that a graph around it defines before. */
  | 'value-shadowed'
  /** A node uses a value that nothing defines. */
  | 'value-undefined'
  /** A node uses a value that a later node makes. */
  | 'value-unsorted'
  /** Nothing makes an output of a graph or function. */
  | 'output-undefined'
  /** An output of a body is a value of an outer graph. */
  | 'output-from-outside'
  /** A type is stated for a value that is not there. */
  | 'stated-undefined'
  /** Two types are stated for one value. */
  | 'stated-twice'
  /** Two nodes of a graph have one name. `Constant` nodes are not counted: runtimes make initializers of them. */
  | 'node-name-twice'
  /** A node names no operator. */
  | 'operator-missing'
  /** A node has an attribute twice. */
  | 'attribute-twice'
  /** The operator set of a node's domain is not imported. */
  | 'domain-not-imported'
  /** A model of IR version 3 or newer imports no operator set. */
  | 'opset-missing'
  /** A key of the metadata is there twice. */
  | 'metadata-twice'
  /** Local functions came with IR version 8. */
  | 'function-too-new';

/** A broken rule and where it is broken. */
export interface Violation {
  rule: Rule;
  /** Empty for the main graph, else where it is: `then_branch of If_12`. */
  where: string;
  /** Of the value, node, attribute or domain. */
  name: string;
  /** Whether onnxruntime does not load a model because of it. */
  refused: boolean;
}

/** IR version since which initializers need not be inputs. */
export const FREE_INITIALIZERS = 4;
const FUNCTIONS = 8;
/** IR version since which operator sets are imported. */
const OPSETS = 3;

/** Finds all violations, in the order of the file. */
export function findViolations(model: Model): Violation[] {
  const found: Violation[] = [];
  const { irVersion, opsets, metadata, graph, functions } = model;
  const add = (rule: Rule, where: string, name: string, refused: boolean) => {
    found.push({ rule, where, name, refused });
  };
  if (opsets.length === 0 && irVersion >= OPSETS) add('opset-missing', '', '', true);
  const keys = new Set<string>();
  for (const { key } of metadata) {
    if (keys.has(key)) add('metadata-twice', '', key, false);
    keys.add(key);
  }
  const domains = new Set(opsets.map(({ domain }) => domain));
  checkGraph(graph, { where: '', isBody: false, isLenient: false, outer: null, domains, irVersion, add });
  const called = calledFunctions(model);
  for (const one of functions) {
    if (irVersion < FUNCTIONS) add('function-too-new', '', one.name, false);
    checkFunction(one, {
      where: `function ${functionName(one)}`,
      isBody: true,
      isLenient: !called.has(one),
      outer: null,
      domains: new Set(one.opsets.map(({ domain }) => domain)),
      irVersion,
      add,
    });
  }
  return found;
}

interface Place {
  where: string;
  /** In a body or function, where onnxruntime applies stricter rules. */
  isBody: boolean;
  /** In a function that is never called, which onnxruntime does not check. */
  isLenient: boolean;
  outer: Names | null;
  domains: ReadonlySet<string>;
  irVersion: number;
  add(rule: Rule, where: string, name: string, refused: boolean): void;
}

/** Names of a graph, by what defines them. */
interface Names {
  defined: Map<string, Definition>;
  /** Outputs of all its nodes. */ made: ReadonlySet<string>;
  outer: Names | null;
}
type Definition = 'input' | 'initializer' | 'constant' | 'node';
/** The rule that a node breaks by making a value that is already defined, by what defined it. */
const MADE_AGAIN: Readonly<Record<Definition, Rule>> = {
  input: 'input-made',
  initializer: 'initializer-made',
  constant: 'made-twice',
  node: 'made-twice',
};

function checkGraph(graph: Graph, place: Place): void {
  const { where, isBody, isLenient, irVersion } = place;
  const add = (rule: Rule, name: string, refused: boolean) => {
    place.add(rule, where, name, refused && !isLenient);
  };
  const defined = new Map<string, Definition>();
  const weights = new Set([
    ...graph.initializers.map(({ name }) => name),
    ...graph.sparseInitializers.map(({ name }) => name),
  ]);
  for (const { name } of graph.inputs.map(({ proto }) => proto)) {
    // An input with a default may be listed twice, onnxruntime takes the first.
    if (defined.has(name)) add('input-twice', name, !weights.has(name));
    defined.set(name, 'input');
  }
  const seen = new Map<string, Tensor>();
  for (const tensor of graph.initializers) {
    const { name, type } = tensor;
    const earlier = seen.get(name);
    // In the main graph the later one counts, as long as both look alike.
    if (earlier) add('initializer-twice', name, isBody || !looksLike(earlier, tensor));
    seen.set(name, tensor);
    checkType(tensor, place);
    if (type === 0) add('type-missing', name, true);
    if (irVersion < FREE_INITIALIZERS && !defined.has(name)) add('initializer-not-input', name, false);
  }
  const sparse = new Set<string>();
  for (const { name } of graph.sparseInitializers) {
    if (sparse.has(name) || seen.has(name)) add('initializer-twice', name, sparse.has(name));
    sparse.add(name);
  }
  for (const name of weights) if (!defined.has(name)) defined.set(name, 'initializer');

  const names: Names = { defined, made: outputsOf(graph.nodes), outer: place.outer };
  checkNodes(graph.nodes, names, place);
  for (const { name } of graph.outputs.map(({ proto }) => proto)) {
    if (defined.has(name)) continue;
    if (name !== '' && isVisible(place.outer, name)) add('output-from-outside', name, false);
    else add('output-undefined', name, true);
  }
  const stated = new Set<string>();
  for (const { name } of graph.values.map(({ proto }) => proto)) {
    if (!defined.has(name)) add('stated-undefined', name, false);
    if (stated.has(name)) add('stated-twice', name, false);
    stated.add(name);
  }
}

function checkFunction({ inputs, outputs, nodes }: FunctionBody, place: Place): void {
  const defined = new Map<string, Definition>(inputs.map((name) => [name, 'input']));
  checkNodes(nodes, { defined, made: outputsOf(nodes), outer: null }, place);
  // Schemas are made of all functions, called or not.
  for (const name of outputs) if (!defined.has(name)) place.add('output-undefined', place.where, name, true);
}

/** Checks nodes in order, so that values are made before they are used. Adds the values they make to the names. */
function checkNodes(nodes: readonly Node[], names: Names, place: Place): void {
  const { where, isBody, isLenient, domains } = place;
  const { defined, made } = names;
  const add = (rule: Rule, name: string, refused: boolean) => {
    place.add(rule, where, name, refused && !isLenient);
  };
  const called = new Set<string>();
  for (const node of nodes) {
    const { name, type, domain, inputs, outputs, attributes } = node;
    const isConstant = type === 'Constant' && domain === '';
    if (type === '') add('operator-missing', name, true);
    if (name !== '' && !isConstant) {
      if (called.has(name)) add('node-name-twice', name, true);
      called.add(name);
    }
    // Runtimes have domains of their own that need no import.
    if (!domains.has(domain)) add('domain-not-imported', domain, false);
    for (const input of inputs) {
      if (input === '' || defined.has(input) || isDefinedOutside(names.outer, input)) continue;
      if (made.has(input)) add('value-unsorted', input, isBody);
      else if (isVisible(names.outer, input)) add('value-unsorted', input, false);
      else add('value-undefined', input, true);
    }
    checkAttributes(attributes, add);
    for (const { tensors } of attributes) for (const tensor of tensors) checkType(tensor, place);
    for (const { proto, graphs } of attributes) {
      for (const graph of graphs)
        checkGraph(graph, { ...place, where: titleOf(proto.name, node, where), isBody: true, outer: names });
    }
    for (const output of outputs) {
      if (output === '') continue;
      const earlier = defined.get(output);
      // onnxruntime makes initializers of the main graph's constants, of which the last counts.
      if (earlier) add(MADE_AGAIN[earlier], output, isBody || !isConstant || earlier === 'node');
      else if (isDefinedOutside(names.outer, output)) add('value-shadowed', output, true);
      if (earlier !== 'node') defined.set(output, isConstant ? 'constant' : 'node');
    }
  }
}

/** Where a body is, as a person would look for it. */
function titleOf(attribute: string, { name, type }: Node, where: string): string {
  const place = `${attribute} of ${name || type}`;
  return where === '' ? place : `${place}, ${where}`;
}

function checkAttributes(
  attributes: readonly Attribute[],
  add: (rule: Rule, name: string, refused: boolean) => void,
): void {
  if (attributes.length < 2) return;
  const seen = new Set<string>();
  for (const { name } of attributes.map(({ proto }) => proto)) {
    if (seen.has(name)) add('attribute-twice', name, true);
    seen.add(name);
  }
}

function checkType({ name, type }: Tensor, { irVersion, where, add }: Place): void {
  if (irVersion < firstIrVersion(type)) add('type-too-new', where, name, false);
}

function looksLike(a: Tensor, b: Tensor): boolean {
  return a.type === b.type && a.dims.length === b.dims.length && a.dims.every((size, axis) => size === b.dims[axis]);
}

function outputsOf(nodes: readonly Node[]): Set<string> {
  const names = new Set<string>();
  for (const { outputs } of nodes) for (const name of outputs) names.add(name);
  return names;
}

/** Whether a graph around this one defines a name before the node the body belongs to. */
function isDefinedOutside(outer: Names | null, name: string): boolean {
  for (let at = outer; at; at = at.outer) if (at.defined.has(name)) return true;
  return false;
}

/** Whether a graph around this one defines a name at all. */
function isVisible(outer: Names | null, name: string): boolean {
  for (let at = outer; at; at = at.outer) if (at.defined.has(name) || at.made.has(name)) return true;
  return false;
}

function functionName({ domain, name }: FunctionBody): string {
  return domain === '' ? name : `${domain}.${name}`;
}

/** Functions that the graph calls, directly or in another one's body. Overloads have one name here. */
function calledFunctions({ graph, functions }: Model): Set<FunctionBody> {
  const called = new Set<FunctionBody>();
  if (functions.length === 0) return called;
  const byName = new Map<string, FunctionBody[]>();
  for (const one of functions) {
    const known = byName.get(`${one.domain}:${one.name}`);
    if (known) known.push(one);
    else byName.set(`${one.domain}:${one.name}`, [one]);
  }
  const waiting: (readonly Node[])[] = [graph.nodes];
  for (let nodes = waiting.pop(); nodes; nodes = waiting.pop()) {
    for (const { type, domain, attributes } of nodes) {
      for (const { graphs } of attributes) for (const body of graphs) waiting.push(body.nodes);
      for (const one of byName.get(`${domain}:${type}`) ?? []) {
        if (called.has(one)) continue;
        called.add(one);
        waiting.push(one.nodes);
      }
    }
  }
  return called;
}

/** What is wrong, as the end of a sentence: `its graph lists the input "x" twice`. */
export function describeViolation({ rule, where, name }: Violation): string {
  const graph = where || 'its graph';
  const inside = where === '' ? '' : ` in ${where}`;
  const quoted = `"${name}"`;
  switch (rule) {
    case 'input-twice':
      return `${graph} lists the input ${quoted} twice`;
    case 'initializer-twice':
      return `${graph} has two initializers called ${quoted}`;
    case 'type-missing':
      return `the initializer ${quoted}${inside} has no element type`;
    case 'type-too-new':
      return `the tensor ${quoted}${inside} has an element type that is newer than the model's IR version`;
    case 'initializer-not-input':
      return `the initializer ${quoted}${inside} is not an input, which it must be before IR version ${FREE_INITIALIZERS}`;
    case 'made-twice':
      return `two nodes${inside} make ${quoted}`;
    case 'initializer-made':
      return `${quoted} is an initializer and made by a node, too${where === '' ? '' : `,${inside}`}`;
    case 'input-made':
      return `${quoted} is an input and made by a node, too${where === '' ? '' : `,${inside}`}`;
    case 'value-shadowed':
      return `${graph} defines the value ${quoted}, which is defined outside of it, too`;
    case 'value-undefined':
      return `a node${inside} uses the value ${quoted}, which nothing defines`;
    case 'value-unsorted':
      return `a node${inside} uses the value ${quoted} before it is made`;
    case 'output-undefined':
      return `nothing makes the output ${quoted} of ${graph}`;
    case 'output-from-outside':
      return `${graph} gives out the value ${quoted} of a graph around it`;
    case 'stated-undefined':
      return `${graph} states a type for ${quoted}, which is not there`;
    case 'stated-twice':
      return `${graph} states two types for ${quoted}`;
    case 'node-name-twice':
      return `two nodes${inside} are called ${quoted}`;
    case 'operator-missing':
      return `the node ${quoted}${inside} names no operator`;
    case 'attribute-twice':
      return `a node${inside} has the attribute ${quoted} twice`;
    case 'domain-not-imported':
      return `a node${inside} is of the domain ${quoted}, which is not imported`;
    case 'opset-missing':
      return 'it imports no operator set';
    case 'metadata-twice':
      return `its metadata has the key ${quoted} twice`;
    case 'function-too-new':
      return `it has the local function ${quoted}, which needs IR version ${FUNCTIONS}`;
  }
}
