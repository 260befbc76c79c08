/** The one workbench of this page and what continues prompts beside it, as hooks on one engine. */
import { useStore } from 'zustand';
import { browserSession } from './session/browser-session.ts';
import { createEngineClient } from '../engine/client.ts';
import { storedPaces } from './forecast/pace-store.ts';
import { browserFolders, type PickerWindow } from '../features/folder/picker.ts';
import { createGeneration, type GenerationState } from './generation.ts';
import { fetchSample } from './sample.ts';
import { createWorkbench, type WorkbenchState } from './workbench.ts';

let count = 0;

/** For what is asked once and shown where it was asked, as of a folder to download. */
export const engine = createEngineClient();
const workbench = createWorkbench({
  engine,
  origin: { uid: () => `${Date.now().toString(36)}-${(++count).toString(36)}`, now: () => Date.now() },
  fetchSample: (onProgress) => fetchSample(import.meta.env.BASE_URL, onProgress),
  folders: browserFolders(window as PickerWindow),
  session: browserSession(),
  paceStore: storedPaces(
    () => localStorage,
    (changed) => {
      window.addEventListener('storage', ({ key, newValue }) => {
        changed(key, newValue);
      });
    },
  ),
});

export function useWorkbench<T>(select: (state: WorkbenchState) => T): T {
  return useStore(workbench, select);
}

/** Actions do not change; components that only act need not render again. */
export const actions = workbench.getState();

const generation = createGeneration((job, onEvent) => ({
  done: engine.generate(job, onEvent),
  cancel: () => {
    void engine.cancelGeneration();
  },
}));

export function useGeneration<T>(select: (state: GenerationState) => T): T {
  return useStore(generation, select);
}

export const generationActions = generation.getState();
