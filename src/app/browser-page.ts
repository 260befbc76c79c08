/** The page's stores in a browser: one engine worker, the browser's clock, storage and folders. */
import { createEngineClient } from '../engine/client.ts';
import { browserFolders, type PickerWindow } from '../features/folder/picker.ts';
import { storedPaces } from '../store/forecast/pace-store.ts';
import { createGeneration } from '../store/generation.ts';
import { fetchSample } from '../store/sample.ts';
import { browserSession } from '../store/session/browser-session.ts';
import type { Page } from '../store/use-workbench.ts';
import { createWorkbench } from '../store/workbench.ts';

/** Makes the stores and starts the engine's worker. Called once. */
export function createBrowserPage(): Page {
  const engine = createEngineClient();
  let count = 0;
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
  const generation = createGeneration((job, onEvent) => ({
    done: engine.generate(job, onEvent),
    cancel: () => {
      void engine.cancelGeneration();
    },
  }));
  return { workbench, generation, engine };
}
