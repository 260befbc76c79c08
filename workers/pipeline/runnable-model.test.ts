import { expect, test } from 'vitest';
import { filesSize } from '../onnx/model-files.ts';
import { runnableModel, whyTooLarge } from './runnable-model.ts';

/** Of a size no test has the memory for. */
const blob = (size: number) =>
  new Proxy(new Blob([]), { get: (target, key) => (key === 'size' ? size : (Reflect.get(target, key) as unknown)) });

test('a model of up to 2 GB is tried, a larger one is not, and the figures are said', () => {
  const fits = { file: 'm.onnx', blob: blob(2 ** 31 - 1) };
  expect([whyTooLarge(fits), runnableModel(fits)]).toEqual([null, { model: fits.blob, data: null }]);
  const large = { file: 'm.onnx', blob: blob(3e9) };
  expect(runnableModel(large)).toBeNull();
  expect(whyTooLarge(large)?.message).toBe(
    'm.onnx is too large to be run here: loading its 3.0 GB takes 6.0 GB and more, and a WebAssembly memory holds 4.3 GB.',
  );
});

test('weights of a second file count once', () => {
  const two = (bytes: number) => ({
    file: 'm.onnx',
    blob: blob(1e6),
    data: { file: 'm.onnx_data', bytes, blob: blob(bytes) },
  });
  expect(whyTooLarge(two(4e9))).toBeNull();
  expect(whyTooLarge(two(5e9))?.message).toBe(
    'm.onnx is too large to be run here: loading its 5.0 GB takes 5.0 GB and more, and a WebAssembly memory holds 4.3 GB.',
  );
});

test('a model and its data file stay two files', () => {
  const level = {
    file: 'm.onnx',
    blob: new Blob(['model']),
    data: { file: 'm.onnx_data', bytes: 7, blob: new Blob(['weights']) },
  };
  const files = runnableModel(level)!;
  expect([files.model, files.data?.file, files.data?.blob]).toEqual([level.blob, 'm.onnx_data', level.data.blob]);
  expect(filesSize(files)).toBe(12);
  expect(runnableModel({ file: level.file, blob: level.blob })?.data).toBeNull();
});

test('what was not written is not run', () => {
  expect(runnableModel({ file: 'm.onnx', blob: null })).toBeNull();
});
