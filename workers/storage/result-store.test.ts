import { describe, test } from 'vitest';
import { memoryDisk } from './test-disk.ts';
import { storeChecks } from './test-store-suite.ts';

describe('stored results, on a disk in memory', () => {
  test.each([...storeChecks(50)])('%s', (_, check) => check(memoryDisk()));
});
