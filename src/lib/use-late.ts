import { useEffect, useState } from 'react';

/** Below this a wait goes unnoticed, and a loader would only flash. */
const LATE_MS = 300;

/** Whether something that began at `since` (milliseconds; null when idle) has taken long enough to be mentioned. */
export function useLate(since: number | null): boolean {
  const [lateFor, setLateFor] = useState<number | null>(null);
  useEffect(() => {
    if (since === null) return;
    const timer = setTimeout(
      () => {
        setLateFor(since);
      },
      Math.max(0, since + LATE_MS - Date.now()),
    );
    return () => {
      clearTimeout(timer);
    };
  }, [since]);
  return since !== null && lateFor === since;
}
