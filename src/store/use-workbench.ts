/** The one workbench of this page and what continues prompts beside it, as hooks on one engine. */
import { startTransition, useEffect, useState } from 'react';
import { useStore } from 'zustand';
import { browserSession } from './session/browser-session.ts';
import { createEngineClient } from '../engine/client.ts';
import { storedPaces } from './forecast/pace-store.ts';
import { browserFolders, type PickerWindow } from '../features/folder/picker.ts';
import { createGeneration, type GenerationState } from './generation.ts';
import { fetchSample } from './sample.ts';
import { isActive } from './run.ts';
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

/**
 * Like `useWorkbench`, but renders a change as a transition, in slices of a few milliseconds between which the page answers.
 * For whatever may follow an event a moment later. Several changes in a row are rendered as one.
 * @param select The same function at every render, or the component subscribes anew each time.
 */
export function useWorkbenchTransition<T>(select: (state: WorkbenchState) => T): T {
  const [value, setValue] = useState(() => select(workbench.getState()));
  useEffect(() => {
    const update = () => {
      const next = select(workbench.getState());
      startTransition(() => {
        setValue(() => next);
      });
    };
    // The state may have changed between the render and this effect.
    update();
    return workbench.subscribe(update);
  }, [select]);
  return value;
}

const isRunActive = (state: WorkbenchState) => isActive(state.run);

/** Whether a comparison is under way, during which settings cannot be changed. */
export const useIsRunActive = (): boolean => useWorkbenchTransition(isRunActive);

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
