/** The one workbench of this page, as a hook. */
import { useStore } from 'zustand';
import { createEngineClient } from '../engine/client.ts';
import { fetchSample } from './sample.ts';
import { createWorkbench, type WorkbenchState } from './workbench.ts';

let count = 0;

const workbench = createWorkbench({
  engine: createEngineClient(),
  origin: { uid: () => `${Date.now().toString(36)}-${(++count).toString(36)}`, now: () => Date.now() },
  fetchSample: (onProgress) => fetchSample(import.meta.env.BASE_URL, onProgress),
});

export function useWorkbench<T>(select: (state: WorkbenchState) => T): T {
  return useStore(workbench, select);
}

/** Actions do not change; components that only act need not render again. */
export const actions = workbench.getState();
