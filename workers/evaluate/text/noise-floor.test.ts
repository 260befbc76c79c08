import * as ort from 'onnxruntime-web';
import { inOneFile } from '../../onnx/model-files.ts';
import { describe, expect, it } from 'vitest';
import { outOfMemory } from '../errors.ts';
import { evaluate, type EvaluationJob, type EvaluationOutcome } from './evaluate.ts';
import { wasmRuntime } from '../sessions/graph-session.ts';
import { languageModels, type EvaluationRuntime } from './language-model.ts';
import { tinyModel, tinyText, tinyTokenizer } from '../test-models.ts';

const VOCABULARY = 50;
const runtime = () => languageModels(wasmRuntime(ort, 1));
const fp16 = tinyModel({ vocabulary: VOCABULARY, type: 'float16' });
const fp32 = tinyModel({ vocabulary: VOCABULARY });
const noisy = tinyModel({ vocabulary: VOCABULARY, noise: 0.2 });

async function measured(parts: Partial<EvaluationJob>, on: EvaluationRuntime = runtime()): Promise<EvaluationOutcome> {
  const { json, config } = tinyTokenizer(VOCABULARY);
  const result = await evaluate(
    on,
    {
      baseline: { key: 'fp16', model: inOneFile(fp16) },
      levels: [],
      tokenizerJson: json,
      tokenizerConfig: config,
      text: tinyText(VOCABULARY, 2048),
      textName: 'tiny.txt',
      maxTokens: null,
      threads: 1,
      ...parts,
    },
    () => undefined,
  );
  if (!result.ok) throw new Error(`${result.error.message} ${result.error.details}`);
  return result.value;
}

describe('the noise floor', () => {
  it('is the drift of the fp16 model as a level of the float32 one', async () => {
    const { noiseFloor, notes } = await measured({ reference: { kind: 'original', model: inOneFile(fp32) } });
    const {
      levels: [, level],
    } = await measured({
      baseline: { key: 'fp32', model: inOneFile(fp32) },
      levels: [{ key: 'fp16', model: inOneFile(fp16) }],
    });
    const drift = level?.drift;
    // Levels may be scored by another implementation, whose sums round differently.
    const about = (value: number | undefined): unknown => expect.closeTo(value ?? NaN, 12);
    expect(noiseFloor).toEqual({
      reference: 'original',
      tokens: 4 * 255,
      sameTop: drift?.sameTop,
      kld: { value: about(drift?.kld.mean), error: about(drift?.kld.error), max: about(drift?.kld.max) },
      lnRatio: { value: about(drift?.lnRatio.value), error: about(drift?.lnRatio.error) },
    });
    expect(noiseFloor?.kld.value).toBeGreaterThan(0);
    expect(notes).toEqual([]);
  });

  it("changes no other figure, and is far below a level's drift", async () => {
    const levels = [{ key: 'noisy', model: inOneFile(noisy) }];
    const [without, beside] = [
      await measured({ levels }),
      await measured({ levels, reference: { kind: 'widened', model: inOneFile(fp32) } }),
    ];
    expect(beside.levels).toEqual(without.levels);
    expect(without.noiseFloor).toBeNull();
    expect(beside.noiseFloor?.reference).toBe('widened');
    expect(beside.noiseFloor!.kld.value).toBeLessThan(beside.levels[1]!.drift!.kld.mean / 100);
  });

  it('is of the first sixteen windows', async () => {
    let ran = 0;
    const counting: EvaluationRuntime = {
      ...runtime(),
      async open(model) {
        const opened = await runtime().open(model);
        return opened.ok && model.model === fp32
          ? {
              ok: true,
              value: {
                ...opened.value,
                logits: (...asked) => {
                  ran++;
                  return opened.value.logits(...asked);
                },
              },
            }
          : opened;
      },
    };
    const { noiseFloor, protocol } = await measured(
      { reference: { kind: 'original', model: inOneFile(fp32) }, text: tinyText(VOCABULARY, 512 * 20) },
      counting,
    );
    expect([protocol.chunks, ran, noiseFloor?.tokens]).toEqual([20, 16, 16 * 255]);
  });

  it('costs nothing but itself when it fails', async () => {
    const spoiled = await measured({
      reference: { kind: 'original', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, noise: NaN })) },
    });
    expect(spoiled.noiseFloor).toBeNull();
    expect(spoiled.notes).toEqual([expect.stringMatching(/^The noise floor was not measured: .+/)]);
    expect(spoiled.levels).toEqual((await measured({})).levels);
    const broken = await measured({ reference: { kind: 'widened', model: inOneFile(new Blob(['no model'])) } });
    expect([broken.noiseFloor, broken.notes.length, broken.levels]).toEqual([null, 1, spoiled.levels]);
  });

  it('gives way when memory does not do for it and the levels', async () => {
    let open = 0;
    let most = 0;
    /** Runs as long as two models are open at most. */
    const small: EvaluationRuntime = {
      ...runtime(),
      async open(model) {
        const opened = await runtime().open(model);
        if (!opened.ok) return opened;
        most = Math.max(most, ++open);
        return {
          ok: true,
          value: {
            ...opened.value,
            logits: (...asked) =>
              open > 2 ? Promise.resolve(outOfMemory('Running', '')) : opened.value.logits(...asked),
            release: () => {
              open--;
              return opened.value.release();
            },
          },
        };
      },
    };
    const levels = [{ key: 'noisy', model: inOneFile(noisy) }];
    const {
      noiseFloor,
      notes,
      levels: figures,
    } = await measured({ levels, reference: { kind: 'original', model: inOneFile(fp32) } }, small);
    expect(figures).toEqual((await measured({ levels })).levels);
    expect([noiseFloor, most, open]).toEqual([null, 3, 0]);
    expect(notes.join()).toContain('noise floor was not measured');
  });

  it('stays, and is counted once, where the levels take several passes after it', async () => {
    let left = 3 + 18;
    const once: EvaluationRuntime = {
      ...runtime(),
      async open(model) {
        const opened = await runtime().open(model);
        if (!opened.ok || model.model !== noisy) return opened;
        return {
          ok: true,
          value: {
            ...opened.value,
            logits: (...asked) =>
              --left === 0 ? Promise.resolve(outOfMemory('Running', '')) : opened.value.logits(...asked),
          },
        };
      },
    };
    const { noiseFloor, notes, levels } = await measured(
      {
        levels: [
          { key: 'noisy', model: inOneFile(noisy) },
          { key: 'other', model: inOneFile(tinyModel({ vocabulary: VOCABULARY, noise: 0.1 })) },
        ],
        reference: { kind: 'original', model: inOneFile(fp32) },
        text: tinyText(VOCABULARY, 512 * 24),
      },
      once,
    );
    expect(notes).toEqual([expect.stringContaining('measured in 2 passes')]);
    expect(levels.every(({ problem }) => problem === null)).toBe(true);
    expect(noiseFloor?.tokens).toBe(16 * 255);
  });
});
