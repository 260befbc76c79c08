/** Folders of a person's own (https://wicg.github.io/file-system-access), in browsers that let pages ask for them. */
import type { Result } from '../../../workers/contract/errors.ts';

/** What TypeScript's library leaves out, since not all browsers have it. */
interface PermissionHandle {
  queryPermission?(descriptor: { mode: 'readwrite' }): Promise<PermissionState>;
  requestPermission?(descriptor: { mode: 'readwrite' }): Promise<PermissionState>;
}
export interface PickerWindow {
  /** Rejects with AbortError when nothing was chosen, or writing was not allowed. */
  showDirectoryPicker?(options: { id: string; mode: 'readwrite' }): Promise<FileSystemDirectoryHandle>;
}

export interface Folders {
  /** Asks for a folder to write to, in answer to a click; null when none was chosen. */
  pick(): Promise<Result<FileSystemDirectoryHandle | null>>;
  /** Whether it may be written to; a browser that has come to doubt it asks, in answer to a click. */
  mayWrite(folder: FileSystemDirectoryHandle): Promise<boolean>;
}

/** Null where a page cannot ask for folders. */
export function browserFolders(page: PickerWindow): Folders | null {
  if (typeof page.showDirectoryPicker !== 'function') return null;
  return {
    async pick() {
      try {
        return { ok: true, value: (await page.showDirectoryPicker?.({ id: 'nibble', mode: 'readwrite' })) ?? null };
      } catch (thrown) {
        if (thrown instanceof Error && thrown.name === 'AbortError') return { ok: true, value: null };
        return {
          ok: false,
          error: {
            code: 'write-failed',
            message: 'The browser did not open a folder to write to.',
            action: 'Try again, or have files kept in this browser and download them.',
            details: String(thrown),
          },
        };
      }
    },
    async mayWrite(folder) {
      const handle = folder as PermissionHandle;
      try {
        if ((await handle.queryPermission?.({ mode: 'readwrite' })) === 'granted') return true;
        return ((await handle.requestPermission?.({ mode: 'readwrite' })) ?? 'granted') === 'granted';
      } catch {
        return false;
      }
    },
  };
}
