/** Inputs to time a model on that is not a language model: the first seeded sample, as output drift takes it. */
import { readInputHints } from './input-hints.ts';
import { DEFAULT_SEED, feedsOf, findInputSpec, seededSample } from './seeded-inputs.ts';
import type { MakeFeeds } from '../speed/speed.ts';

/** Errors: `inputs-unknown`, `out-of-memory`. */
export const seededFeeds: MakeFeeds = async (session, model) => {
  const hints = await readInputHints(model.model);
  const spec = await findInputSpec(
    session,
    session.outputs.map(({ name }) => name),
    hints,
    DEFAULT_SEED,
  );
  if (!spec.ok) return spec;
  const sample = seededSample(session.inputs, hints, spec.value, 0);
  return sample.ok ? { ok: true, value: feedsOf(sample.value) } : sample;
};
