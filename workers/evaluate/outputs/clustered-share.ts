/** A share of things that come in groups: positions of a text, pixels of an image. What is in one input is not independent. */
import type { Estimate } from '../../contract/report.ts';

export interface ClusteredShare {
  /** One input: how many of its things count, of how many. */
  add(count: number, of: number): void;
  /** Null while there is nothing. */
  share(): Estimate | null;
  /** Things, and inputs they are of. */
  counted(): { rows: number; inputs: number };
}

/**
 * The error is that of a ratio of sums over inputs (Cochran, Sampling Techniques, 6.3): √(C ⁄ (C − 1) · Σ(x − p·n)²) ⁄ Σn. With
 * one thing in each it is the binomial one. Of one input alone there is none, and it is 0.
 */
export function clusteredShare(): ClusteredShare {
  let inputs = 0;
  let rows = 0;
  let hits = 0;
  let hitSquares = 0;
  let products = 0;
  let rowSquares = 0;
  return {
    add(count, of) {
      if (of === 0) return;
      inputs++;
      rows += of;
      hits += count;
      hitSquares += count * count;
      products += count * of;
      rowSquares += of * of;
    },
    share() {
      if (rows === 0) return null;
      const value = hits / rows;
      const squares = Math.max(0, hitSquares - 2 * value * products + value * value * rowSquares);
      return { value, error: inputs > 1 ? Math.sqrt((inputs / (inputs - 1)) * squares) / rows : 0 };
    },
    counted: () => ({ rows, inputs }),
  };
}
