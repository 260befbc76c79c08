/** Two models, or two runs of one, over the same tokens. */
import type { Distance } from '../../contract/report.ts';
import { allFinite, tallyDrift } from './statistics.ts';
import { createWasmScorer } from './wasm/scorer.ts';

export interface DistanceTally {
  /**
   * @param against [positions, vocabulary], whose distribution divergence is measured from.
   * @param of As many logits of the other.
   * @param targets [positions], the token that follows each.
   */
  add(against: Float32Array, of: Float32Array, targets: Int32Array): void;
  readonly tokens: number;
  /** Whether logits of one or the other were not numbers; they are not counted in. */
  readonly notFinite: { against: boolean; of: boolean };
  /** Null before there are tokens. */
  distance(): Distance | null;
}

/**
 * Tallies how far apart two runs are.
 * @param rows Positions added at once, at most.
 */
export async function tallyDistance(rows: number, vocabulary: number): Promise<DistanceTally> {
  const scorer = await createWasmScorer(rows, vocabulary);
  const tally = tallyDrift();
  const notFinite = { against: false, of: false };
  let tokens = 0;
  return {
    add(against, of, targets) {
      const base = scorer.baseline(against, targets);
      const other = scorer.compare(of);
      const bad = { against: !allFinite(base.nll), of: !allFinite(other.nll) };
      notFinite.against ||= bad.against;
      notFinite.of ||= bad.of || (!bad.against && !allFinite(other.kld));
      if (bad.against || bad.of || !allFinite(other.kld)) return;
      tally.add(base, other);
      tokens += targets.length;
    },
    get tokens() {
      return tokens;
    },
    notFinite,
    distance() {
      if (tokens === 0) return null;
      const { kld, sameTop, lnRatio } = tally.drift();
      return { tokens, kld: { value: kld.mean, error: kld.error, max: kld.max }, sameTop, lnRatio };
    },
  };
}
