/** Comes onto the page in a task of its own: what lies far below need not be there at once, and all at once takes long. */
import { useEffect, useState, type ReactNode } from 'react';
import { takeTurn } from '../features/charts/in-turn.ts';

/** @param place What stands there until then, as high as what comes. */
export function Later({ place, children }: { place: ReactNode; children: ReactNode }) {
  const [come, setCome] = useState(false);
  useEffect(
    () =>
      come
        ? undefined
        : takeTurn(() => {
            setCome(true);
          }),
    [come],
  );
  return come ? children : place;
}
