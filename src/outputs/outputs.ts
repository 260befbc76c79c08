/** What is said of models that are run on inputs rather than on a text. Pure. */
import type { InputsUsed, OutputDrift } from '../../workers/protocol.ts';
import { formatDecibels, formatShape, formatShare, plural } from '../format/numbers.ts';
import type { Provenance } from '../protocols/protocols.ts';

/** The output that drifted most, by which a level is judged; null when there is none. */
export function headline(outputs: readonly OutputDrift[]): OutputDrift | null {
  const ratio = ({ sqnr }: OutputDrift) => sqnr ?? Infinity;
  return outputs.reduce<OutputDrift | null>((worst, output) => worst && ratio(worst) <= ratio(output) ? worst : output, null);
}

/** `Its output keeps a signal-to-noise ratio of 23.1 dB.` */
export function outputsSentence(outputs: readonly OutputDrift[]): string | null {
  const worst = headline(outputs);
  if (!worst) return null;
  const many = outputs.length > 1;
  if (worst.sqnr === null) return many ? 'Its outputs are the same, number for number.' : 'Its output is the same, number for number.';
  return `Its output${many ? 's keep' : ' keeps'} a signal-to-noise ratio of ${many ? 'at least ' : ''}${formatDecibels(worst.sqnr)}.`;
}

/** `The class with the highest score is the same for 87.5 % ± 6.0 of inputs.`; null where no output looks like scores. */
export function classSentence(outputs: readonly OutputDrift[]): string | null {
  const scores = outputs.filter(({ top1 }) => top1 !== null).reduce<OutputDrift | null>((worst, output) => worst?.top1 && output.top1 && worst.top1.value <= output.top1.value ? worst : output, null);
  return scores?.top1 ? `The class with the highest score is the same for ${formatShare(scores.top1)} of inputs.` : null;
}

/** `8 random inputs (seed 1)`, `3 samples from your files` */
export function inputsPhrase({ kind, seed, samples }: InputsUsed): string {
  return kind === 'random' ? `${plural(samples, 'random input')}${seed === null ? '' : ` (seed ${seed})`}` : `${plural(samples, 'sample')} from your files`;
}

/** How figures over inputs were measured. */
export function inputsProvenance(inputs: InputsUsed): Provenance {
  const shapes = inputs.inputs.map(({ name, type, shape, from }) => `${name}, ${type} ${formatShape(shape)}${inputs.kind === 'files' ? `, from ${from}` : ''}`).join('; ');
  const provider = inputs.provider === 'wasm' ? `WASM on ${plural(inputs.threads, 'thread')}` : 'WebGPU';
  return {
    tag: inputsPhrase(inputs),
    sentence: `Measured on ${inputsPhrase(inputs)}, the same for every level: ${shapes}; run by onnxruntime-web, ${provider}.`
      + (inputs.kind === 'random' ? ' Random numbers in the shape the graph asks for: a model may behave otherwise on real data.' : ''),
  };
}
