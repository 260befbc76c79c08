/** A reload during a comparison: levels, settings and files are there again, with an offer to go on. */
import { describe, expect, it } from 'vitest';
import { byteTokenizer, tinyLanguageModel } from '../models/build.ts';
import { testTab } from '../src/store/session/test-session.ts';
import { createSession } from '../src/store/session/session.ts';
import { levelName } from '../workers/contract/levels/words.ts';
import { CPU_ONLY, pageWithEngine, until } from './page-with-engine.ts';

const LANGUAGE = tinyLanguageModel({ vocabulary: 256, width: 32, hidden: 48, type: 'float32', tied: false });
const model = (content: BlobPart = LANGUAGE) => new File([content], 'language.onnx');
const companions = () => [
  new File([byteTokenizer()], 'tokenizer.json'),
  new File(['Call me Ishmael. '.repeat(40)], 'text.txt'),
];
type Tab = ReturnType<typeof testTab>;

/** Sets up levels and settings, compares and reloads before the comparison ends. */
async function interrupted(tab: Tab, files: File[]) {
  const page = await pageWithEngine(CPU_ONLY, { session: tab.reload() });
  const { store } = page;
  await store.getState().addFiles(files);
  await until(store, () => store.getState().offers.size > 0);
  store.getState().addLevel('q4f16');
  const int4 = store.getState().levels.find(({ id }) => id === 'int4');
  store.getState().editLevel(int4?.uid ?? '', { block: 64, asymmetric: true });
  store.getState().setTarget('cpu');
  store.getState().setMaxTokens(1024);
  store.getState().setProtocol({ name: 'huggingface', context: 256, stride: 64 });
  store.getState().setExtra('speed', false);
  void store.getState().compare();
  await expect.poll(() => tab.text.get('nibble:running') !== undefined).toBe(true);
  // What is kept is kept beside the comparison, a little later.
  await new Promise((resolve) => {
    setTimeout(resolve, 200);
  });
  return page;
}

const settings = ({ store }: Awaited<ReturnType<typeof pageWithEngine>>) => {
  const { levels, target, maxTokens, protocol, extras } = store.getState();
  return {
    levels: levels.map((level) => [level.uid, levelName(level), level.slot]),
    target,
    maxTokens,
    protocol,
    extras,
  };
};

describe('a reload during a comparison', { timeout: 120_000 }, () => {
  it('gives back files, levels and settings, and goes on when told to', async () => {
    const tab = testTab();
    const before = await interrupted(tab, [model(), ...companions()]);
    const after = await pageWithEngine(CPU_ONLY, { session: tab.reload() });
    expect(settings(after)).toEqual(settings(before));
    expect(after.store.getState().interrupted).toEqual({ model: 'language.onnx', missing: [], locked: 0 });
    expect(after.store.getState().opened).toMatchObject({
      model: { name: 'language.onnx' },
      tokenizer: { name: 'tokenizer.json' },
      text: { name: 'text.txt' },
    });
    expect(after.comparisons).toEqual([]);
    void after.store.getState().continueInterrupted();
    await until(after.store, () => after.store.getState().run !== null);
    const [first, second] = [before.comparisons[0]?.job, after.comparisons[0]?.job];
    expect(second).toMatchObject({
      levels: first?.levels,
      maxTokens: first?.maxTokens,
      protocol: first?.protocol,
      extras: first?.extras,
    });
    expect(second?.files.map(({ name, size }) => [name, size]).sort()).toEqual(
      first?.files.map(({ name, size }) => [name, size]).sort(),
    );
    expect(after.store.getState().interrupted).toBeNull();
  });

  it('with the sample fetches it again', async () => {
    const tab = testTab();
    const fetchSample = () => Promise.resolve({ ok: true as const, value: [model(), ...companions()] });
    const before = await pageWithEngine(CPU_ONLY, { session: tab.reload(), fetchSample });
    await before.store.getState().loadSample();
    void before.store.getState().compare();
    await expect.poll(() => tab.text.get('nibble:running') !== undefined).toBe(true);
    const after = await pageWithEngine(CPU_ONLY, { session: tab.reload(), fetchSample });
    expect(tab.blobs.size).toBe(0);
    expect(after.store.getState()).toMatchObject({
      opened: { model: { name: 'language.onnx' } },
      interrupted: { missing: [] },
    });
  });

  it.each([
    ['no room for copies', { free: 4 * 16_000 }],
    ['nothing is kept', { keeps: false }],
  ])('asks for what the browser did not keep, and takes no other file for it: %s', async (_, options) => {
    const tab = testTab(options);
    const before = await interrupted(tab, [model(), ...companions()]);
    const after = await pageWithEngine(CPU_ONLY, { session: tab.reload() });
    const { store } = after;
    expect(settings(after)).toEqual(settings(before));
    expect(store.getState().interrupted?.missing.map(({ path }) => path)).toContain('language.onnx');
    // Of the same length, one byte of a weight differs.
    const other = LANGUAGE.slice();
    const last = other.length - 40;
    other[last] = (other[last] ?? 0) ^ 1;
    await store.getState().addFiles([model(other), ...companions()]);
    expect(store.getState().interrupted?.missing.map(({ path }) => path)).toEqual(['language.onnx']);
    expect(store.getState().notices.map(({ error }) => error.code)).toContain('file-changed');
    await store.getState().continueInterrupted();
    expect(after.comparisons).toEqual([]);
    await store.getState().addFiles([model()]);
    expect(store.getState().interrupted?.missing).toEqual([]);
    await store.getState().addFiles(companions());
    void store.getState().continueInterrupted();
    await until(store, () => store.getState().run !== null);
    expect(settings(after)).toEqual(settings(before));
  });

  it('after its end, or when the offer is declined, offers nothing and keeps no file', async () => {
    const tab = testTab();
    const before = await interrupted(tab, [model(), ...companions()]);
    await before.store.getState().cancel();
    await until(before.store, () => before.store.getState().run === null);
    await expect.poll(() => tab.blobs.size).toBe(0);
    const after = await pageWithEngine(CPU_ONLY, { session: tab.reload() });
    expect(after.store.getState()).toMatchObject({ interrupted: null, files: [] });
    expect(settings(after)).toEqual(settings(before));

    await interrupted(tab, [model(), ...companions()]);
    const declined = await pageWithEngine(CPU_ONLY, { session: tab.reload() });
    declined.store.getState().dismissInterrupted();
    await expect.poll(() => tab.blobs.size).toBe(0);
    expect((await pageWithEngine(CPU_ONLY, { session: tab.reload() })).store.getState().interrupted).toBeNull();
  });

  it('asks for permission to read a file by its handle', async () => {
    const tab = testTab();
    const granted = { state: 'prompt' as PermissionState };
    const handle = {
      kind: 'file',
      name: 'language.onnx',
      getFile: () => Promise.resolve(model()),
      queryPermission: () => Promise.resolve(granted.state),
      requestPermission: () => {
        granted.state = 'granted';
        return Promise.resolve(granted.state);
      },
    };
    await interrupted(tab, [Object.assign(model(), { handle }), ...companions()]);
    expect([...tab.blobs.values()]).toContain(handle);
    const { store } = await pageWithEngine(CPU_ONLY, { session: tab.reload() });
    expect(store.getState()).toMatchObject({ interrupted: { locked: 1, missing: [] }, opened: { model: null } });
    void store.getState().continueInterrupted();
    await until(store, () => store.getState().run !== null);
    expect(store.getState().opened?.model?.name).toBe('language.onnx');
  });

  it('begins anew where what is saved cannot be read, or nothing can be saved', async () => {
    const tab = testTab();
    for (const broken of ['{', '[]', '{"levels":[]}', '{"levels":[{"id":"int3"}]}', 'null']) {
      tab.text.set('nibble:setup', broken);
      tab.text.set('nibble:running', broken);
      const { store } = await pageWithEngine(CPU_ONLY, { session: tab.reload() });
      expect(store.getState().levels.map(({ id }) => id)).toEqual(['fp16', 'int8', 'int4']);
      expect(store.getState().interrupted).toBeNull();
    }
    const refuse = () => {
      throw new DOMException('no storage here', 'SecurityError');
    };
    const session = createSession({
      text: { getItem: refuse, setItem: refuse, removeItem: refuse },
      free: () => Promise.reject(new Error('no storage here')),
      blobs: { put: () => Promise.resolve(false), get: () => Promise.resolve(null), clear: () => Promise.resolve() },
    });
    const { store, comparisons } = await pageWithEngine(CPU_ONLY, { session });
    await store.getState().addFiles([model(), ...companions()]);
    void store.getState().compare();
    expect(comparisons).toHaveLength(1);
  });
});
