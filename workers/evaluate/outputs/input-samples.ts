/** The samples a model is run on: from dropped files, or made up; one at a time, never all in memory but for the files. */
import type { InputsUsed } from '../../contract/report.ts';
import type { Result } from '../../contract/errors.ts';
import { failure } from '../errors.ts';
import type { GraphSession } from '../sessions/graph-session.ts';
import type { InputHints } from './input-hints.ts';
import { matchFiles, type MatchedFiles } from './input-files/match-inputs.ts';
import { resolveShapes, USUAL_SIZES } from './input-shapes.ts';
import type { ValueInfo } from '../inputs.ts';
import {
  describeInputs,
  feedsOf,
  findInputSpec,
  seededSample,
  type Feeds,
  type InputSpec,
  type SeededInput,
} from './seeded-inputs.ts';

export interface InputSamples {
  count: number;
  /** What a run is fed with. Errors: `input-invalid`, `inputs-unknown`. */
  feeds(index: number): Result<Feeds>;
  used: Pick<InputsUsed, 'kind' | 'seed' | 'inputs'>;
  notes: string[];
}

export interface SampleRequest {
  /** None: seeded inputs. */
  files: readonly File[];
  seed: number;
  /** How many to make up; files bring their own number. */
  samples: number;
}

/**
 * @param session The baseline, which is run to find sizes where the graph leaves them free.
 * @param fetch Outputs to compute in those runs.
 * Errors: `input-invalid`, `inputs-unknown`, `out-of-memory`.
 */
export async function prepareSamples(
  session: GraphSession,
  fetch: readonly string[],
  hints: InputHints,
  { files, seed, samples }: SampleRequest,
  signal?: AbortSignal,
): Promise<Result<InputSamples>> {
  const { inputs } = session;
  if (files.length === 0) {
    const spec = await findInputSpec(session, fetch, hints, seed, signal);
    return spec.ok ? seeded(inputs, hints, spec.value, samples) : spec;
  }
  let spec: Promise<Result<InputSpec>> | null = null;
  const matched = await matchFiles(files, inputs, hints, async (input) => {
    const fixed = input.shape?.slice(1).filter((dim) => typeof dim === 'number') ?? [];
    if (fixed.length === 3) return { ok: true, value: [1, ...fixed] };
    const found = await (spec ??= findInputSpec(session, fetch, hints, seed, signal));
    return found.ok
      ? { ok: true, value: resolveShapes(inputs, hints, found.value.free).shapes.get(input.name) ?? [] }
      : found;
  });
  return matched.ok ? fromFiles(inputs, hints, matched.value) : matched;
}

function seeded(inputs: readonly ValueInfo[], hints: InputHints, spec: InputSpec, count: number): Result<InputSamples> {
  const first = seededSample(inputs, hints, spec, 0);
  if (!first.ok) return first;
  return {
    ok: true,
    value: {
      count,
      feeds(index) {
        const sample = seededSample(inputs, hints, spec, index);
        return sample.ok ? { ok: true, value: feedsOf(sample.value) } : sample;
      },
      used: { kind: 'random', seed: spec.seed, inputs: describeSample(first.value) },
      notes: [],
    },
  };
}

/** Inputs without a file are filled where their name says with what: masks, positions, token types, empty caches. */
function fromFiles(
  inputs: readonly ValueInfo[],
  hints: InputHints,
  { samples, inputs: filled, notes }: MatchedFiles,
): Result<InputSamples> {
  const rest = new Set(inputs.map(({ name }) => name).filter((name) => !filled.has(name)));
  const sample = (index: number): Result<Map<string, SeededInput>> => {
    const given = new Map<string, SeededInput>();
    const known = new Map<string, number>();
    for (const { name, shape } of inputs) {
      const input = filled.get(name);
      const tensor = input && (input.tensors[index] ?? input.tensors[0]);
      if (!input || !tensor) continue;
      given.set(name, { tensor, from: input.from, given: true });
      shape?.forEach((dim, axis) => {
        if (typeof dim === 'string' && dim !== '') known.set(dim, tensor.dims[axis] ?? 1);
      });
    }
    if (rest.size === 0) return { ok: true, value: given };
    // All inputs take part, those from files in the shape they have, so that lengths are told by the ids.
    const shaped = inputs.map((input) => {
      const tensor = given.get(input.name)?.tensor;
      return tensor ? { ...input, shape: tensor.dims } : input;
    });
    const made = seededSample(shaped, hints, { seed: 0, free: USUAL_SIZES, wholeBelow: 1 }, index, known, rest);
    if (!made.ok) return made;
    const missing = [...rest].find((name) => made.value.get(name)?.given !== true);
    if (missing !== undefined) {
      return failure(
        'input-invalid',
        `There is no file for the input "${missing}".`,
        'Give a file for every input, or none to use random ones.',
        describeInputs(inputs),
      );
    }
    return {
      ok: true,
      value: new Map(
        inputs.flatMap(({ name }) => {
          const one = given.get(name) ?? made.value.get(name);
          return one ? [[name, one]] : [];
        }),
      ),
    };
  };
  const first = sample(0);
  if (!first.ok) return first;
  return {
    ok: true,
    value: {
      count: samples,
      feeds(index) {
        const one = sample(index);
        return one.ok ? { ok: true, value: feedsOf(one.value) } : one;
      },
      used: { kind: 'files', seed: null, inputs: describeSample(first.value) },
      notes,
    },
  };
}

function describeSample(sample: ReadonlyMap<string, SeededInput>): InputsUsed['inputs'] {
  return [...sample].map(
    ([
      name,
      {
        tensor: { type, dims },
        from,
      },
    ]) => ({ name, type, shape: [...dims], from }),
  );
}
