/** Limits how often something happens. The function returned answers true at most once in `milliseconds`, the first time that long after now. */
export function every(milliseconds: number): () => boolean {
  let last = performance.now();
  return () => {
    const now = performance.now();
    if (now - last < milliseconds) return false;
    last = now;
    return true;
  };
}
