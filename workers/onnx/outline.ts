/**
 * The outline of a model: names, operators, element types and how they are nested, without weights. It is what the
 * rules of structure.ts are checked on. It is taken from a scanned model, or read from the planned pieces of a file
 * before any of it is made.
 */
import type { Graph, Model, Node, Tensor } from './model.ts';
import { pieceLength, type Piece } from './writing/splice.ts';
import { concatBytes, createReader } from './wire.ts';

export interface TensorOutline {
  name: string;
  type: number;
  dims: readonly number[];
  place: DataPlaceOutline | null;
}
/** Where a tensor's data is in another file; `length` is null where the tensor does not say. */
export interface DataPlaceOutline {
  location: string;
  offset: number;
  length: number | null;
}

export interface NodeOutline {
  name: string;
  type: string;
  domain: string;
  inputs: readonly string[];
  outputs: readonly string[];
  /** Names of its attributes. */
  attributes: readonly string[];
  bodies: readonly { attribute: string; graph: GraphOutline }[];
  /** Tensors among its attributes. */
  tensors: readonly TensorOutline[];
}

export interface GraphOutline {
  nodes: readonly NodeOutline[];
  initializers: readonly TensorOutline[];
  /** Names of sparse initializers. */
  sparse: readonly string[];
  inputs: readonly string[];
  outputs: readonly string[];
  /** Names that `value_info` states a type for. */
  values: readonly string[];
}

export interface FunctionOutline {
  name: string;
  domain: string;
  inputs: readonly string[];
  outputs: readonly string[];
  nodes: readonly NodeOutline[];
  domains: readonly string[];
}

export interface ModelOutline {
  /** 0 where the file does not state one. */
  irVersion: number;
  opsets: readonly { domain: string; version: number }[];
  metadataKeys: readonly string[];
  graph: GraphOutline;
  functions: readonly FunctionOutline[];
}

export function outlineModel({ irVersion, opsets, metadata, graph, functions }: Model): ModelOutline {
  return {
    irVersion,
    opsets,
    metadataKeys: metadata.map(({ key }) => key),
    graph: outlineGraph(graph),
    functions: functions.map(({ name, domain, inputs, outputs, nodes, opsets: own }) => ({
      name,
      domain,
      inputs,
      outputs,
      nodes: nodes.map(outlineNode),
      domains: own.map((opset) => opset.domain),
    })),
  };
}

function outlineGraph({ nodes, initializers, sparseInitializers, inputs, outputs, values }: Graph): GraphOutline {
  return {
    nodes: nodes.map(outlineNode),
    initializers: initializers.map(outlineTensor),
    sparse: sparseInitializers.map(({ name }) => name),
    inputs: inputs.map(({ proto }) => proto.name),
    outputs: outputs.map(({ proto }) => proto.name),
    values: values.map(({ proto }) => proto.name),
  };
}

function outlineNode({ name, type, domain, inputs, outputs, attributes }: Node): NodeOutline {
  return {
    name,
    type,
    domain,
    inputs,
    outputs,
    attributes: attributes.map(({ proto }) => proto.name),
    bodies: attributes.flatMap(({ proto, graphs }) =>
      graphs.map((graph) => ({ attribute: proto.name, graph: outlineGraph(graph) })),
    ),
    tensors: attributes.flatMap(({ tensors }) => tensors.map(outlineTensor)),
  };
}

function outlineTensor({ name, type, dims, data }: Tensor): TensorOutline {
  return {
    name,
    type,
    dims,
    place: data.kind === 'external' ? { location: data.location, offset: data.offset, length: data.length } : null,
  };
}

/** Shorter data of tensors is read with the rest of the file: it costs less than to keep track of it. */
const LEAST_SKIPPED = 256;

/**
 * Reads the outline of a planned file. It reads the structure only: data that is still to be made and data of the
 * source's tensors are skipped.
 * Errors: a `RangeError` where the pieces are not a well-formed model.
 */
export async function readOutline(pieces: readonly Piece<unknown>[], model: Model): Promise<ModelOutline> {
  return parseModel(createCursor(await readImage(pieces, model)));
}

/** A file with holes: `bytes` has what is known, in runs that are apart in the file. */
interface Image {
  size: number;
  bytes: Uint8Array;
  runs: Run[];
}
/** The range [start, end) of the file is in the image's bytes from `at` on. */
interface Run {
  start: number;
  end: number;
  at: number;
}

async function readImage(pieces: readonly Piece<unknown>[], model: Model): Promise<Image> {
  const skipped = dataRanges(model);
  const reader = createReader(model.source);
  const parts: Uint8Array[] = [];
  const runs: Run[] = [];
  let size = 0;
  let at = 0;
  const add = (bytes: Uint8Array) => {
    const last = runs.at(-1);
    if (last?.end === size) last.end += bytes.length;
    else runs.push({ start: size, end: size + bytes.length, at });
    parts.push(bytes);
    size += bytes.length;
    at += bytes.length;
  };
  for (const piece of pieces) {
    if (piece.kind === 'bytes') add(piece.bytes);
    else if (piece.kind === 'made' || piece.location !== undefined) size += pieceLength(piece);
    else {
      let from = piece.start;
      for (let i = firstBehind(skipped, from); from < piece.end; i++) {
        const hole = skipped[i] ?? { start: piece.end, end: piece.end };
        const to = Math.min(Math.max(hole.start, from), piece.end);
        if (to > from) add(await reader.bytes(from, to));
        from = Math.min(hole.end, piece.end);
        size += from - to;
      }
    }
  }
  return { size, bytes: concatBytes(parts), runs };
}

/** Ranges of the model's file that hold the elements of its tensors, in order. */
function dataRanges(model: Model): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = [];
  const addTensor = ({ place }: Tensor) => {
    for (const { body, end } of place?.stored ?? []) if (end - body >= LEAST_SKIPPED) ranges.push({ start: body, end });
  };
  const addNodes = (nodes: readonly Node[]) => {
    for (const { attributes } of nodes) {
      for (const { tensors, graphs } of attributes) {
        tensors.forEach(addTensor);
        graphs.forEach(addGraph);
      }
    }
  };
  const addGraph = (graph: Graph) => {
    graph.initializers.forEach(addTensor);
    addNodes(graph.nodes);
  };
  addGraph(model.graph);
  for (const { nodes } of model.functions) addNodes(nodes);
  return ranges.sort((a, b) => a.start - b.start);
}

/** Index of the first range that ends behind a byte. */
function firstBehind(ranges: readonly { start: number; end: number }[], at: number): number {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle]!.end <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Reads an image from front to back. */
interface Cursor {
  /** Calls `visit` for each field of the message that ends at `end`; what `visit` leaves of a field is skipped. */
  fields(end: number, visit: (field: number, end: number, value: number) => void): void;
  /** The text from here to `end`. */
  text(end: number): string;
  /** Packed varints from here to `end`. */
  varints(end: number): number[];
  size: number;
}

function createCursor({ size, bytes, runs }: Image): Cursor {
  const decoder = new TextDecoder();
  let at = 0;
  let run = 0;
  /** Index in the image of the byte at `at`, of which `length` and those behind it are known. */
  const place = (length: number): number => {
    while (run < runs.length && runs[run]!.end <= at) run++;
    const { start = Infinity, end = 0, at: from = 0 } = runs[run] ?? {};
    if (at < start || at + length > end) throw new RangeError(`byte ${at}: a name or number where data is`);
    return from + at - start;
  };
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = bytes[place(1)]!;
      at++;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw new RangeError(`byte ${at}: a number that does not end`);
  };
  return {
    size,
    fields(end, visit) {
      while (at < end) {
        const tag = varint();
        const field = Math.floor(tag / 8);
        let next = at;
        let value = 0;
        switch (tag % 8) {
          case 0:
            value = varint();
            next = at;
            break;
          case 1:
            next = at + 8;
            break;
          case 5:
            next = at + 4;
            break;
          case 2: {
            const length = varint();
            next = at + length;
            break;
          }
          default:
            throw new RangeError(`byte ${at}: wire type ${tag % 8}`);
        }
        if (next > end) throw new RangeError(`byte ${at}: field ${field} ends at ${next}, its message at ${end}`);
        visit(field, next, value);
        at = next;
      }
    },
    text(end) {
      if (end === at) return '';
      const from = place(end - at);
      return decoder.decode(bytes.subarray(from, from + end - at));
    },
    varints(end) {
      const values: number[] = [];
      while (at < end) values.push(varint());
      return values;
    },
  };
}

function parseModel(cursor: Cursor): ModelOutline {
  const opsets: { domain: string; version: number }[] = [];
  const metadataKeys: string[] = [];
  const functions: FunctionOutline[] = [];
  const graphs: GraphOutline[] = [];
  let irVersion = 0;
  cursor.fields(cursor.size, (field, end, value) => {
    switch (field) {
      case 1:
        irVersion = value;
        break;
      case 7:
        graphs.push(parseGraph(cursor, end));
        break;
      case 8:
        opsets.push(parseOpset(cursor, end));
        break;
      case 14:
        metadataKeys.push(parseText(cursor, end, 1));
        break;
      case 25:
        functions.push(parseFunction(cursor, end));
        break;
    }
  });
  const [graph, ...others] = graphs;
  if (!graph || others.length > 0) throw new RangeError(`it holds ${graphs.length} graphs`);
  return { irVersion, opsets, metadataKeys, functions, graph };
}

function parseOpset(cursor: Cursor, end: number): { domain: string; version: number } {
  let domain = '';
  let version = 0;
  cursor.fields(end, (field, to, value) => {
    if (field === 1) domain = defaultDomain(cursor.text(to));
    if (field === 2) version = value;
  });
  return { domain, version };
}

/** The text in one field of a message. */
function parseText(cursor: Cursor, end: number, wanted: number): string {
  let text = '';
  cursor.fields(end, (field, to) => {
    if (field === wanted) text = cursor.text(to);
  });
  return text;
}

function parseGraph(cursor: Cursor, end: number): GraphOutline {
  const nodes: NodeOutline[] = [];
  const initializers: TensorOutline[] = [];
  const sparse: string[] = [];
  const inputs: string[] = [];
  const outputs: string[] = [];
  const values: string[] = [];
  cursor.fields(end, (field, to) => {
    switch (field) {
      case 1:
        nodes.push(parseNode(cursor, to));
        break;
      case 5:
        initializers.push(parseTensor(cursor, to));
        break;
      case 11:
        inputs.push(parseText(cursor, to, 1));
        break;
      case 12:
        outputs.push(parseText(cursor, to, 1));
        break;
      case 13:
        values.push(parseText(cursor, to, 1));
        break;
      case 15:
        sparse.push(parseSparse(cursor, to));
        break;
    }
  });
  return { nodes, initializers, sparse, inputs, outputs, values };
}

/** A sparse tensor has the name of its values. */
function parseSparse(cursor: Cursor, end: number): string {
  let name = '';
  cursor.fields(end, (field, to) => {
    if (field === 1) name = parseText(cursor, to, 8);
  });
  return name;
}

function parseNode(cursor: Cursor, end: number): NodeOutline {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes: string[] = [];
  const bodies: { attribute: string; graph: GraphOutline }[] = [];
  const tensors: TensorOutline[] = [];
  let name = '';
  let type = '';
  let domain = '';
  cursor.fields(end, (field, to) => {
    switch (field) {
      case 1:
        inputs.push(cursor.text(to));
        break;
      case 2:
        outputs.push(cursor.text(to));
        break;
      case 3:
        name = cursor.text(to);
        break;
      case 4:
        type = cursor.text(to);
        break;
      case 5:
        parseAttribute(to);
        break;
      case 7:
        domain = defaultDomain(cursor.text(to));
        break;
    }
  });
  return { name, type, domain, inputs, outputs, attributes, bodies, tensors };

  function parseAttribute(to: number): void {
    let attribute = '';
    const graphs: GraphOutline[] = [];
    cursor.fields(to, (field, until) => {
      switch (field) {
        case 1:
          attribute = cursor.text(until);
          break;
        case 5:
        case 10:
          tensors.push(parseTensor(cursor, until));
          break;
        case 6:
        case 11:
          graphs.push(parseGraph(cursor, until));
          break;
      }
    });
    attributes.push(attribute);
    for (const graph of graphs) bodies.push({ attribute, graph });
  }
}

function parseTensor(cursor: Cursor, end: number): TensorOutline {
  const entries = new Map<string, string>();
  const dims: number[] = [];
  let name = '';
  let type = 0;
  let location = 0;
  cursor.fields(end, (field, to, value) => {
    switch (field) {
      // Dimensions are packed, or one a field.
      case 1:
        if (value !== 0) dims.push(value);
        else for (const size of packedOrZero(to)) dims.push(size);
        break;
      case 2:
        type = value;
        break;
      case 8:
        name = cursor.text(to);
        break;
      case 13:
        parseEntry(to);
        break;
      case 14:
        location = value;
        break;
    }
  });
  const number = (key: string) => (entries.has(key) ? Number(entries.get(key)) : null);
  return {
    name,
    type,
    dims,
    place:
      location === 1
        ? { location: entries.get('location') ?? '', offset: number('offset') ?? 0, length: number('length') }
        : null,
  };

  function packedOrZero(to: number): number[] {
    const sizes = cursor.varints(to);
    return sizes.length === 0 ? [0] : sizes;
  }
  function parseEntry(to: number): void {
    let key = '';
    let text = '';
    cursor.fields(to, (field, until) => {
      if (field === 1) key = cursor.text(until);
      if (field === 2) text = cursor.text(until);
    });
    entries.set(key, text);
  }
}

function parseFunction(cursor: Cursor, end: number): FunctionOutline {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const domains: string[] = [];
  const nodes: NodeOutline[] = [];
  let name = '';
  let domain = '';
  cursor.fields(end, (field, to) => {
    switch (field) {
      case 1:
        name = cursor.text(to);
        break;
      case 4:
        inputs.push(cursor.text(to));
        break;
      case 5:
        outputs.push(cursor.text(to));
        break;
      case 7:
        nodes.push(parseNode(cursor, to));
        break;
      case 9:
        domains.push(parseOpset(cursor, to).domain);
        break;
      case 10:
        domain = defaultDomain(cursor.text(to));
        break;
    }
  });
  return { name, domain, inputs, outputs, nodes, domains };
}

function defaultDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}
