/** The inputs of a language model for a window of tokens with nothing before it. */
import type { HostTensor } from './graph-session.ts';
import { feedData, type Signature } from './inputs.ts';

/** @param ids Token ids, no more than the graph takes at once. */
export function tokenFeeds({ feeds, window }: Signature, ids: Int32Array): Record<string, HostTensor> {
  return Object.fromEntries(feeds.map((feed) => [feed.name, { type: feed.type, ...feedData(feed, ids, window ?? ids.length) }]));
}
