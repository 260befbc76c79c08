import { describe, expect, it } from 'vitest';
import { inOneFile } from '../../onnx/model-files.ts';
import type { Result } from '../../contract/errors.ts';
import { calibrate } from './calibrate.ts';
import { failure } from '../errors.ts';
import type { EvaluationRuntime, LanguageModel } from '../text/language-model.ts';

/** A runtime whose clock moves by 3 s for loading, 5 s for the first run and 2 s for the second. */
function runtime(
  longest: number | null,
  fails = false,
): { runtime: EvaluationRuntime; clock: () => number; lengths: number[]; released: () => boolean } {
  let now = 0;
  let released = false;
  const lengths: number[] = [];
  const model: LanguageModel = {
    vocabulary: 4,
    longest,
    logits(ids, first, rows): Promise<Result<Float32Array>> {
      now += lengths.length === 0 ? 5000 : 2000;
      lengths.push(ids.length);
      expect(first + rows).toBe(ids.length);
      return Promise.resolve(
        fails ? failure('out-of-memory', '', '') : { ok: true, value: new Float32Array(rows * 4) },
      );
    },
    release: () => {
      released = true;
      return Promise.resolve();
    },
  };
  return {
    runtime: {
      provider: 'wasm',
      threads: () => 1,
      open: () => {
        now += 3000;
        return Promise.resolve({ ok: true, value: model });
      },
    },
    clock: () => now,
    lengths,
    released: () => released,
  };
}

describe('calibrating', () => {
  it('times loading and the second run of one window', async () => {
    const { runtime: given, clock, lengths, released } = runtime(null);
    expect(await calibrate(given, inOneFile(new Blob(['1234'])), clock)).toEqual({
      ok: true,
      value: [
        { type: 'timing', step: 'load', level: null, provider: 'wasm', amount: 4, seconds: 3 },
        { type: 'timing', step: 'run', level: null, provider: 'wasm', amount: 512, seconds: 2 },
      ],
    });
    expect(lengths).toEqual([512, 512]);
    expect(released()).toBe(true);
  });

  it('runs no more tokens than the model takes, and passes on what goes wrong', async () => {
    const short = runtime(64);
    await calibrate(short.runtime, inOneFile(new Blob(['1'])), short.clock);
    expect(short.lengths).toEqual([64, 64]);
    const broken = runtime(null, true);
    expect(await calibrate(broken.runtime, inOneFile(new Blob(['1'])), broken.clock)).toMatchObject({
      ok: false,
      error: { code: 'out-of-memory' },
    });
    expect(broken.released()).toBe(true);
  });
});
