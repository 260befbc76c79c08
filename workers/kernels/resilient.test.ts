import { expect, test } from 'vitest';
import type { Kernel } from './kernel.ts';
import { DEVICE_LOST, withFallback } from './resilient.ts';
import { createReferenceKernel } from './reference.ts';

const MATRIX = {
  data: new Uint8Array(Float32Array.from({ length: 64 }, (_, i) => i).buffer),
  type: 'float32',
  layout: 'kn',
  k: 32,
  n: 2,
} as const;
const SCHEME = { bits: 4, block: 32, symmetric: true } as const;

function failing(name: string, after: number): Kernel {
  const reference = createReferenceKernel();
  let calls = 0;
  return {
    backend: 'webgpu',
    dispose: () => undefined,
    quantize: (...args) =>
      calls++ < after ? reference.quantize(...args) : Promise.reject(Object.assign(new Error('gone'), { name })),
    quantizePerChannel: (...args) =>
      calls++ < after
        ? reference.quantizePerChannel(...args)
        : Promise.reject(Object.assign(new Error('gone'), { name })),
  };
}

test('a lost device hands the tensor in hand over, says so once, and the bytes are the same', async () => {
  const reasons: string[] = [];
  const kernel = withFallback(
    failing(DEVICE_LOST, 1),
    () => Promise.resolve({ ...createReferenceKernel(), backend: 'wasm' }),
    ({ message }) => {
      reasons.push(message);
    },
  );
  const expected = await createReferenceKernel().quantize(MATRIX, SCHEME);
  expect(await kernel.quantize(MATRIX, SCHEME)).toEqual(expected);
  expect(kernel.backend).toBe('webgpu');
  expect(await Promise.all([kernel.quantize(MATRIX, SCHEME), kernel.quantize(MATRIX, SCHEME)])).toEqual([
    expected,
    expected,
  ]);
  expect(kernel.backend).toBe('wasm');
  expect(reasons).toEqual(['gone']);
});

test('channels are handed over as blocks are', async () => {
  const tensor = { data: MATRIX.data, type: 'float32', outer: 1, channels: 4, inner: 16 } as const;
  const scheme = { type: 'uint8', symmetric: false } as const;
  const reasons: string[] = [];
  const kernel = withFallback(
    failing(DEVICE_LOST, 0),
    () => Promise.resolve(createReferenceKernel()),
    ({ message }) => {
      reasons.push(message);
    },
  );
  expect(await kernel.quantizePerChannel(tensor, scheme)).toEqual(
    await createReferenceKernel().quantizePerChannel(tensor, scheme),
  );
  expect(await kernel.quantize(MATRIX, SCHEME)).toEqual(await createReferenceKernel().quantize(MATRIX, SCHEME));
  expect(kernel.backend).toBe('reference');
  expect(reasons).toEqual(['gone']);
});

test('other errors pass through', async () => {
  const kernel = withFallback(
    failing('AbortError', 0),
    () => {
      throw new Error('not to be called');
    },
    () => {
      throw new Error('not to be called');
    },
  );
  await expect(kernel.quantize(MATRIX, SCHEME)).rejects.toMatchObject({ name: 'AbortError' });
});
