/** What the patterns of a level's `exclude` and `override` apply to, and which names are nearest to one that fits none. */
import type { PatternUse } from '../contract/level-plan.ts';
import type { ResolvedLevel } from '../contract/levels/scheme.ts';
import type { Candidate } from './families/family.ts';
import { count } from './ledger.ts';
import { matchesPattern } from './pattern.ts';
import type { Constant } from '../onnx/graph/scopes.ts';

/** How many names are given for a pattern that fits none. */
const NEAREST = 3;

/** Whether a pattern fits the name of a candidate's weight, or of the node that uses it. */
export function isNamed({ node, seen }: Candidate, pattern: string): boolean {
  return matchesPattern(pattern, seen.constant.name) || matchesPattern(pattern, node.name);
}

/** One entry for each pattern of a level, in the order they are given. */
export function patternUses(
  candidates: readonly Candidate[],
  { exclude, override }: Pick<ResolvedLevel, 'exclude' | 'override'>,
): PatternUse[] {
  const use = (setting: PatternUse['setting'], pattern: string): PatternUse => {
    const matched = new Set<Constant>();
    for (const candidate of candidates) if (isNamed(candidate, pattern)) matched.add(candidate.seen.constant);
    return {
      setting,
      pattern,
      matched: matched.size,
      nearest: matched.size > 0 ? [] : nearestNames(pattern, candidates),
    };
  };
  return [...exclude.map((pattern) => use('exclude', pattern)), ...override.map(({ name }) => use('override', name))];
}

/** A sentence for a pattern. */
export function describePattern({ setting, pattern, matched, nearest }: PatternUse): string {
  if (matched > 0) return `${setting}=${pattern} applies to ${count(matched, 'weight')}.`;
  const names =
    nearest.length > 1 ? `${nearest.slice(0, -1).join(', ')} and ${nearest.at(-1) ?? ''}` : nearest.join('');
  return `Nothing to quantize is called ${pattern}.${names === '' ? '' : ` The nearest ${nearest.length > 1 ? 'names are' : 'name is'} ${names}.`}`;
}

/** Names of weights and nodes that share most pairs of characters with a pattern (Dice's coefficient), the most alike first. */
function nearestNames(pattern: string, candidates: readonly Candidate[]): string[] {
  const names = new Set<string>();
  for (const { node, seen } of candidates) {
    names.add(seen.constant.name);
    if (node.name !== '') names.add(node.name);
  }
  const wanted = pairsOf(pattern.replace(/[*?]+/g, ' '));
  return [...names]
    .map((name) => ({ name, alike: alikeness(wanted, pairsOf(name)) }))
    .sort((a, b) => b.alike - a.alike || a.name.length - b.name.length)
    .slice(0, NEAREST)
    .map(({ name }) => name);
}

/** How often each pair of neighbouring characters is in a text; case does not count, nor do pairs with a space. */
function pairsOf(text: string): Map<string, number> {
  const pairs = new Map<string, number>();
  const lower = text.toLowerCase();
  for (let i = 0; i + 1 < lower.length; i++) {
    const pair = lower.slice(i, i + 2);
    if (!pair.includes(' ')) pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
  }
  return pairs;
}

function alikeness(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  let [shared, all] = [0, 0];
  for (const [pair, times] of a) {
    shared += Math.min(times, b.get(pair) ?? 0);
    all += times;
  }
  for (const times of b.values()) all += times;
  return all === 0 ? 0 : (2 * shared) / all;
}
