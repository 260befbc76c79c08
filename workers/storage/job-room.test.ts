import { expect, test } from 'vitest';
import { settle } from '../contract/errors.ts';
import type { StoredResult } from '../contract/storage.ts';
import { levelKey } from './job-key.ts';
import { checkFreeSpace, type PlannedFile } from './job-room.ts';

const fingerprint = '0'.repeat(64);
const file = (level: string, bytes: number, madeBytes = bytes): PlannedFile => ({
  name: `m_${level}.onnx`,
  fingerprint,
  level,
  bytes,
  madeBytes,
});
const stored = async (level: string, bytes: number): Promise<StoredResult> => ({
  key: await levelKey(fingerprint, level),
  file: `m_${level}.onnx`,
  level,
  model: { name: 'm.onnx', fingerprint },
  finished: false,
  bytes,
  total: 1e9,
  createdAt: '',
  lastUsed: '2000-01-01',
});
const check = (files: PlannedFile[], room: number, results: StoredResult[] = [], memoryLimit = 1e9) =>
  settle(() => checkFreeSpace(files, { store: { list: async () => results }, free: async () => room, memoryLimit }));

const TWO = [file('int8', 600e6), file('int4', 300e6)];

test('what fits to the last byte is no matter', async () => {
  expect(await check(TWO, 900e6)).toEqual({ ok: true, value: null });
  expect(await check([...TWO, file('fp16', 5e9, 0)], 900e6)).toEqual({ ok: true, value: null });
});

test('what is there already counts, and the same file twice does not', async () => {
  expect(await check([...TWO, ...TWO], 500e6, [await stored('int8', 400e6)])).toEqual({ ok: true, value: null });
  expect(await check(TWO, 0, [await stored('int8', 600e6), await stored('int4', 300e6)])).toEqual({
    ok: true,
    value: null,
  });
});

test('what does not fit is held in memory, which is said once, with figures and what could be deleted', async () => {
  expect(await check(TWO, 700e6, [await stored('other', 250e6), await stored('int8', 0)])).toMatchObject({
    ok: true,
    value: {
      code: 'storage-full',
      message: expect.stringMatching(/900\.0 MB.*200\.0 MB/) as string,
      action: expect.stringContaining('m_other.onnx (250.0 MB)') as string,
    },
  });
});

test('more than memory is to hold is refused before anything is written', async () => {
  expect(await check([file('int8', 2e9)], 700e6)).toMatchObject({
    ok: false,
    error: {
      code: 'storage-full',
      message: expect.stringMatching(/m_int8\.onnx.*2\.0 GB.*1\.3 GB/) as string,
    },
  });
  // The first fits; of the others each alone would do in memory, together they do not.
  expect(await check([file('int8', 600e6), file('a', 600e6), file('b', 600e6)], 600e6)).toMatchObject({ ok: false });
});
