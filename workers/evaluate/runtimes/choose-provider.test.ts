import { describe, expect, it } from 'vitest';
import { inOneFile } from '../../onnx/model-files.ts';
import { tinyLanguageModel } from '../../../models/build.ts';
import * as ort from 'onnxruntime-web';
import type { Provider } from '../../contract/capabilities.ts';
import { fasterProvider } from './choose-provider.ts';
import { failure } from '../errors.ts';
import { wasmRuntime, type GraphRuntime } from '../sessions/graph-session.ts';

const MODEL = new Blob([tinyLanguageModel({ vocabulary: 64, width: 32, hidden: 32, type: 'float32', tied: false })]);

/** A provider that runs the model as ever, and takes `seconds` of a clock of the test's own for each run. */
function candidate(provider: Provider, seconds: number, clock: { now: number; opened: Provider[] }): GraphRuntime {
  const wasm = wasmRuntime(ort, 1);
  return {
    ...wasm,
    provider,
    async open(model) {
      clock.opened.push(provider);
      const session = await wasm.open(model);
      if (!session.ok) return session;
      return {
        ok: true,
        value: {
          ...session.value,
          run: (feeds, fetch) => {
            clock.now += seconds * 1000;
            return session.value.run(feeds, fetch);
          },
        },
      };
    },
  };
}

const broken: GraphRuntime = {
  provider: 'webgpu',
  threads: () => 1,
  open: () => Promise.resolve(failure('session-failed', 'no', 'no')),
};

describe('the provider to measure on', () => {
  it.each([
    [2, 1, 'webgpu'],
    [1, 2, 'wasm'],
    [1, 1, 'wasm'],
  ] as const)('with %i and %i seconds a run is %s', async (wasm, webgpu, expected) => {
    const clock = { now: 0, opened: [] as Provider[] };
    const { runtime, seconds } = await fasterProvider(
      inOneFile(MODEL),
      [{ runtime: candidate('wasm', wasm, clock) }, { runtime: candidate('webgpu', webgpu, clock) }],
      () => clock.now,
    );
    expect(runtime.provider).toBe(expected);
    expect(Object.fromEntries(seconds)).toEqual({ wasm, webgpu });
  });

  it('is the one that can run the model', async () => {
    const clock = { now: 0, opened: [] as Provider[] };
    expect(
      (
        await fasterProvider(
          inOneFile(MODEL),
          [{ runtime: candidate('wasm', 9, clock) }, { runtime: broken }],
          () => clock.now,
        )
      ).runtime.provider,
    ).toBe('wasm');
    expect(
      (
        await fasterProvider(
          inOneFile(MODEL),
          [{ runtime: broken }, { runtime: candidate('wasm', 9, clock) }],
          () => clock.now,
        )
      ).runtime.provider,
    ).toBe('wasm');
  });

  it('is not looked for on an adapter that is emulated', async () => {
    const clock = { now: 0, opened: [] as Provider[] };
    const { runtime } = await fasterProvider(
      inOneFile(MODEL),
      [{ runtime: candidate('wasm', 9, clock) }, { runtime: candidate('webgpu', 1, clock), software: true }],
      () => clock.now,
    );
    expect(runtime.provider).toBe('wasm');
    expect(clock.opened).toEqual([]);
  });
});
