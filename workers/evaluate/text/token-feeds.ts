/** The inputs of a language model for a window of tokens with nothing before it. */
import type { Graph } from '../../onnx/model.ts';
import type { Result } from '../../contract/errors.ts';
import type { HostTensor } from '../sessions/graph-session.ts';
import { feedData, recogniseSignature, signatureOf, type Signature } from '../inputs.ts';

/** How to run a graph that has not been opened. Errors: `not-a-language-model`, `inputs-unknown`. */
export function signatureOfGraph({ inputs, outputs, initializers }: Graph): Result<Signature> {
  const constants = new Set(initializers.map(({ name }) => name));
  return recogniseSignature(
    inputs.filter(({ proto }) => !constants.has(proto.name)).map(({ proto }) => signatureOf(proto)),
    outputs.map(({ proto }) => signatureOf(proto)),
  );
}

/** @param ids Token ids, no more than the graph takes at once. */
export function tokenFeeds({ feeds, window }: Signature, ids: Int32Array): Record<string, HostTensor> {
  return Object.fromEntries(
    feeds.map((feed) => [feed.name, { type: feed.type, ...feedData(feed, ids, window ?? ids.length) }]),
  );
}
