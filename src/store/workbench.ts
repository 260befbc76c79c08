/**
 * The store of a page, outside React: files, levels, settings, the run, what is stored. It talks to the engine through its
 * client, and is made of one slice a concern (`slices/`).
 */
import { createStore, type StoreApi } from 'zustand/vanilla';
import { createFilesSlice } from './slices/files.ts';
import { createForecastSlice } from './slices/forecast.ts';
import { createHistorySlice } from './slices/history.ts';
import { createInterruptedSlice } from './slices/interrupted.ts';
import { createLevelsSlice } from './slices/levels.ts';
import { createNoticesSlice } from './slices/notices.ts';
import { createRunSlice } from './slices/run.ts';
import { createSettingsSlice } from './slices/settings.ts';
import type { Dependencies } from './slices/context.ts';
import type { WorkbenchState } from './state.ts';

/** What is saved for a reload as soon as it changes. */
const SAVED = ['levels', 'target', 'maxTokens', 'protocol', 'provider', 'extras', 'context'] as const;

/** A store on the given platform. Nothing is asked of the engine before `start`. */
export function createWorkbench(dependencies: Dependencies): StoreApi<WorkbenchState> {
  const { engine, session, paceStore } = dependencies;
  const store = createStore<WorkbenchState>()((set, get) => {
    const context = { set, get, dependencies };
    const notices = createNoticesSlice(context);
    const { notify } = notices;
    const settings = createSettingsSlice(context, notify);
    const forecast = createForecastSlice(context);
    const history = createHistorySlice(context, notify);
    const levels = createLevelsSlice(context);
    const interrupted = createInterruptedSlice(context, {
      notify,
      isTargetChosen: levels.isTargetChosen,
      restored: levels.restored,
      plan: levels.plan,
    });
    const files = createFilesSlice(context, {
      notify,
      modelChanged: levels.modelChanged,
      planSoon: levels.planSoon,
      calibrate: forecast.calibrate,
      recognize: interrupted.recognize,
    });
    const run = createRunSlice(context, {
      notify,
      mayWrite: settings.mayWrite,
      remember: forecast.remember,
      fromSample: files.fromSample,
      async ended() {
        void history.refresh();
        void settings.refreshCapabilities();
        await files.addWaiting();
      },
    });
    return {
      ...notices.slice,
      ...files.slice,
      ...levels.slice,
      ...settings.slice,
      ...forecast.slice,
      ...history.slice,
      ...interrupted.slice,
      ...run,

      async start() {
        interrupted.restoreSetup();
        paceStore?.onChange((paces) => {
          set({ paces });
        });
        const result = await engine.capabilities();
        if (result.ok) {
          set({ capabilities: result.value });
          levels.capabilitiesKnown();
        } else notify(result.error);
        await interrupted.restoreFiles();
        if (result.ok) await history.refresh();
      },
    };
  });
  if (session) {
    store.subscribe((state, before) => {
      if (SAVED.some((name) => state[name] !== before[name])) session.saveSetup(state.setupNow());
    });
  }
  return store;
}
