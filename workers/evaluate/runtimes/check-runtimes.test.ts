import * as ort from 'onnxruntime-web';
import { inOneFile } from '../../onnx/model-files.ts';
import { describe, expect, it } from 'vitest';
import { twoOutputModel } from '../../../models/build.ts';
import type { Progress, Timing } from '../../contract/events.ts';
import { checkOverflow, checkRuntimes, type EvaluationInput } from './check-runtimes.ts';
import { wasmRuntime, type GraphRuntime } from '../sessions/graph-session.ts';
import { withFault } from '../test-faults.ts';
import { tinyText, tinyTokenizer } from '../test-models.ts';
import { tinyTransformer } from '../test-transformer.ts';

const VOCABULARY = 24;
const wasm = () => wasmRuntime(ort, 1);
const elsewhere = (runtime: GraphRuntime): GraphRuntime => ({ ...runtime, provider: 'webgpu' });
const { json, config } = tinyTokenizer(VOCABULARY);
const TEXT: EvaluationInput = {
  kind: 'text',
  tokenizerJson: json,
  tokenizerConfig: config,
  text: tinyText(VOCABULARY, 1200),
  maxTokens: null,
};
const transformer = tinyTransformer({ vocabulary: VOCABULARY });

describe('checking runtimes', () => {
  it('holds each file on one provider against the other, on the text the figures are of', async () => {
    const events: (Progress | Timing)[] = [];
    const models = [
      { key: 'fp16', model: inOneFile(transformer), kld: null, outputs: null },
      { key: 'int4', model: inOneFile(transformer), kld: 0.01, outputs: null },
    ];
    const checked = await checkRuntimes({ models, material: TEXT, threads: 1 }, elsewhere(wasm()), wasm(), (event) => {
      events.push(event);
    });
    expect(checked).toMatchObject({
      ok: true,
      value: {
        levels: [
          {
            key: 'fp16',
            runtimeDrift: {
              provider: 'webgpu',
              against: 'wasm',
              exceeds: false,
              distance: { kld: { value: 0 } },
              problem: null,
            },
          },
          { key: 'int4', runtimeDrift: { exceeds: false, partsAt: null } },
        ],
      },
    });
    expect(
      events.flatMap((event) =>
        event.type === 'progress' ? [[event.stage, event.level, event.done, event.total]] : [],
      ),
    ).toEqual([
      ['check', 'fp16', 0, 2],
      ['check', 'int4', 1, 2],
      ['check', null, 2, 2],
    ]);
    expect(
      events.flatMap((event) => (event.type === 'timing' ? [[event.step, event.level, event.provider]] : [])),
    ).toEqual([
      ['start', null, 'webgpu'],
      ['runtime-drift', 'fp16', 'webgpu'],
      ['runtime-drift', 'int4', 'webgpu'],
    ]);
  });

  it('names the node where a fault is, of the baseline too, which is held against the closest level', async () => {
    const models = [
      { key: 'fp16', model: inOneFile(transformer), kld: null, outputs: null },
      { key: 'int4', model: inOneFile(transformer), kld: 1e-3, outputs: null },
    ];
    const faulty = elsewhere(withFault(wasm(), { tensor: 'up', factor: 1.3 }));
    const checked = await checkRuntimes({ models, material: TEXT, threads: 1 }, faulty, wasm(), () => undefined);
    const named = { exceeds: true, partsAt: { node: 'up/MatMul', operator: 'MatMul', tensor: 'up' } };
    expect(checked).toMatchObject({ ok: true, value: { levels: [{ runtimeDrift: named }, { runtimeDrift: named }] } });
  });

  it('compares outputs of other models on the inputs of the figures', async () => {
    const model = new Blob([twoOutputModel()]);
    const models = [{ key: 'fp16', model: inOneFile(model), kld: null, outputs: null }];
    const checked = await checkRuntimes(
      { models, material: { kind: 'inputs', files: [] }, threads: 1 },
      elsewhere(wasm()),
      wasm(),
      () => undefined,
    );
    expect(checked).toMatchObject({
      ok: true,
      value: { levels: [{ runtimeDrift: { distance: null, exceeds: false, problem: null } }] },
    });
    if (checked.ok)
      expect(checked.value.levels[0]?.runtimeDrift.outputs?.map(({ sqnr }) => sqnr)).toEqual([null, null]);
  });

  it('stops when told to', async () => {
    const stop = new AbortController();
    stop.abort();
    const models = [{ key: 'fp16', model: inOneFile(transformer), kld: null, outputs: null }];
    expect(
      await checkRuntimes({ models, material: TEXT, threads: 1 }, wasm(), wasm(), () => undefined, stop.signal),
    ).toMatchObject({ ok: false, error: { code: 'cancelled' } });
  });
});

describe('checking for overflow', () => {
  it('looks at activations on the text', async () => {
    expect(await checkOverflow({ model: inOneFile(transformer), material: TEXT, threads: 1 }, wasm())).toEqual({
      ok: true,
      value: { overflow: [] },
    });
    const loud = await checkOverflow(
      { model: inOneFile(tinyTransformer({ vocabulary: VOCABULARY, gain: 400 })), material: TEXT, threads: 1 },
      wasm(),
    );
    expect(loud).toMatchObject({ ok: true });
    if (loud.ok) expect(loud.value.overflow.map(({ operator }) => operator)).toContain('Pow');
  });
});
