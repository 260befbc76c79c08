import * as ort from 'onnxruntime-web';
import { describe, expect, it } from 'vitest';
import type { Divergence, Result } from '../protocol.ts';
import { scanModel } from '../onnx/scan.ts';
import { blobSource } from '../source.ts';
import { dataflow } from './dataflow.ts';
import { firstDivergence } from './first-divergence.ts';
import { wasmRuntime, type GraphRuntime, type HostTensor } from './graph-session.ts';
import { withFault, type Fault } from './test-faults.ts';
import { tinyTransformer } from './test-transformer.ts';

const VOCABULARY = 24;
const ids = (length: number): Record<string, HostTensor> =>
  ({ input_ids: { type: 'int64', dims: [1, length], data: BigInt64Array.from({ length }, (_, index) => BigInt((index * 7) % VOCABULARY)) } });

const wasm = () => wasmRuntime(ort, 1);

async function partsAt(model: Blob, fault: Fault | null, right: GraphRuntime = fault ? withFault(wasm(), fault) : wasm()): Promise<Divergence | null> {
  const found: Result<Divergence | null> = await firstDivergence({ model, feeds: ids(12), left: wasm(), right, output: 'logits' });
  if (!found.ok) throw new Error(`${found.error.message} ${found.error.details}`);
  return found.value;
}

/** Float values of the transformer that depend on the tokens. */
async function floats(model: Blob): Promise<string[]> {
  const values = [...dataflow((await scanModel(blobSource('model', model))).graph).values()];
  const integers = new Set(['shape', 'length', 'columns', 'rows', 'later']);
  // What a later norm divides by or takes away makes no difference to a value that is multiplied as a whole.
  return values.map(({ name }) => name).filter((name) => !integers.has(name));
}

describe('a fault in one node is named', () => {
  it.each([1.2, 1.05])('wherever it is, output × %f', async (factor) => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    const missed: string[] = [];
    for (const tensor of await floats(model)) {
      const found = await partsAt(model, { tensor, factor });
      if (found?.tensor !== tensor) missed.push(`${tensor}: ${JSON.stringify(found)}`);
    }
    expect(missed).toEqual([]);
  }, 120_000);
});
