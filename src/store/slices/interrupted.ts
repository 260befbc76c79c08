/** What a reload broke off: the settings of before, and the comparison that can go on. */
import { baseName } from '../../lib/path.ts';
import { isSameFile } from '../session/session.ts';
import type { InterruptedSlice } from '../state.ts';
import type { SliceContext } from './context.ts';
import type { Notify } from './notices.ts';

interface Others {
  notify: Notify;
  isTargetChosen(): boolean;
  /** Levels of before the reload are set. */
  restored(targetIsChosen: boolean): void;
  plan(): Promise<void>;
}

type ReadableHandle = FileSystemFileHandle & {
  requestPermission?(descriptor: { mode: 'read' }): Promise<PermissionState>;
};

/** @returns The slice, `restoreSetup` and `restoreFiles` for the start of the page, and `recognize` for files that are added. */
export function createInterruptedSlice(
  { set, get, dependencies: { session } }: SliceContext,
  { notify, isTargetChosen, restored, plan }: Others,
) {
  let locked: ReadableHandle[] = [];

  /**
   * Brings back levels and settings of before a reload. Called before anything else of the page is awaited: later the
   * session holds what this page has set up itself.
   */
  const restoreSetup = (): void => {
    const setup = session?.setup();
    if (setup) {
      const { targetIsChosen, ...rest } = setup;
      restored(targetIsChosen);
      set(rest);
    }
  };

  /** Brings back the files of a comparison that a reload broke off. */
  const restoreFiles = async (): Promise<void> => {
    const found = await session?.find();
    if (!found) return;
    locked = found.locked;
    if (found.folder) set({ folder: found.folder });
    set({ interrupted: { model: found.model, missing: found.missing, locked: locked.length } });
    if (found.sample) await get().loadSample();
    await get().addFiles(found.files);
  };

  /** Takes files that were asked for after a reload off the list, where they are the same. */
  const recognize = async (added: readonly File[]): Promise<void> => {
    for (const wanted of get().interrupted?.missing ?? []) {
      const file = added.find(({ name }) => name === baseName(wanted.path));
      if (!file) continue;
      if (await isSameFile(file, wanted)) {
        set(({ interrupted }) => ({
          interrupted: interrupted && {
            ...interrupted,
            missing: interrupted.missing.filter((entry) => entry !== wanted),
          },
        }));
      } else {
        notify({
          code: 'file-changed',
          message: `${file.name} is not the file that was being compared before the reload.`,
          action: 'Choose that file to continue, or press Compare to compare this one.',
          details: '',
        });
      }
    }
  };

  const slice: InterruptedSlice = {
    interrupted: null,

    setupNow() {
      const { levels, target, maxTokens, protocol, provider, extras, context } = get();
      return { levels, target, targetIsChosen: isTargetChosen(), maxTokens, protocol, provider, extras, context };
    },

    async continueInterrupted() {
      // A browser grants permission only in answer to a click.
      for (const handle of locked) {
        if ((await handle.requestPermission?.({ mode: 'read' })) !== 'granted') return;
      }
      if (locked.length > 0) {
        const found = await session?.find();
        locked = found?.locked ?? [];
        set(({ interrupted }) => ({
          interrupted: interrupted && { ...interrupted, missing: found?.missing ?? [], locked: locked.length },
        }));
        await get().addFiles(found?.files ?? []);
      }
      const { interrupted } = get();
      if (!interrupted || interrupted.missing.length > 0 || interrupted.locked > 0) return;
      // Files that are being opened come first.
      await get().addFiles([]);
      await plan();
      await get().compare();
    },

    dismissInterrupted() {
      locked = [];
      set({ interrupted: null });
      void session?.end();
    },
  };
  return { slice, restoreSetup, restoreFiles, recognize };
}
