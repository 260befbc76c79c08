/** How the next comparison measures, and where its files go. */
import type { EngineError } from '../../../workers/contract/errors.ts';
import { DEFAULT_PROTOCOL } from '../../features/protocols/protocols.ts';
import { DEFAULT_TOKENS } from '../amount.ts';
import type { SettingsSlice } from '../state.ts';
import type { SliceContext } from './context.ts';
import type { Notify } from './notices.ts';

/** Tokens of context that memory is predicted for until another number is chosen. */
export const DEFAULT_CONTEXT = 2048;

const notAllowed = (folder: string): EngineError => ({
  code: 'write-failed',
  message: `This page may not write to the folder ${folder}.`,
  action: 'Press Compare again and allow it, choose another folder, or have files kept in this browser.',
  details: '',
});

/**
 * @returns The slice, and for the other slices: `mayWrite` tells whether files may be written to a folder, and reports
 * when they may not; `refreshCapabilities` asks again what the browser can do, as a GPU can come and go.
 */
export function createSettingsSlice({ set, dependencies: { engine, folders = null } }: SliceContext, notify: Notify) {
  const mayWrite = async (folder: FileSystemDirectoryHandle): Promise<boolean> => {
    if (await folders?.mayWrite(folder)) return true;
    notify(notAllowed(folder.name));
    return false;
  };

  const refreshCapabilities = async (): Promise<void> => {
    const result = await engine.capabilities();
    if (result.ok) set({ capabilities: result.value });
  };

  const slice: SettingsSlice = {
    capabilities: null,
    maxTokens: DEFAULT_TOKENS,
    protocol: DEFAULT_PROTOCOL,
    provider: 'faster',
    extras: { noiseFloor: true, runtimeDrift: true, words: true, speed: true },
    context: DEFAULT_CONTEXT,
    foldersOffered: folders !== null,
    folder: null,

    setMaxTokens(maxTokens) {
      set({ maxTokens });
    },
    setProtocol(protocol) {
      set({ protocol });
    },
    setProvider(provider) {
      set({ provider });
    },
    setExtra(name, on) {
      set(({ extras }) => ({ extras: { ...extras, [name]: on } }));
    },
    setContext(context) {
      set({ context });
    },
    async chooseFolder() {
      const picked = await folders?.pick();
      if (picked?.ok === false) notify(picked.error);
      if (!picked?.ok || !picked.value) return false;
      set({ folder: picked.value });
      return true;
    },
    leaveFolder() {
      set({ folder: null });
    },
  };
  return { slice, mayWrite, refreshCapabilities };
}
