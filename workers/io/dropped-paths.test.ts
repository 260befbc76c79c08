import { expect, test } from 'vitest';
import { withPaths } from './dropped-paths.ts';
import { pathOf } from './external-data.ts';
import { throttleSteps } from '../rpc/throttle.ts';

test('a name that is a path becomes a name and a path, of the same bytes', async () => {
  const alone = new File(['a'], 'model.onnx');
  const [kept, parted] = withPaths([alone, new File(['b'], 'repo/onnx/weights.bin', { lastModified: 7 })]);
  expect(kept).toBe(alone);
  expect([parted?.name, parted && pathOf(parted), parted?.lastModified, await parted?.text()]).toEqual([
    'weights.bin',
    'repo/onnx/weights.bin',
    7,
    'b',
  ]);
});

test('steps in moderation: the first, one now and then, and the last', () => {
  let now = 0;
  const sent: number[] = [];
  const step = throttleSteps<{ done: number; total: number }>(
    ({ done }) => {
      sent.push(done);
    },
    () => now,
  );
  for (let done = 1; done <= 10; done++, now += 20) step({ done, total: 10 });
  expect(sent).toEqual([1, 4, 7, 10]);
});
