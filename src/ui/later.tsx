/** Content that is mounted in a task of its own, as all content below the fold at once takes long. */
import { startTransition, useEffect, useState, type ReactNode } from 'react';
import { takeTurn } from '../features/charts/in-turn.ts';

/** @param place Stands there until then, as high as the content. */
export function Later({ place, children }: { place: ReactNode; children: ReactNode }) {
  const [mounted, setMounted] = useState(false);
  useEffect(
    () =>
      mounted
        ? undefined
        : takeTurn(() => {
            startTransition(() => {
              setMounted(true);
            });
          }),
    [mounted],
  );
  return mounted ? children : place;
}
