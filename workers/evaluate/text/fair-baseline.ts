/**
 * Whether the fp16 model is a fair baseline: what levels are held against must itself be close to the model in float32,
 * or they are charged for what rounding to fp16 has spoiled.
 *
 * Weights rounded to fp16 move the predictions of language models by some 1e-5 nats, and other outputs to 60 dB and
 * more. An int8 level moves them by about 1e-3 nats, and to some 40 dB. A baseline that is itself as far from float32 as
 * int8 is, or nearly so, does not tell what a level costs.
 */
import type { NoiseFloor, OutputDrift } from '../../contract/report.ts';

/** Mean KL divergence in nats, as of an int8 level. */
export const MOST_FAIR_KLD = 1e-3;
/** Signal to noise in decibels, halfway between fp16 and int8. */
export const LEAST_FAIR_DECIBELS = 50;

/** Share of labels and flags that are the same; single ones turn on numbers that are next to each other. */
const LEAST_EQUAL = 0.99;

/** What the model in float32 is called among the models whose outputs are compared. */
export const FLOAT32_KEY = 'float32';

const ADVICE = 'Levels are held against a baseline that fp16 has changed: their drift is not quantization alone.';

/** A note for the report; null when the baseline is fair, or nobody knows. */
export function whyUnfair(floor: NoiseFloor | null): string | null {
  if (!floor || floor.kld.value <= MOST_FAIR_KLD) return null;
  return `fp16 is no fair baseline of this model: it is ${floor.kld.value.toPrecision(2)} nats from float32, where rounding weights costs about 1e-5. ${ADVICE}`;
}

/** @param outputs Of the model in float32, against the baseline. */
export function whyOutputsUnfair(outputs: readonly OutputDrift[]): string | null {
  const spoiled = outputs.filter(({ sqnr, equal }) =>
    equal ? equal.value < LEAST_EQUAL : sqnr !== null && !(sqnr >= LEAST_FAIR_DECIBELS),
  );
  const [worst] = spoiled.toSorted((a, b) => (a.sqnr ?? 0) - (b.sqnr ?? 0));
  if (!worst) return null;
  const how = worst.equal
    ? `${((1 - worst.equal.value) * 100).toPrecision(2)} % of its values differ`
    : `${(worst.sqnr ?? 0).toFixed(0)} dB, where rounding weights leaves 60 and more`;
  return `fp16 is no fair baseline of this model: ${worst.output} is not what it is in float32 (${how}). ${ADVICE}`;
}
