/** Several models dropped at once: the one chosen is the one that opens, with the files that belong to it. */
import { describe, expect, it } from 'vitest';
import {
  byteTokenizer,
  imageModel,
  matMulModel,
  randomValues,
  splitModel,
  tinyLanguageModel,
} from '../models/build.ts';
import { CPU_ONLY, pageWithEngine } from './page-with-engine.ts';

const file = (name: string, content: BlobPart) => new File([content], name);
const inFolder = (path: string, content: BlobPart) =>
  Object.assign(file(path.slice(path.lastIndexOf('/') + 1), content), { path });
const LANGUAGE = tinyLanguageModel({ vocabulary: 256, width: 32, hidden: 48, type: 'float32', tied: false });
const MODELS = [
  file('language.onnx', LANGUAGE),
  file('image.onnx', imageModel({ size: 32 })),
  file('matmul.onnx', matMulModel(randomValues(1, 64), 8, 8)),
];
const COMPANIONS = [file('tokenizer.json', byteTokenizer()), file('text.txt', 'Call me Ishmael. '.repeat(40))];

const permutations = <T>(items: readonly T[]): T[][] =>
  items.length === 0
    ? [[]]
    : items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));

/** A model with its weights in a file of its own. */
function split(name: string, seed: number, dataName: string): File[] {
  const { model, files } = splitModel(matMulModel(randomValues(seed, 4096), 64, 64), () => dataName);
  return [file(name, model), ...[...files].map(([location, bytes]) => file(location, bytes))];
}

describe('of several models', { timeout: 120_000 }, () => {
  it.each(permutations(MODELS).map((order) => ({ order, names: order.map(({ name }) => name).join(', ') })))(
    'any one can be chosen: $names',
    async ({ order }) => {
      for (const wanted of order) {
        const { store } = await pageWithEngine(CPU_ONLY);
        const [first, ...others] = order;
        await store.getState().addFiles([...(first ? [first] : []), ...COMPANIONS, ...others]);
        const { choices, opened } = store.getState();
        expect(choices.map(({ name }) => name)).toEqual(order.map(({ name }) => name));
        expect(opened?.model).toBeNull();
        await store.getState().chooseModel(choices.find(({ name }) => name === wanted.name)?.index ?? -1);
        const after = store.getState();
        expect(after.opened?.model?.name).toBe(wanted.name);
        expect(after.files.filter(({ kind }) => kind === 'onnx').map((kept) => kept.file)).toEqual([wanted]);
        expect(after.opened?.text?.name).toBe('text.txt');
        expect(after.choices).toEqual([]);
      }
    },
  );

  it.each([
    [['a.onnx', 'b.onnx', 'c.onnx'], 'x'],
    [['c.onnx', 'a.onnx', 'b.onnx'], 'weights_of_x'],
    [['b.onnx', 'c.onnx', 'a.onnx'], 'x.onnx_data'],
  ])('each keeps its own external data: %s, %s', async (order, pattern) => {
    const all = new Map(order.map((name, seed) => [name, split(name, seed + 1, pattern.replace('x', name.charAt(0)))]));
    for (const name of order) {
      const { store } = await pageWithEngine(CPU_ONLY);
      // Data before, between and behind the models.
      await store
        .getState()
        .addFiles([...all.values()].flatMap((files, at) => (at % 2 === 0 ? files : files.toReversed())));
      expect(
        store
          .getState()
          .choices.map((choice) => choice.name)
          .sort(),
      ).toEqual([...order].sort());
      await store.getState().chooseModel(store.getState().choices.find((choice) => choice.name === name)?.index ?? -1);
      expect(store.getState().opened).toMatchObject({ model: { name, parameters: 4096 } });
      expect(store.getState().opened?.missing).toBeUndefined();
    }
  });

  it('two of one name in different folders are told apart', async () => {
    const { store } = await pageWithEngine(CPU_ONLY);
    await store
      .getState()
      .addFiles([inFolder('/a/model.onnx', LANGUAGE), inFolder('/b/model.onnx', imageModel({ size: 32 }))]);
    const { choices } = store.getState();
    expect(choices.map(({ name }) => name)).toEqual(['a/model.onnx', 'b/model.onnx']);
    await store.getState().chooseModel(choices[0]?.index ?? -1);
    expect(store.getState().opened?.model?.languageModel).not.toBeNull();
  });

  it('nothing is compared before one is chosen', async () => {
    const { store, comparisons } = await pageWithEngine(CPU_ONLY);
    await store.getState().addFiles([...MODELS]);
    await store.getState().compare();
    expect(comparisons).toEqual([]);
    expect(store.getState().notices).toEqual([]);
  });

  it('one that cannot be opened leaves the choice', async () => {
    const { store } = await pageWithEngine(CPU_ONLY);
    const cut = file('cut.onnx', LANGUAGE.subarray(0, LANGUAGE.length - 500));
    await store.getState().addFiles([cut, ...MODELS]);
    const { choices } = store.getState();
    await store.getState().chooseModel(choices.find(({ name }) => name === 'cut.onnx')?.index ?? -1);
    expect(store.getState().notices).toHaveLength(1);
    expect(store.getState().choices).toEqual(choices);
    await store.getState().chooseModel(choices.find(({ name }) => name === 'image.onnx')?.index ?? -1);
    expect(store.getState().opened?.model?.name).toBe('image.onnx');
  });

  it('dropped onto an open one, either of the new ones can be chosen, and the text stays', async () => {
    const { store } = await pageWithEngine(CPU_ONLY);
    await store.getState().addFiles([file('old.onnx', LANGUAGE), ...COMPANIONS]);
    await store.getState().addFiles([...MODELS]);
    const { choices } = store.getState();
    expect(choices.map(({ name }) => name)).toEqual(MODELS.map(({ name }) => name));
    await store.getState().chooseModel(choices[0]?.index ?? -1);
    expect(store.getState().opened).toMatchObject({ model: { name: 'language.onnx' }, text: { name: 'text.txt' } });
  });
});
