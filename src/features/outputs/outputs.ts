/** What is said of models that are run on inputs rather than on a text. Pure. */
import type { Estimate, InputsUsed, OutputDrift } from '../../../workers/contract/report.ts';
import { worstOutput } from '../../../workers/contract/metric-readings.ts';
import { formatDecibels, formatShape, formatShare, plural } from '../../lib/format/numbers.ts';
import type { Provenance } from '../protocols/protocols.ts';

/** `Its output keeps a signal-to-noise ratio of 23.1 dB.` */
export function outputsSentence(outputs: readonly OutputDrift[]): string | null {
  const worst = worstOutput(outputs);
  if (!worst) return null;
  const many = outputs.length > 1;
  if (worst.sqnr === null)
    return many ? 'Its outputs are the same, number for number.' : 'Its output is the same, number for number.';
  return `Its output${many ? 's keep' : ' keeps'} a signal-to-noise ratio of ${many ? 'at least ' : ''}${formatDecibels(worst.sqnr)}.`;
}

/** `87.5 % ± 6.0 of 8 inputs`, `97.7 % ± 1.3 of 128 positions in 8 inputs`; of old reports, which have no counts, what is told by the shape. */
function shareOfCounted(share: Estimate, { counted, shape }: OutputDrift): string {
  const text = formatShare(share);
  if (!counted) return `${text} of ${shape.length > 2 ? 'positions' : 'inputs'}`;
  const { rows, inputs } = counted;
  return rows === inputs
    ? `${text} of ${plural(inputs, 'input')}`
    : `${text} of ${plural(rows, 'position')} in ${plural(inputs, 'input')}`;
}

/** `The class with the highest score is the same for 87.5 % ± 6.0 of 8 inputs.`; null where no output looks like scores. */
export function classSentence(outputs: readonly OutputDrift[]): string | null {
  const scores = outputs
    .filter(({ top1 }) => top1 !== null)
    .reduce<OutputDrift | null>(
      (worst, output) => (worst?.top1 && output.top1 && worst.top1.value <= output.top1.value ? worst : output),
      null,
    );
  return scores?.top1
    ? `The class with the highest score is the same for ${shareOfCounted(scores.top1, scores)}.`
    : null;
}

/** `8 random inputs (seed 1)`, `3 samples from your files` */
export function inputsPhrase({ kind, seed, samples }: InputsUsed): string {
  return kind === 'random'
    ? `${plural(samples, 'random input')}${seed === null ? '' : ` (seed ${seed})`}`
    : `${plural(samples, 'sample')} from your files`;
}

/** How figures over inputs were measured. */
export function inputsProvenance(inputs: InputsUsed): Provenance {
  const shapes = inputs.inputs
    .map(
      ({ name, type, shape, from }) =>
        `${name}, ${type} ${formatShape(shape)}${inputs.kind === 'files' ? `, from ${from}` : ''}`,
    )
    .join('; ');
  const provider = inputs.provider === 'wasm' ? `WASM on ${plural(inputs.threads, 'thread')}` : 'WebGPU';
  return {
    tag: inputsPhrase(inputs),
    sentence:
      `Measured on ${inputsPhrase(inputs)}, the same for every level: ${shapes}; run by onnxruntime-web, ${provider}.` +
      (inputs.kind === 'random'
        ? ' Random numbers in the shape the graph asks for: a model may behave otherwise on real data.'
        : ''),
  };
}
