import { expect, test } from 'vitest';
import type { StoredResult } from '../contract/storage.ts';
import { storageFull, whatWouldGo } from './room.ts';

const result = (file: string, bytes: number, day: number): StoredResult => ({
  key: file,
  file,
  level: 'int4',
  model: { name: 'm.onnx', fingerprint: '' },
  finished: true,
  bytes,
  total: bytes,
  createdAt: '',
  lastUsed: `2000-01-0${day}`,
});
const RESULTS = [result('new', 3e9, 3), result('old', 1e9, 1), result('middle', 2e9, 2)];

test('what was used longest ago would go first, and no more than needed', () => {
  expect(whatWouldGo(RESULTS, 1).map(({ file }) => file)).toEqual(['old']);
  expect(whatWouldGo(RESULTS, 1.5e9).map(({ file }) => file)).toEqual(['old', 'middle']);
  expect(whatWouldGo(RESULTS, 1e12).map(({ file }) => file)).toEqual(['old', 'middle', 'new']);
});

test('it is said in sentences', () => {
  expect(storageFull('model_q4.onnx', 2.5e9, RESULTS, 'It is held in memory.')).toMatchObject({
    code: 'storage-full',
    message: "This browser's storage has no room for model_q4.onnx: 2.5 GB are missing. It is held in memory.",
    action: 'Delete stored results and try again: old (1.0 GB), middle (2.0 GB) would be enough.',
  });
  expect(storageFull('f', 9e9, RESULTS, '').action).toMatch(/would help, and so would space on this disk\.$/);
  expect(storageFull('f', 9e9, [], '').action).toBe('Free space on this disk and try again.');
});
