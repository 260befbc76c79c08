/**
 * Works out, from names, element types and shapes alone, how to run a decoder over a window of tokens: which input
 * takes the ids, which the mask and the positions, what an empty key/value cache looks like, and which output holds
 * the logits. Spellings are those of optimum, transformers.js,
 * onnxruntime-genai, torch.onnx and tf2onnx exports.
 */
import type { ValueInfoProto } from 'onnx-buf';
import { elementType } from '../onnx/numbers/element-types.ts';
import type { Result } from '../contract/errors.ts';
import { failure } from './errors.ts';

/** An input or output as onnxruntime describes it; a shape entry is a number, or the name of a free dimension. */
export interface ValueInfo {
  name: string;
  isTensor: boolean;
  type?: string;
  shape?: readonly (number | string)[];
}

/** Some exports state −1 for a dimension that is free; onnxruntime-web shows it as 4,294,967,295. */
export function withFreeDimensions<Info extends ValueInfo>(info: Info): Info {
  return info.shape?.some(isFree) ? { ...info, shape: info.shape.map((dim) => (isFree(dim) ? '' : dim)) } : info;
}

const isFree = (dim: number | string): boolean => dim === -1 || dim === 0xffffffff;

/** A graph input or output as the file has it, in the shape onnxruntime gives in a session's metadata. */
export function signatureOf({ name, type }: ValueInfoProto): ValueInfo {
  if (type?.value.case !== 'tensorType') return { name, isTensor: false };
  return withFreeDimensions({
    name,
    isTensor: true,
    type: elementType(type.value.value.elemType).name,
    shape: (type.value.value.shape?.dim ?? []).map(({ value }) =>
      value.case === 'dimValue' ? Number(value.value) : value.case === 'dimParam' ? value.value : '',
    ),
  });
}

const FEED_TYPES = ['int64', 'int32', 'float32', 'float16', 'bool', 'int8', 'uint8'] as const;
export type FeedType = (typeof FEED_TYPES)[number];

/**
 * What an input is filled with: the token ids; 1 for each real token and 0 for padding; 0, 1, 2, …; the number of
 * tokens with those before the window; that less one; the number before the window; whether there are any; for how
 * many of the last positions logits are wanted, 0 meaning all; or zeros, which an empty tensor is too.
 */
export type Fill = 'ids' | 'mask' | 'positions' | 'length' | 'last' | 'past' | 'use-cache' | 'keep' | 'zeros';

export interface Feed {
  name: string;
  type: FeedType;
  fill: Fill;
  /** `window` stands for the number of tokens run; in a mask, with those before them. */
  dims: (number | 'window')[];
}

export interface Signature {
  feeds: Feed[];
  /** Tokens the graph takes at once when that is fixed: shorter windows are padded on the right. */
  window: number | null;
  logits: {
    name: string;
    type: 'float32' | 'float16';
    /** Last dimension, null when it is free. */ vocabulary: number | null;
  };
}

export type FeedData = BigInt64Array | Int32Array | Float32Array | Uint16Array | Uint8Array | Int8Array;

/**
 * Errors: `not-a-language-model` when there is no input for token ids or no output with logits, `inputs-unknown`
 * (naming the input) when something else is asked for that a plain text does not provide.
 * @param sequences How many sequences to run at once, where the graph leaves that free.
 */
export function recogniseSignature(
  inputs: readonly ValueInfo[],
  outputs: readonly ValueInfo[],
  sequences = 1,
): Result<Signature> {
  const ids = findIds(inputs);
  if (!ids) {
    return failure(
      'not-a-language-model',
      'The model has no input for token ids, so it is not a language model that perplexity can be measured on.',
      'Give it inputs to compare its outputs on, or choose a text-generation model.',
      list(inputs),
    );
  }
  const logits = findLogits(outputs);
  if (!logits) {
    return failure(
      'not-a-language-model',
      'The model has no output with logits, so it is not a language model that perplexity can be measured on.',
      'Give it inputs to compare its outputs on, or choose a model exported for text generation.',
      list(outputs),
    );
  }

  const feeds: Feed[] = [];
  const batch = fixedBatch(inputs) ?? sequences;
  for (const input of inputs) {
    const feed = input === ids ? idsFeed(ids, batch) : otherFeed(input, batch);
    if (!feed)
      return ENCODER.test(input.name.toLowerCase()) || isSecondText(input, ids)
        ? encoderDecoder(input)
        : unknown(input);
    feeds.push(feed);
  }
  const window = fixedWindow(inputs, ids);
  if (window !== null && window < 2) {
    return failure(
      'inputs-unknown',
      `The model takes ${window} token at a time (input "${ids.name}"), which does not allow windows of text.`,
      'Export the model with a free sequence length.',
      list(inputs),
    );
  }
  return { ok: true, value: { feeds, window, logits } };
}

/**
 * The values of one input for a window.
 * @param ids Token ids; `window` of them are run, the rest of the window is padding.
 * @param past Tokens before the window that the graph has in its cache.
 * @param keep Of how many of the last positions logits are wanted, where the graph takes that; 0 for all.
 */
export function feedData(
  feed: Feed,
  ids: Int32Array,
  window: number,
  past = 0,
  keep = 0,
): { data: FeedData; dims: number[] } {
  const row = feed.fill === 'mask' ? past + window : window;
  const dims = feed.dims.map((dim) => (dim === 'window' ? row : dim));
  const size = dims.reduce((product, dim) => product * dim, 1);
  const data = allocate(feed.type, size);
  const valueAt = fillValue(feed.fill, ids, window, past, keep);
  if (valueAt) {
    const set =
      data instanceof BigInt64Array
        ? (index: number, value: number) => {
            data[index] = BigInt(value);
          }
        : data instanceof Uint16Array
          ? (index: number, value: number) => {
              data[index] = value === 0 ? 0 : HALF_ONE;
            }
          : (index: number, value: number) => {
              data[index] = value;
            };
    for (let index = 0; index < size; index++) set(index, valueAt(index % row));
  }
  return { data, dims };
}

/** 1 as fp16; the only number beside 0 an fp16 input is ever filled with (masks). */
const HALF_ONE = 0x3c00;

function fillValue(
  fill: Fill,
  ids: Int32Array,
  window: number,
  past: number,
  keep: number,
): ((position: number) => number) | null {
  switch (fill) {
    case 'ids':
      return (position) => ids[position] ?? 0;
    case 'mask':
      return (position) => (position < past + ids.length ? 1 : 0);
    case 'positions':
      return (position) => past + position;
    case 'length':
      return () => past + window;
    case 'last':
      return () => past + window - 1;
    case 'past':
      return () => past;
    case 'use-cache':
      return () => (past > 0 ? 1 : 0);
    case 'keep':
      return () => keep;
    case 'zeros':
      return null;
  }
}

function allocate(type: FeedType, size: number): FeedData {
  switch (type) {
    case 'int64':
      return new BigInt64Array(size);
    case 'int32':
      return new Int32Array(size);
    case 'float32':
      return new Float32Array(size);
    case 'float16':
      return new Uint16Array(size);
    case 'int8':
      return new Int8Array(size);
    case 'bool':
    case 'uint8':
      return new Uint8Array(size);
  }
}

const INTEGER = ['int64', 'int32'];
const FLOAT = ['float32', 'float16'];

const IDS = /^(decoder_)?(input_?ids?|token_?ids?|tokens?|ids?|idx|input)(:0)?$/;
const MASK = /^(decoder_|input_)?(attention_?)?mask(:0)?$/;
const POSITIONS = /^(position_?ids?|positions?|pos_ids?|cache_positions?|input_pos)(:0)?$/;
const SEGMENTS = /^(token_type|segment)_?ids?(:0)?$/;
const USE_CACHE = /^use_cache(_branch)?$/;
const LOGITS_TO_KEEP = /^(num_)?logits_to_keep$/;
const PAST_LENGTH =
  /^(past_(sequence_|key_values_|kv_)?(length|len)|past_seq_len|start_pos(ition)?|cache_(length|len)|offset)$/;
const TOTAL_LENGTH = /^(total_(sequence_|seq_)?(length|len)|(sequence|seq)_(length|len))$/;
const LAST_INDEX = /^seqlens?_k$/;
const CACHE = /past|cache|\bkv|_kv|^[kv]_?\d|present|\.(key|value)$/;
const STATE = /(conv|ssm|recurrent|rnn|linear|wkv)_?(state)?s?\b|(conv|ssm|recurrent|rnn|wkv)_/;
/** Parts of encoder-decoder and multimodal models that a text alone does not fill. */
const FOREIGN = /encoder|cross|pixel|image|audio|inputs_embeds/;
const ENCODER = /encoder|cross/;

const isTensorOf = (value: ValueInfo, types: readonly string[]): boolean =>
  value.isTensor && types.includes(value.type ?? '');

function findIds(inputs: readonly ValueInfo[]): ValueInfo | null {
  const candidates = inputs.filter((input) => isTensorOf(input, INTEGER) && rank(input) >= 1 && rank(input) <= 2);
  const named = candidates.filter((input) => IDS.test(input.name.toLowerCase()));
  if (named.length > 0) return named.find((input) => /input_?ids$/i.test(input.name)) ?? named[0] ?? null;
  const unclaimed = candidates.filter(
    (input) => otherFeed(input, 1) === null && !FOREIGN.test(input.name.toLowerCase()),
  );
  return unclaimed.length === 1 ? (unclaimed[0] ?? null) : null;
}

/** The output called logits, else the one float output of rank 3 that is no cache and no hidden state. */
function findLogits(outputs: readonly ValueInfo[]): Signature['logits'] | null {
  const floats = outputs.filter(
    (output) => isTensorOf(output, FLOAT) && (rank(output) === 3 || rank(output) === 2 || rank(output) === 0),
  );
  const rest = floats.filter(
    (output) =>
      rank(output) === 3 && !/present|past|hidden|cache|state|attention|embed/.test(output.name.toLowerCase()),
  );
  const found =
    floats.find((output) => output.name.toLowerCase() === 'logits') ??
    floats.find((output) => /logits/.test(output.name.toLowerCase())) ??
    (rest.length === 1 ? rest[0] : undefined);
  if (!found) return null;
  const last = found.shape?.at(-1);
  return {
    name: found.name,
    type: found.type === 'float16' ? 'float16' : 'float32',
    vocabulary: typeof last === 'number' ? last : null,
  };
}

/** How an input is filled whose name and type say what it is: ids, masks, positions, lengths, an empty cache; null for others. */
export function knownFeed(input: ValueInfo): Feed | null {
  return IDS.test(input.name.toLowerCase()) ? (idsFeed(input, 1) ?? otherFeed(input, 1)) : otherFeed(input, 1);
}

function idsFeed(input: ValueInfo, batch: number): Feed | null {
  return plainFeed(input, 'ids', INTEGER, batch);
}

function otherFeed(input: ValueInfo, batch: number): Feed | null {
  const name = input.name.toLowerCase();
  if (FOREIGN.test(name)) return null;
  if (MASK.test(name)) return plainFeed(input, 'mask', [...INTEGER, ...FLOAT, 'bool'], batch);
  if (POSITIONS.test(name)) return plainFeed(input, 'positions', INTEGER, batch);
  if (SEGMENTS.test(name)) return plainFeed(input, 'zeros', INTEGER, batch);
  if (USE_CACHE.test(name)) return scalarFeed(input, 'use-cache', ['bool', ...INTEGER], batch);
  if (LOGITS_TO_KEEP.test(name)) return scalarFeed(input, 'keep', INTEGER, batch);
  if (PAST_LENGTH.test(name)) return scalarFeed(input, 'past', INTEGER, batch);
  if (TOTAL_LENGTH.test(name)) return scalarFeed(input, 'length', INTEGER, batch);
  if (LAST_INDEX.test(name)) return scalarFeed(input, 'last', INTEGER, batch);
  if (STATE.test(name)) return stateFeed(input, batch);
  if (CACHE.test(name)) return cacheFeed(input, batch);
  return null;
}

/** The most positions a token has: for time, height and width, and one beside them. */
const MOST_POSITIONS = 4;

/**
 * Ids, mask and positions: [window], [batch, window], or [3, batch, window] as models with a position for time,
 * height and width have it (all three the same for text).
 */
function plainFeed(input: ValueInfo, fill: Fill, types: readonly string[], batch: number): Feed | null {
  const type = feedType(input, types);
  const shape = input.shape ?? [];
  if (!type || shape.length < 1 || shape.length > 3) return null;
  if (shape.length === 3 && !(fill === 'positions' && typeof shape[0] === 'number' && shape[0] <= MOST_POSITIONS))
    return null;
  const outer = shape.slice(0, -1).map((dim) => (typeof dim === 'number' ? dim : batch));
  return { name: input.name, type, fill, dims: [...outer, 'window'] };
}

/** One number: [], [1] or [batch]. */
function scalarFeed(input: ValueInfo, fill: Fill, types: readonly string[], batch: number): Feed | null {
  const type = feedType(input, types);
  const shape = input.shape ?? [];
  if (!type || shape.some((dim) => typeof dim === 'number' && dim !== 1 && dim !== batch)) return null;
  return {
    name: input.name,
    type,
    fill,
    dims: shape.map((dim) => (typeof dim === 'number' ? dim : saysBatch(dim) ? batch : 1)),
  };
}

/** The state of a recurrent or convolutional layer: of fixed size, zero at the start. Only the batch may be free. */
function stateFeed(input: ValueInfo, batch: number): Feed | null {
  const type = feedType(input, [...FLOAT, ...INTEGER]);
  const shape = input.shape ?? [];
  if (!type || shape.length === 0) return null;
  const free = shape.filter((dim) => typeof dim === 'string');
  if (free.length > 1 || free.some(saysLength)) return null;
  return { name: input.name, type, fill: 'zeros', dims: shape.map((dim) => (typeof dim === 'number' ? dim : batch)) };
}

/** Axes of a cache at most: layers, key and value, batch, heads, tokens, width. */
const MOST_CACHE_AXES = 6;

/**
 * A key/value cache with no token in it: the axis that counts tokens is 0. It is the one whose name says so; in a graph
 * with nameless free dimensions it is the one after the first. A cache whose token axis is fixed cannot be empty, and is
 * not fed.
 */
function cacheFeed(input: ValueInfo, batch: number): Feed | null {
  const type = feedType(input, [...FLOAT, 'int8', 'uint8']);
  const shape = input.shape ?? [];
  if (!type || shape.length < 3 || shape.length > MOST_CACHE_AXES) return null;
  const tokenAxis = tokenAxisOf(shape);
  if (tokenAxis === null && !shape.includes(0)) return null;
  const unclear = shape.filter(
    (dim, axis) => typeof dim === 'string' && axis !== tokenAxis && !saysBatch(dim) && !saysWidth(dim),
  );
  if (unclear.length > 1) return null;
  return {
    name: input.name,
    type,
    fill: 'zeros',
    dims: shape.map((dim, axis) => (axis === tokenAxis ? 0 : typeof dim === 'number' ? dim : freeSize(dim, batch))),
  };
}

/** Null where a dimension is 0 already, or none can be the one. */
function tokenAxisOf(shape: readonly (number | string)[]): number | null {
  if (shape.includes(0)) return null;
  const free = shape.flatMap((dim, axis) => (typeof dim === 'number' ? [] : [axis]));
  const nameOf = (axis: number) => String(shape[axis]);
  const named = free.find((axis) => saysLength(nameOf(axis)));
  if (named !== undefined) return named;
  const candidates = free.filter((axis) => !saysBatch(nameOf(axis)) && !saysWidth(nameOf(axis)));
  // Without names the batch comes first.
  return (candidates.length > 1 ? candidates[1] : candidates[0]) ?? null;
}

/**
 * The size of a free dimension that counts no tokens: the batch, or a product such as `batch_size x num_heads`, of which
 * the batch and numbers are known. What is not known is taken to be 1: a tensor without elements is joined to others
 * whatever its other dimensions are (ONNX Runtime's Concat passes over it).
 */
function freeSize(dim: string, batch: number): number {
  return factorsOf(dim).reduce(
    (product, factor) => product * (/^\d+$/.test(factor) ? Number(factor) : saysWidth(factor) ? 1 : batch),
    1,
  );
}

const factorsOf = (dim: string): string[] => dim.split(/\s*[*×·]\s*|\s+x\s+|_x_/);

/** Whether every dimension of a cache but those of batch and tokens is known, so that its bytes can be counted. */
export function hasKnownWidth({ shape = [] }: ValueInfo): boolean {
  const tokenAxis = tokenAxisOf(shape);
  return shape.every(
    (dim, axis) =>
      typeof dim === 'number' ||
      axis === tokenAxis ||
      factorsOf(dim).every((factor) => /^\d+$/.test(factor) || !saysWidth(factor)),
  );
}

const saysBatch = (dim: string): boolean => /batch|^[bn]$/i.test(dim);
const saysLength = (dim: string): boolean => /past|seq|len|total|cache|ctx|context/i.test(dim) && !saysBatch(dim);
const saysWidth = (dim: string): boolean => /head|dim|hidden|width|group|^[hd]$/i.test(dim);

/**
 * How many sequences the graph runs at once where that is a number somewhere: in the ids, the mask, the positions or a
 * cache [batch, heads, tokens, width].
 */
function fixedBatch(inputs: readonly ValueInfo[]): number | null {
  for (const { name, shape = [] } of inputs) {
    const lower = name.toLowerCase();
    const [first, ...rest] = shape;
    if (typeof first !== 'number') continue;
    if (shape.length === 2 && (IDS.test(lower) || MASK.test(lower) || POSITIONS.test(lower))) return first;
    if (
      shape.length === 4 &&
      !FOREIGN.test(lower) &&
      !STATE.test(lower) &&
      CACHE.test(lower) &&
      rest.some((dim) => typeof dim === 'string')
    )
      return first;
  }
  return null;
}

/** Token ids of a second text: that of the encoder, or that of the decoder. */
function isSecondText(input: ValueInfo, ids: ValueInfo): boolean {
  return input !== ids && isTensorOf(input, INTEGER) && /(^|decoder_)input_?ids$/i.test(input.name);
}

function feedType(input: ValueInfo, types: readonly string[]): FeedType | null {
  return isTensorOf(input, types) ? (FEED_TYPES.find((type) => type === input.type) ?? null) : null;
}

/** The window a fixed shape of the ids (or of positions or mask, when the ids leave it free) asks for. */
function fixedWindow(inputs: readonly ValueInfo[], ids: ValueInfo): number | null {
  const others = inputs.filter(
    (input) => POSITIONS.test(input.name.toLowerCase()) || MASK.test(input.name.toLowerCase()),
  );
  const lengths = [ids, ...others].map((input) => input.shape?.at(-1)).filter((dim) => typeof dim === 'number');
  return lengths[0] ?? null;
}

const rank = (value: ValueInfo): number => value.shape?.length ?? 0;

function encoderDecoder(input: ValueInfo): Result<never> {
  return failure(
    'inputs-unknown',
    `The model belongs to an encoder-decoder model: beside the text it continues it takes "${input.name}", which comes from another text or an encoder.`,
    'Drop inputs for it to compare its outputs on; perplexity is measured of decoder-only models.',
    list([input]),
  );
}

function unknown(input: ValueInfo): Result<never> {
  return failure(
    'inputs-unknown',
    `The model asks for an input that a text does not provide: "${input.name}".`,
    'Export the model for text generation, with free batch and sequence lengths, or compare sizes only.',
    list([input]),
  );
}

function list(values: readonly ValueInfo[]): string {
  return values
    .map((value) => `${value.name}: ${value.isTensor ? `${value.type}[${value.shape?.join(', ')}]` : 'not a tensor'}`)
    .join('\n');
}
