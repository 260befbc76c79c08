/**
 * Inputs as JSON: `{"name": [[1, 2], [3, 4]], "other": {"dims": [2, 2], "data": [1, 2, 3, 4]}}`, an array of such
 * objects for several samples, or only nested arrays for the one input there is. `shape` may be said for `dims`.
 */
import type { Result } from '../../../contract/errors.ts';
import type { HostTensor } from '../../sessions/graph-session.ts';
import { countElements, invalid } from './file-tensor.ts';

/** Values of one sample by input; null is the only input there is. Element type float64: what JSON has. */
export type JsonSample = ReadonlyMap<string | null, HostTensor>;

const DEEPEST = 8;
const FORMAT = 'Write {"name of input": nested arrays of numbers}, or {"name": {"dims": […], "data": […]}}.';

/**
 * Whether parsed JSON is made for this and nothing else: every value an array of numbers (first element looked at), or
 * an object of dims and data. A model's configuration never is: it has words in it.
 */
export function looksLikeInputs(json: unknown): boolean {
  if (isNumbers(json)) return true;
  const samples: unknown[] = Array.isArray(json) ? json : [json];
  return (
    samples.length > 0 &&
    samples.every((sample) => {
      if (!isObject(sample)) return false;
      const values = Object.values(sample);
      return values.length > 0 && values.every((value) => isNumbers(value) || dimsAndData(value) !== null);
    })
  );
}

/** Errors: `input-invalid`, saying where. */
export function readJsonInputs(name: string, text: string): Result<JsonSample[]> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (thrown) {
    return invalid(name, 'is not valid JSON', FORMAT, String(thrown));
  }
  if (!looksLikeInputs(json)) return invalid(name, 'holds no inputs for a model', FORMAT);
  const samples: JsonSample[] = [];
  for (const sample of isNumbers(json) ? [json] : Array.isArray(json) ? (json as unknown[]) : [json]) {
    const tensors = new Map<string | null, HostTensor>();
    for (const [input, value] of Array.isArray(sample) ? [[null, sample] as const] : Object.entries(sample as object)) {
      const tensor = readTensor(`${name}${input === null ? '' : `, "${input}",`}`, value);
      if (!tensor.ok) return tensor;
      tensors.set(input, tensor.value);
    }
    samples.push(tensors);
  }
  return { ok: true, value: samples };
}

function readTensor(name: string, value: unknown): Result<HostTensor> {
  const explicit = dimsAndData(value);
  const dims = explicit ? explicit.dims : shapeOf(value);
  const count = dims && countElements(dims);
  if (dims === null || count === null) return invalid(name, 'has a shape that cannot be', FORMAT);
  const flat: unknown[] = explicit ? explicit.data : [];
  if (!explicit && !flatten(value, dims, 0, flat))
    return invalid(name, `is not the same length all over: its first rows make it [${dims.join(', ')}]`, FORMAT);
  if (flat.length !== count)
    return invalid(
      name,
      `of shape [${dims.join(', ')}] needs ${count.toLocaleString('en')} values and holds ${flat.length.toLocaleString('en')}`,
      FORMAT,
    );
  const data = new Float64Array(count);
  for (const [index, entry] of flat.entries()) {
    if (typeof entry !== 'number' && typeof entry !== 'boolean')
      return invalid(name, `holds ${JSON.stringify(entry).slice(0, 40)}, which is no number`, FORMAT);
    data[index] = Number(entry);
  }
  return { ok: true, value: { type: 'float64', dims, data } };
}

/** Lengths along the first elements; null when they are nested too deeply. */
function shapeOf(value: unknown): number[] | null {
  const dims: number[] = [];
  for (let inner = value; Array.isArray(inner); inner = inner[0]) {
    dims.push(inner.length);
    if (dims.length > DEEPEST) return null;
  }
  return dims;
}

/** False where the arrays are not all as long as `dims` says. */
function flatten(value: unknown, dims: readonly number[], depth: number, into: unknown[]): boolean {
  if (depth === dims.length) {
    if (Array.isArray(value)) return false;
    into.push(value);
    return true;
  }
  return (
    Array.isArray(value) &&
    value.length === dims[depth] &&
    value.every((inner) => flatten(inner, dims, depth + 1, into))
  );
}

function dimsAndData(value: unknown): { dims: number[]; data: unknown[] } | null {
  if (!isObject(value)) return null;
  const fields = new Map(Object.entries(value));
  const dims: unknown = fields.get('dims') ?? fields.get('shape');
  const data: unknown = fields.get('data');
  return Array.isArray(dims) && dims.every((dim) => typeof dim === 'number') && Array.isArray(data)
    ? { dims, data: data as unknown[] }
    : null;
}

function isNumbers(value: unknown): boolean {
  let inner = value;
  let depth = 0;
  while (Array.isArray(inner) && depth <= DEEPEST) {
    inner = inner[0];
    depth++;
  }
  return depth > 0 && (typeof inner === 'number' || typeof inner === 'boolean');
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
