/**
 * Which output of a decoder holds what which of its inputs is fed in the next run: key/value caches, which grow by
 * the tokens run, and recurrent states, which keep their size.
 */
import type { Feed, ValueInfo } from '../inputs.ts';

export interface CachePair {
  /** The input; empty, or zeros, before the first token. */
  feed: Feed;
  /** Name of the output. */
  output: string;
}

/**
 * By name, whatever stands for "before" on one side and "after" on the other left away; else, where inputs and
 * outputs that may belong together are equally many, in order.
 * @returns Null when some cache has no output, so that its graph can only be run from the beginning.
 */
export function pairCaches(feeds: readonly Feed[], outputs: readonly ValueInfo[], logits: string): CachePair[] | null {
  const caches = feeds.filter(isCache);
  const candidates = outputs.filter(
    (output) => output.isTensor && output.name !== logits && caches.some((feed) => canFollow(feed, output)),
  );
  const byName = caches.flatMap((feed) => {
    const same = candidates.filter(
      (output) => bareName(output.name) === bareName(feed.name) && canFollow(feed, output),
    );
    return same[0] && same.length === 1 ? [{ feed, output: same[0].name }] : [];
  });
  if (isPairing(byName, caches)) return byName;
  if (caches.length !== candidates.length) return null;
  const inOrder = caches.flatMap((feed, index) => {
    const output = candidates[index];
    return output && canFollow(feed, output) ? [{ feed, output: output.name }] : [];
  });
  return isPairing(inOrder, caches) ? inOrder : null;
}

/** A cache is empty or zeros before the first token, and does not depend on the window. */
function isCache({ fill, dims }: Feed): boolean {
  return fill === 'zeros' && dims.length > 1 && !dims.includes('window');
}

function isPairing(pairs: readonly CachePair[], caches: readonly Feed[]): boolean {
  return pairs.length === caches.length && new Set(pairs.map(({ output }) => output)).size === pairs.length;
}

/** Of the same element type, and in every dimension both know of the same size; a free one is 0 or 1 in the feed. */
function canFollow({ type, dims }: Feed, output: ValueInfo): boolean {
  if (output.type !== type) return false;
  const shape = output.shape ?? [];
  if (shape.length === 0) return true;
  return (
    shape.length === dims.length &&
    shape.every((dim, axis) => typeof dim === 'string' || dim === dims[axis] || dims[axis] === 0 || dims[axis] === 1)
  );
}

const BEFORE_OR_AFTER =
  /(past|present)(_key_values?|_kv)?|(^|(?<=[._/]))(new|next|updated|prev|previous|in|out|input|output)(?=[._/]|$)/g;

function bareName(name: string): string {
  return name
    .toLowerCase()
    .replace(BEFORE_OR_AFTER, '')
    .replace(/[^a-z0-9]/g, '');
}
