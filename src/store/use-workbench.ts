/** The stores of a page as React sees them: components take theirs from the context, so that a test can mount one with its own. */
import { createContext, startTransition, use, useEffect, useState } from 'react';
import { useStore, type StoreApi } from 'zustand';
import type { EngineClient } from '../engine/client.ts';
import type { GenerationState } from './generation.ts';
import { isActive } from './run.ts';
import type { WorkbenchState } from './state.ts';

/** What a page works with. `engine` is for answers that are shown where they were asked for, such as a folder to download. */
export interface Page {
  workbench: StoreApi<WorkbenchState>;
  generation: StoreApi<GenerationState>;
  engine: Pick<EngineClient, 'hubFolder'>;
}

/** Provides a page to the components inside it. */
export const PageContext = createContext<Page | null>(null);

/** The page around a component. Throws outside a `PageContext`. */
export function usePage(): Page {
  const page = use(PageContext);
  if (!page) throw new Error('this component needs a PageContext around it');
  return page;
}

/**
 * A part of the state; the component renders when it changes.
 * @param select Returns something in the state or a primitive: a new object each time would render for ever.
 */
export function useWorkbench<T>(select: (state: WorkbenchState) => T): T {
  return useStore(usePage().workbench, select);
}

/**
 * Like `useWorkbench`, but renders a change as a transition, in slices of a few milliseconds between which the page answers.
 * For whatever may follow an event a moment later. Several changes in a row are rendered as one.
 * @param select The same function at every render, or the component subscribes anew each time.
 */
export function useWorkbenchTransition<T>(select: (state: WorkbenchState) => T): T {
  const { workbench } = usePage();
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
  }, [workbench, select]);
  return value;
}

const isRunActive = (state: WorkbenchState) => isActive(state.run);

/** Whether a comparison is under way, during which settings cannot be changed. */
export const useIsRunActive = (): boolean => useWorkbenchTransition(isRunActive);

/** The functions of a state. */
type Actions<State> = {
  [Key in keyof State as State[Key] extends (...parameters: never[]) => unknown ? Key : never]: State[Key];
};

/**
 * What can be done: always the same object, so that components that only act do not render again and effects can depend
 * on it. That is the initial state; `getState()` is another object after each change.
 */
export const useActions = (): Actions<WorkbenchState> => usePage().workbench.getInitialState();

/** A part of what continues prompts; see `useWorkbench`. */
export function useGeneration<T>(select: (state: GenerationState) => T): T {
  return useStore(usePage().generation, select);
}

/** What can be done with continuations; see `useActions`. */
export const useGenerationActions = (): Actions<GenerationState> => usePage().generation.getInitialState();
