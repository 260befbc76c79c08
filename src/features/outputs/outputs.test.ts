import { describe, expect, it } from 'vitest';
import type { OutputDrift } from '../../../workers/contract/report.ts';
import { imageReport } from '../results/test-reports.ts';
import { worstOutput } from '../../../workers/contract/metric-readings.ts';
import { classSentence, inputsPhrase, inputsProvenance, outputsSentence } from './outputs.ts';

const plain = (text: string | null) => text?.replaceAll('\u00a0', ' ');
const int4 = imageReport.levels[2]?.outputs ?? [];
const inputs = imageReport.inputs;
if (!inputs) throw new Error('the image model ran on inputs');

describe('outputs in words', () => {
  it('judge a level by the output that drifted most', () => {
    expect(worstOutput(int4)?.output).toBe('logits');
    expect(worstOutput([...int4].reverse())?.output).toBe('logits');
    expect(plain(outputsSentence(int4))).toBe('Its outputs keep a signal-to-noise ratio of at least 19.8 dB.');
    expect(plain(outputsSentence(int4.slice(0, 1)))).toBe('Its output keeps a signal-to-noise ratio of 19.8 dB.');
  });
  it('take what does not differ as the best there is, not as unknown', () => {
    const same = int4.map((output) => ({ ...output, sqnr: null }));
    expect(outputsSentence(same)).toBe('Its outputs are the same, number for number.');
    expect(plain(outputsSentence([...same.slice(0, 1), ...int4.slice(1)]))).toContain('at least 24.0 dB');
    expect(outputsSentence([])).toBeNull();
  });
  it('tell agreement only of class scores', () => {
    expect(plain(classSentence(int4))).toBe('The class with the highest score is the same for 88 % ± 13 of inputs.');
    const [scores] = int4;
    const said = (shape: number[], counted?: OutputDrift['counted']) =>
      plain(classSentence([{ ...scores!, shape, ...(counted && { counted }) }]));
    expect(said([1, 16, 300], { rows: 128, inputs: 8 })).toContain('of 128 positions in 8 inputs');
    expect(said([1, 1000], { rows: 8, inputs: 8 })).toContain('of 8 inputs');
    expect(said([1, 16, 300])).toContain('of positions');
    expect(classSentence(int4.slice(1))).toBeNull();
  });
  it('call random inputs random, and files yours', () => {
    expect(inputsPhrase(inputs)).toBe('8 random inputs (seed 1)');
    expect(inputsProvenance(inputs).sentence).toContain(
      'pixel_values, float32 1 × 3 × 256 × 256; run by onnxruntime-web, WASM on 4 threads. Random numbers',
    );
    const files = {
      ...inputs,
      kind: 'files',
      seed: null,
      samples: 3,
      inputs: [{ name: 'x', type: 'float32', shape: [1, 3], from: 'cat.npy' }],
    } as const;
    expect(
      inputsPhrase({ ...files, inputs: [...files.inputs].map((input) => ({ ...input, shape: [...input.shape] })) }),
    ).toBe('3 samples from your files');
    expect(
      inputsProvenance({ ...files, inputs: [...files.inputs].map((input) => ({ ...input, shape: [...input.shape] })) })
        .sentence,
    ).toContain('x, float32 1 × 3, from cat.npy');
    expect(inputsProvenance({ ...files, inputs: [] }).sentence).not.toContain('andom');
  });
});
