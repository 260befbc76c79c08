/** Time left, from the speed so far. Says nothing for the first half second: early guesses jump about. */

/** A clock started now. It answers with seconds left, or null while it cannot tell. */
export function estimateSecondsLeft(
  now: () => number = () => performance.now(),
): (done: number, total: number) => number | null {
  const start = now();
  return (done, total) => {
    const seconds = (now() - start) / 1000;
    return done <= 0 || seconds < 0.5 ? null : (seconds / done) * (total - done);
  };
}
