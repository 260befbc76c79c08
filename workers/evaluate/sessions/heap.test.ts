import * as ort from 'onnxruntime-web';
import { inOneFile } from '../../onnx/model-files.ts';
import { expect, it } from 'vitest';
import { matMulModel, randomValues } from '../../../models/build.ts';
import { wasmRuntime } from './graph-session.ts';
import { watchHeap } from './heap.ts';

it('the heap of onnxruntime is seen in Node, and grows with a model', async () => {
  const heap = watchHeap();
  expect(watchHeap()).toBe(heap);
  expect(heap.bytes()).toBe(0);
  const runtime = wasmRuntime(ort, 1);
  const small = await runtime.open(inOneFile(new Blob([matMulModel(randomValues(1, 32), 8, 4)])));
  const before = heap.bytes();
  expect(small.ok && before).toBeGreaterThan(8 << 20);
  // 32 MiB of weights.
  const large = await runtime.open(inOneFile(new Blob([matMulModel(randomValues(1, 2048 * 4096), 2048, 4096)])));
  expect(large.ok && heap.bytes()).toBeGreaterThanOrEqual(Math.max(before, 32 << 20));
  if (large.ok) await large.value.release();
  expect(heap.bytes()).toBeGreaterThanOrEqual(32 << 20);
});
