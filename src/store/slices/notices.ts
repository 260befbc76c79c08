/** Errors that have no better place on the page. */
import type { EngineError } from '../../../workers/contract/errors.ts';
import type { NoticesSlice } from '../state.ts';
import type { SliceContext } from './context.ts';

/** Shows an error once, however often it comes; a cancellation is not shown. */
export type Notify = (error: EngineError) => void;

/** @returns The slice, and `notify` for the other slices. */
export function createNoticesSlice({ set, dependencies: { origin } }: SliceContext): {
  slice: NoticesSlice;
  notify: Notify;
} {
  return {
    slice: {
      notices: [],
      dismiss(id) {
        set(({ notices }) => ({ notices: notices.filter((notice) => notice.id !== id) }));
      },
    },
    notify(error) {
      if (error.code === 'cancelled') return;
      set(({ notices }) => ({
        notices: [...notices.filter((notice) => notice.error.message !== error.message), { id: origin.uid(), error }],
      }));
    },
  };
}
