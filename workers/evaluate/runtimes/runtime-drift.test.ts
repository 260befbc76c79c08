import * as ort from 'onnxruntime-web';
import { inOneFile } from '../../onnx/model-files.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encode, graph, model, node, randomValues, tensor, value } from '../../../models/build.ts';
import type { Distance, OutputDrift, RuntimeDrift } from '../../contract/report.ts';
import type { Result } from '../../contract/errors.ts';
import { tallyDistance } from '../statistics/distance.ts';
import { failure } from '../errors.ts';
import { wasmRuntime, type GraphRuntime, type HostTensor } from '../sessions/graph-session.ts';
import {
  affordable,
  exceeds,
  FEWEST_TOKENS,
  outputRuntimeDrift,
  quantizationOfOutputs,
  quantizationToBeat,
  runtimeDrift,
  type OutputTally,
  type RuntimeDriftJob,
} from './runtime-drift.ts';
import { withFault } from '../test-faults.ts';
import { tinyTransformer } from '../test-transformer.ts';

const VOCABULARY = 24;
const wasm = () => wasmRuntime(ort, 1);
const windows = Array.from({ length: 6 }, (_, window) => ({
  ids: Int32Array.from({ length: 64 }, (_, index) => (index * 7 + window * 5) % VOCABULARY),
}));

const job = (parts: Partial<RuntimeDriftJob> = {}): RuntimeDriftJob => ({
  model: inOneFile(tinyTransformer({ vocabulary: VOCABULARY })),
  runtime: wasm(),
  against: wasm(),
  windows,
  quantization: 1e-3,
  ...parts,
});

async function driftOf(result: Promise<Result<RuntimeDrift>>): Promise<RuntimeDrift> {
  const settled = await result;
  if (!settled.ok) throw new Error(settled.error.message);
  return settled.value;
}

describe('runtime drift of a language model', () => {
  it('is nothing where two providers compute the same, over all tokens of the first windows', async () => {
    expect(await driftOf(runtimeDrift(job()))).toEqual({
      provider: 'wasm',
      against: 'wasm',
      outputs: null,
      exceeds: false,
      partsAt: null,
      arbitration: null,
      widened: false,
      problem: null,
      distance: {
        tokens: 4 * 63,
        kld: { value: 0, error: 0, max: 0 },
        sameTop: { value: 1, error: 0 },
        lnRatio: { value: 0, error: 0 },
      },
    });
  });

  it('exceeds quantization drift when a node is computed wrongly, and the node is named', async () => {
    const drift = await driftOf(runtimeDrift(job({ runtime: withFault(wasm(), { tensor: 'up', factor: 1.2 }) })));
    expect(drift).toMatchObject({
      exceeds: true,
      problem: null,
      partsAt: { node: 'up/MatMul', operator: 'MatMul', tensor: 'up' },
    });
    expect(drift.distance?.kld.value).toBeGreaterThan(1e-3);
    expect(drift.distance?.tokens).toBe(4 * 63);
  });

  it('is not looked into while quantization costs more', async () => {
    const drift = await driftOf(
      runtimeDrift(job({ runtime: withFault(wasm(), { tensor: 'up', factor: 1.2 }), quantization: 10 })),
    );
    expect(drift).toMatchObject({ exceeds: false, partsAt: null });
    expect(drift.distance?.kld.value).toBeGreaterThan(0);
  });

  it('exceeds everything when one provider gives no numbers', async () => {
    const drift = await driftOf(
      runtimeDrift(job({ runtime: withFault(wasm(), { tensor: 'gated', factor: NaN }), quantization: 10 })),
    );
    expect(drift).toMatchObject({ distance: null, exceeds: true, partsAt: { tensor: 'gated' }, problem: null });
  });

  it('cannot be measured when neither gives numbers, or a provider fails, and that is its problem', async () => {
    const broken = withFault(wasm(), { tensor: 'gated', factor: NaN });
    expect(await driftOf(runtimeDrift(job({ runtime: broken, against: broken })))).toMatchObject({
      distance: null,
      exceeds: false,
      problem: { code: 'session-failed' },
    });
    const failing: GraphRuntime = {
      ...wasm(),
      provider: 'webgpu',
      open: () => Promise.resolve(failure('device-lost', 'Gone.', 'Wait.')),
    };
    expect(await driftOf(runtimeDrift(job({ runtime: failing })))).toMatchObject({
      provider: 'webgpu',
      distance: null,
      problem: { code: 'device-lost' },
    });
    expect(await driftOf(runtimeDrift(job({ windows: [] })))).toMatchObject({ problem: { code: 'text-too-short' } });
  });

  it('stays within its time, but for the fewest tokens', async () => {
    const drift = await driftOf(runtimeDrift(job({ seconds: 0 })));
    expect(drift.distance?.tokens).toBe(FEWEST_TOKENS - 1);
  });

  it('is cancelled when it is stopped', async () => {
    expect(await runtimeDrift(job({ signal: AbortSignal.abort() }))).toMatchObject({
      ok: false,
      error: { code: 'cancelled' },
    });
  });
});

describe('what is run', () => {
  it('is the fewest tokens at least, never more than there are, and within what there is time for', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 2, max: 512 }), { minLength: 1, maxLength: 8 }),
        fc.double({ min: 0, max: 4000, noNaN: true }),
        (lengths, tokens) => {
          const fewest = Math.min(FEWEST_TOKENS, lengths[0]!);
          const parts = affordable(lengths, fewest, tokens);
          expect(parts.map(({ window }) => window)).toEqual(parts.map((_, index) => index));
          expect(parts.length).toBeGreaterThan(0);
          expect(parts.length).toBeLessThanOrEqual(4);
          for (const part of parts) expect(part.tokens).toBeLessThanOrEqual(lengths[part.window]!);
          expect(parts[0]!.tokens).toBeGreaterThanOrEqual(fewest);
          expect(parts.reduce((sum, part) => sum + part.tokens, 0)).toBeLessThanOrEqual(Math.max(fewest, tokens));
        },
      ),
    );
  });

  it('is whole windows while there is time', () => {
    expect(affordable([512, 512, 512], 32, 1100)).toEqual([
      { window: 0, tokens: 512 },
      { window: 1, tokens: 512 },
      { window: 2, tokens: 76 },
    ]);
    expect(affordable([512, 512], 32, 530)).toEqual([{ window: 0, tokens: 512 }]);
    expect(affordable([512, 512], 32, 3)).toEqual([{ window: 0, tokens: 32 }]);
  });
});

describe('runtime drift exceeds', () => {
  const distance = (mean: number, error: number): Distance => ({
    tokens: 100,
    kld: { value: mean, error, max: 1 },
    sameTop: { value: 1, error: 0 },
    lnRatio: { value: 0, error: 0 },
  });

  it('when it is larger by more than two standard errors, and more than rounding', () => {
    expect(exceeds(distance(0.02, 0.004), 0.01)).toBe(true);
    expect(exceeds(distance(0.02, 0.006), 0.01)).toBe(false);
    expect(exceeds(distance(1e-7, 0), 0)).toBe(false);
    expect(exceeds(distance(1e-5, 0), 0)).toBe(true);
  });

  it('what the level costs; of the baseline, what the closest level costs, or what is conspicuous by itself', () => {
    expect(quantizationToBeat(0.02, [0.001])).toBe(0.02);
    expect(quantizationToBeat(null, [0.02, 0.001, 0.3])).toBe(0.001);
    expect(quantizationToBeat(null, [])).toBe(1e-3);
    const drift = (output: string, sqnr: number | null): OutputDrift => ({
      output,
      shape: [1],
      cosine: 1,
      sqnr,
      maxError: 0,
      rms: 1,
      top1: null,
      top5: null,
    });
    expect(quantizationOfOutputs([drift('a', 20)], [[drift('a', 40)]])).toEqual(new Map([['a', 20]]));
    expect(quantizationOfOutputs(null, [[drift('a', 20), drift('b', 10)], [drift('a', 40)]])).toEqual(
      new Map([
        ['a', 40],
        ['b', 10],
      ]),
    );
    expect(quantizationOfOutputs(null, [[drift('a', null)]])).toEqual(new Map([['a', Infinity]]));
  });
});

describe('the distance of two runs', () => {
  const logits = fc.integer({ min: 2, max: 12 }).chain((vocabulary) =>
    fc.integer({ min: 1, max: 8 }).chain((rows) =>
      fc.record({
        vocabulary: fc.constant(vocabulary),
        rows: fc.constant(rows),
        a: fc.array(fc.float({ min: -20, max: 20, noNaN: true }), {
          minLength: vocabulary * rows,
          maxLength: vocabulary * rows,
        }),
        b: fc.array(fc.float({ min: -20, max: 20, noNaN: true }), {
          minLength: vocabulary * rows,
          maxLength: vocabulary * rows,
        }),
        targets: fc.array(fc.integer({ min: 0, max: vocabulary - 1 }), { minLength: rows, maxLength: rows }),
      }),
    ),
  );

  it('is never below 0, 0 for equal ones, and the same however it is added up', async () => {
    await fc.assert(
      fc.asyncProperty(logits, async ({ vocabulary, rows, a, b, targets }) => {
        const whole = await tallyDistance(rows, vocabulary);
        whole.add(Float32Array.from(a), Float32Array.from(b), Int32Array.from(targets));
        const distance = whole.distance()!;
        // Entries below e^-16 are left out, and with them at most so much.
        expect(distance.kld.value).toBeGreaterThanOrEqual(-vocabulary * Math.exp(-16));
        expect(distance.tokens).toBe(rows);
        const same = await tallyDistance(rows, vocabulary);
        same.add(Float32Array.from(a), Float32Array.from(a), Int32Array.from(targets));
        expect(same.distance()).toMatchObject({
          kld: { max: expect.closeTo(0, 12) },
          sameTop: { value: 1 },
          lnRatio: { value: expect.closeTo(0, 12) },
        });
        const parts = await tallyDistance(1, vocabulary);
        for (let row = 0; row < rows; row++) {
          const of = (values: number[]) => Float32Array.from(values.slice(row * vocabulary, (row + 1) * vocabulary));
          parts.add(of(a), of(b), Int32Array.of(targets[row]!));
        }
        expect(parts.distance()!.kld.value).toBeCloseTo(distance.kld.value, 10);
        expect(parts.distance()!.lnRatio.value).toBeCloseTo(distance.lnRatio.value, 10);
      }),
    );
  });

  it('says whose values are no numbers, and leaves them out', async () => {
    const tally = await tallyDistance(1, 2);
    tally.add(Float32Array.of(1, 2), Float32Array.of(1, NaN), Int32Array.of(0));
    expect([tally.notFinite, tally.distance()]).toEqual([{ against: false, of: true }, null]);
    tally.add(Float32Array.of(NaN, 2), Float32Array.of(1, 2), Int32Array.of(0));
    tally.add(Float32Array.of(1, 2), Float32Array.of(1, 2), Int32Array.of(0));
    expect([tally.notFinite, tally.distance()?.tokens]).toEqual([{ against: true, of: true }, 1]);
  });
});

/** Signal to noise alone; the other figures play no part in the decision. */
function tally(output: string): OutputTally {
  let [signal, noise] = [0, 0];
  return {
    add(baseline, level) {
      baseline.data.forEach((expected, index) => {
        signal += Number(expected) ** 2;
        noise += (Number(expected) - Number(level.data[index])) ** 2;
      });
    },
    drift: () => ({
      output,
      shape: [],
      cosine: 1,
      sqnr: noise === 0 ? null : 10 * Math.log10(signal / noise),
      maxError: 0,
      rms: 1,
      top1: null,
      top5: null,
    }),
  };
}

describe('runtime drift of other models', () => {
  const image = new Blob([
    encode(
      model(
        graph({
          node: [
            node('Conv', ['image', 'kernel'], ['features'], { kernel_shape: [3, 3] }),
            node('Relu', ['features'], ['active']),
            node('GlobalAveragePool', ['active'], ['pooled']),
            node('Flatten', ['pooled'], ['flat']),
            node('MatMul', ['flat', 'classes'], ['scores']),
            node('ArgMax', ['scores'], ['best'], { axis: -1, keepdims: 0 }),
          ],
          initializer: [
            tensor('kernel', 'float32', [6, 3, 3, 3], randomValues(1, 162)),
            tensor('classes', 'float32', [6, 5], randomValues(2, 30)),
          ],
          input: [value('image', 'float32', [1, 3, 8, 8])],
          output: [value('scores', 'float32', [1, 5]), value('best', 'int64', [1])],
        }),
      ),
    ),
  ]);
  const samples = [3, 4].map((seed): Record<string, HostTensor> => ({
    image: { type: 'float32', dims: [1, 3, 8, 8], data: randomValues(seed, 192) },
  }));
  const outputs = { model: inOneFile(image), against: wasm(), samples, tally, quantization: new Map([['scores', 25]]) };

  it('is told by output, and exceeds nothing where both compute the same', async () => {
    const drift = await driftOf(outputRuntimeDrift({ ...outputs, runtime: wasm() }));
    expect(drift).toMatchObject({ distance: null, exceeds: false, partsAt: null, problem: null });
    expect(drift.outputs?.map(({ output, sqnr }) => [output, sqnr])).toEqual([
      ['scores', null],
      ['best', null],
    ]);
  });

  it('exceeds when an output is noisier than quantization makes it, and the node is named', async () => {
    const drift = await driftOf(
      outputRuntimeDrift({ ...outputs, runtime: withFault(wasm(), { tensor: 'features', factor: 1.1 }) }),
    );
    expect(drift).toMatchObject({
      exceeds: true,
      partsAt: { node: 'features/Conv', operator: 'Conv', tensor: 'features' },
    });
    expect(drift.outputs?.[0]?.sqnr).toBeCloseTo(20, 0);
    const quieter = await driftOf(
      outputRuntimeDrift({ ...outputs, runtime: withFault(wasm(), { tensor: 'features', factor: 1.01 }) }),
    );
    expect(quieter).toMatchObject({ exceeds: false, partsAt: null });
  });

  it('exceeds when one provider gives no numbers', async () => {
    expect(
      await driftOf(
        outputRuntimeDrift({
          ...outputs,
          runtime: withFault(wasm(), { tensor: 'active', factor: NaN }),
          quantization: new Map([['scores', -300]]),
        }),
      ),
    ).toMatchObject({ exceeds: true, partsAt: { tensor: 'active' } });
  });

  it('has a problem where a provider cannot run the model', async () => {
    expect(await driftOf(outputRuntimeDrift({ ...outputs, runtime: wasm(), samples: [{}] }))).toMatchObject({
      outputs: null,
      problem: { code: 'session-failed' },
    });
  });
});
