import { expect, test } from 'vitest';
import { isFull, writeAll, type DiskFile } from './disk.ts';

/** A file whose writes come back with these numbers. */
const answering = (...answers: number[]): DiskFile => ({
  write: () => answers.shift() ?? 0,
  read: () => 0,
  truncate: () => undefined,
  getSize: () => 0,
  flush: () => undefined,
  close: () => undefined,
});
const thrownBy = (file: DiskFile): unknown => {
  try {
    writeAll(file, new Uint8Array(10), 0);
    return null;
  } catch (thrown) {
    return thrown;
  }
};

test('what a disk did not take is given to it again', () => {
  expect(thrownBy(answering(4, 5, 1))).toBeNull();
});

test('a disk that takes nothing is full, also where Chromium says so by a number', () => {
  expect(isFull(thrownBy(answering(4, 0)))).toBe(true);
  expect(isFull(thrownBy(answering(4, 2 ** 32 - 8)))).toBe(true);
});

test('a number that no write can come back with is a failure, and not of room', () => {
  for (const written of [2 ** 32 - 1, 11, -1, NaN]) {
    const thrown = thrownBy(answering(written));
    expect(thrown).toBeInstanceOf(Error);
    expect(isFull(thrown)).toBe(false);
  }
});
