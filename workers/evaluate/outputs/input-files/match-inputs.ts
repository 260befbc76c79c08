/**
 * Which dropped file is for which input, and how many samples they make together.
 *
 * A file goes to the input that it names: the keys of a JSON object, the name inside a TensorProto, the file's name
 * without its ending (a number after it counts samples), `input_3` by position. An image goes to the input that takes
 * images. What is left goes to the only input there is. Several files for one input are samples in the order dropped.
 */
import { greatest } from '../../../contract/extremes.ts';
import type { Result } from '../../../contract/errors.ts';
import { failure, type Failure } from '../../errors.ts';
import type { HostTensor } from '../../sessions/graph-session.ts';
import type { InputHints } from '../input-hints.ts';
import { imageLayout, isBatch } from '../input-shapes.ts';
import type { ValueInfo } from '../../inputs.ts';
import { describeInputs } from '../seeded-inputs.ts';
import { convert, invalid, MOST_BYTES } from './file-tensor.ts';
import { describeImage, isImage, readImage, type ImageTarget } from './image.ts';
import { readJsonInputs } from './json-inputs.ts';
import { isNpy, readNpy } from './npy.ts';
import { readTensorProto } from './tensor-proto.ts';

/** Values for one input, a tensor a sample. */
export interface FilledInput {
  tensors: HostTensor[];
  /** Files and what was made of them, in words. */
  from: string;
}

export interface MatchedFiles {
  samples: number;
  /** By name of the input; those without files are missing. One tensor stands for all samples. */
  inputs: ReadonlyMap<string, FilledInput>;
  notes: string[];
}

/**
 * @param imageShape The shape to give an input that images are for; asked for only then.
 * Errors: `input-invalid`, naming the file; `out-of-memory`.
 */
export async function matchFiles(
  files: readonly File[],
  inputs: readonly ValueInfo[],
  hints: InputHints,
  imageShape: (input: ValueInfo) => Promise<Result<readonly number[]>>,
): Promise<Result<MatchedFiles>> {
  const found = new Map<string, Found>();
  const notes: string[] = [];
  for (const file of files) {
    if (/^output_\d+\.pb$/i.test(file.name)) {
      notes.push(
        `${file.name} was left aside: a level is compared with the baseline, not with what another runtime gave.`,
      );
      continue;
    }
    const read = await readFile(file, inputs, hints, imageShape);
    if (!read.ok) return read;
    for (const { input, tensor, made } of read.value) {
      const fitted = fitToShape(file.name, input, tensor);
      if (!fitted.ok) return fitted;
      const entry = found.get(input.name) ?? { files: [], made: new Set(), tensors: [] };
      if (entry.files.at(-1) !== file.name) entry.files.push(file.name);
      if (made !== '') entry.made.add(made);
      for (const one of fitted.value) entry.tensors.push(one);
      found.set(input.name, entry);
    }
  }
  const samples = greatest(
    [...found.values()].map(({ tensors }) => tensors.length),
    0,
  );
  if (samples === 0)
    return failure(
      'input-invalid',
      'None of the files is an input of the model.',
      'Name files as the inputs.',
      describeInputs(inputs),
    );
  for (const [
    name,
    {
      tensors,
      files: [file = ''],
    },
  ] of found) {
    if (tensors.length !== 1 && tensors.length !== samples) {
      return invalid(
        file,
        `and what goes with it give ${tensors.length} samples for the input "${name}", and others give ${samples}`,
        'Give as many samples for every input.',
      );
    }
  }
  return {
    ok: true,
    value: {
      samples,
      inputs: new Map([...found].map(([name, entry]) => [name, { tensors: entry.tensors, from: describe(entry) }])),
      notes,
    },
  };
}

interface Found {
  files: string[];
  made: Set<string>;
  tensors: HostTensor[];
}
interface Read {
  input: ValueInfo;
  tensor: HostTensor;
  /** What was made of it, in words; empty when nothing. */ made: string;
}

function describe({ files, made }: Found): string {
  const [first = '', ...others] = files;
  return [others.length > 0 ? `${files.length} files, ${first} the first` : first, ...made].join(', ');
}

async function readFile(
  file: File,
  inputs: readonly ValueInfo[],
  hints: InputHints,
  imageShape: (input: ValueInfo) => Promise<Result<readonly number[]>>,
): Promise<Result<Read[]>> {
  if (file.size > MOST_BYTES)
    return invalid(
      file.name,
      `is larger than ${(MOST_BYTES / 2 ** 30).toFixed(0)} GiB, more than an input can be`,
      'Give fewer samples at a time.',
    );
  const head = new Uint8Array(await file.slice(0, 64).arrayBuffer());
  if (isImage(head)) {
    const input = inputForImage(file, inputs, hints);
    const layout = input && imageLayout(input, hints);
    if (!input || !layout)
      return invalid(
        file.name,
        'is an image, and no input of the model takes images',
        'Give the inputs as .npy files named as they are.',
        describeInputs(inputs),
      );
    const shape = await imageShape(input);
    if (!shape.ok) return shape;
    const target: ImageTarget = { dims: [1, ...shape.value.slice(1)], layout, type: input.type ?? 'float32' };
    const tensor = await readImage(file, target);
    return tensor.ok ? { ok: true, value: [{ input, tensor: tensor.value, made: describeImage(target) }] } : tensor;
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (isNpy(head)) {
    const tensor = readNpy(file.name, bytes);
    return tensor.ok ? assign(file, inputs, null, tensor.value) : tensor;
  }
  if (/^\s*[[{]/.test(new TextDecoder().decode(head))) return readJson(file, inputs, new TextDecoder().decode(bytes));
  const proto = readTensorProto(file.name, bytes);
  return proto.ok ? assign(file, inputs, proto.value.tensorName, proto.value.tensor) : proto;
}

function readJson(file: File, inputs: readonly ValueInfo[], text: string): Result<Read[]> {
  const samples = readJsonInputs(file.name, text);
  if (!samples.ok) return samples;
  const read: Read[] = [];
  for (const sample of samples.value) {
    for (const [name, tensor] of sample) {
      const input =
        name === null ? inputByFileName(file.name, inputs) : inputs.find((candidate) => candidate.name === name);
      if (!input) return unmatched(file.name, name, inputs);
      const converted = convert(file.name, tensor, input.type ?? '');
      if (!converted.ok) return converted;
      read.push({ input, tensor: converted.value, made: '' });
    }
  }
  return { ok: true, value: read };
}

function assign(file: File, inputs: readonly ValueInfo[], name: string | null, tensor: HostTensor): Result<Read[]> {
  const input = inputs.find((candidate) => candidate.name === name) ?? inputByFileName(file.name, inputs);
  if (!input) return unmatched(file.name, null, inputs);
  const converted = convert(file.name, tensor, input.type ?? '');
  if (!converted.ok) return converted;
  return {
    ok: true,
    value: [
      {
        input,
        tensor: converted.value,
        made: tensor.type === input.type ? '' : `${tensor.type} read as ${input.type ?? ''}`,
      },
    ],
  };
}

function unmatched(file: string, name: string | null, inputs: readonly ValueInfo[]): Failure {
  const names = inputs.map((input) => `"${input.name}"`).join(', ');
  return invalid(
    file,
    name === null
      ? "is for none of the model's inputs by its name"
      : `is for an input "${name.slice(0, 80)}", which the model does not have`,
    `Name it as one of ${names}.`,
    describeInputs(inputs),
  );
}

/** Names with slashes and colons cannot be file names as they are. */
const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]+/g, '_');

function inputByFileName(file: string, inputs: readonly ValueInfo[]): ValueInfo | undefined {
  const stem = (file.split('/').at(-1) ?? file).replace(/\.[^.]*$/, '');
  const named = (name: string) =>
    inputs.find((input) => input.name === name) ?? inputs.find((input) => plain(input.name) === plain(name));
  const position = /^input_(\d+)$/i.exec(stem)?.[1];
  return (
    named(stem) ??
    (position === undefined ? undefined : inputs[Number(position)]) ??
    named(stem.replace(/[-_. ]?\(?\d+\)?$/, '')) ??
    (inputs.length === 1 ? inputs[0] : undefined)
  );
}

function inputForImage(file: File, inputs: readonly ValueInfo[], hints: InputHints): ValueInfo | undefined {
  const takers = inputs.filter((input) => imageLayout(input, hints) !== null);
  const named = inputByFileName(file.name, takers.length > 1 ? takers : []);
  return named ?? takers[0];
}

/**
 * The tensor in the input's shape: as it is; with a batch of one put in front; or taken apart along the first
 * dimension, where the model takes fewer at a time than the file holds and they are samples.
 */
function fitToShape(file: string, { name, shape = [] }: ValueInfo, tensor: HostTensor): Result<HostTensor[]> {
  const { dims } = tensor;
  const fits = (from: number, sizes: readonly number[]) =>
    sizes.length === shape.length - from &&
    sizes.every((size, axis) => typeof shape[axis + from] === 'string' || shape[axis + from] === size);
  const [first] = shape;
  const batch = isBatch(first);
  // No declared shape is any shape.
  if (shape.length === 0 && dims.length !== 0) return { ok: true, value: [tensor] };
  const [length = 0, ...rest] = dims;
  const atOnce = typeof first === 'number' ? first : 1;
  if (
    dims.length === shape.length &&
    dims.length > 0 &&
    fits(1, rest) &&
    (batch || typeof first === 'number') &&
    atOnce > 0 &&
    length > 0 &&
    length % atOnce === 0
  ) {
    return { ok: true, value: takeApart(tensor, atOnce) };
  }
  if (fits(0, dims)) return { ok: true, value: [tensor] };
  if ((first === 1 || batch) && fits(1, dims)) return { ok: true, value: [{ ...tensor, dims: [1, ...dims] }] };
  return invalid(
    file,
    `has shape [${dims.join(', ')}], and the input "${name}" takes [${shape.map((dim) => (dim === '' ? 'any' : dim)).join(', ')}]`,
    "Save it in the model's shape.",
  );
}

function takeApart({ type, dims: [length = 0, ...rest], data }: HostTensor, atOnce: number): HostTensor[] {
  const each = (data.length / length) * atOnce;
  return Array.from({ length: length / atOnce }, (_, index) => ({
    type,
    dims: [atOnce, ...rest],
    data: data.subarray(index * each, (index + 1) * each),
  }));
}
