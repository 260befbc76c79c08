/** What the suites share. */

/** What tests ask of a backend beyond its defaults; one that has no such limit ignores it. */
export interface TestLimits {
  tileBytes?: number;
  outputBytes?: number;
  sliceMs?: number;
}

/** Too small for anything: every tile is as small as a backend can make it. */
export const NO_ROOM: TestLimits = { tileBytes: 1, outputBytes: 1, sliceMs: 0 };

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
