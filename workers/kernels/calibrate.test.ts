import { expect, test } from 'vitest';
import { measurePace } from './calibrate.ts';
import type { Kernel } from './kernel.ts';
import { createReferenceKernel } from './reference.ts';

test('tells the mean pace of several runs, and leaves out the first', async () => {
  let clock = 0;
  const takes = [9, 0.03, 0.01, 0.04];
  let runs = 0;
  const reference = createReferenceKernel();
  const kernel: Kernel = {
    ...reference,
    quantize: (...given) => {
      clock += takes[runs++] ?? 1;
      return reference.quantize(...given);
    },
  };
  const pace = await measurePace(kernel, () => clock);
  expect(runs).toBe(4);
  expect(pace).toBeCloseTo((3 * 1024 * 128) / 0.08, 3);
});
