import { describe, expect, it } from 'vitest';
import { browserFolders } from './picker.ts';

const folder = (permissions: object = {}) =>
  ({ kind: 'directory', name: 'models', ...permissions }) as unknown as FileSystemDirectoryHandle;
const folders = (answer: () => Promise<FileSystemDirectoryHandle>) => {
  const asked: unknown[] = [];
  const found = browserFolders({
    showDirectoryPicker: (options) => {
      asked.push(options);
      return answer();
    },
  });
  if (!found) throw new Error('not offered');
  return { ...found, asked };
};

describe('folders', () => {
  it('are not offered where the browser has none', () => {
    expect(browserFolders({})).toBeNull();
  });

  it('are asked for to be written to', async () => {
    const chosen = folder();
    const { pick, asked } = folders(() => Promise.resolve(chosen));
    expect(await pick()).toEqual({ ok: true, value: chosen });
    expect(asked).toEqual([{ id: 'nibble', mode: 'readwrite' }]);
  });

  it('that are not chosen are no error; what else goes wrong is', async () => {
    expect(await folders(() => Promise.reject(new DOMException('', 'AbortError'))).pick()).toEqual({
      ok: true,
      value: null,
    });
    expect(await folders(() => Promise.reject(new DOMException('', 'SecurityError'))).pick()).toMatchObject({
      ok: false,
      error: { code: 'write-failed' },
    });
  });

  it.each([
    ['granted', 'granted', true, 0],
    ['prompt', 'granted', true, 1],
    ['prompt', 'denied', false, 1],
    ['denied', 'denied', false, 1],
  ] as const)('%s before and %s when asked: %s', async (before, after, may, times) => {
    let asked = 0;
    const { mayWrite } = folders(() => Promise.resolve(folder()));
    const chosen = folder({
      queryPermission: () => Promise.resolve(before),
      requestPermission: () => {
        asked++;
        return Promise.resolve(after);
      },
    });
    expect(await mayWrite(chosen)).toBe(may);
    expect(asked).toBe(times);
  });

  it('of browsers that do not ask again may be written to; one that throws may not', async () => {
    const { mayWrite } = folders(() => Promise.resolve(folder()));
    expect(await mayWrite(folder())).toBe(true);
    expect(await mayWrite(folder({ queryPermission: () => Promise.reject(new Error('gone')) }))).toBe(false);
  });
});
