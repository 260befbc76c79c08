import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createChecksum, encodeHead, encodeRecord, readJournal, RECORD_BYTES } from './journal.ts';

const checksum = await createChecksum();

/** A journal of records at these distances from each other. */
function journal(key: string, steps: readonly number[], total: number): Uint8Array {
  const head = encodeHead(checksum, key, total);
  const parts = [head.bytes];
  let last = { ...head.entry, position: 0 };
  for (const step of steps) {
    const record = encodeRecord(checksum, last.own, last.position + step, new Uint8Array(8).fill(step));
    parts.push(record.bytes);
    last = record.entry;
  }
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

const anySteps = fc.array(fc.integer({ min: 1, max: 2 ** 40 }), { maxLength: 8 });
const positions = (steps: readonly number[]) => steps.map((_, i) => steps.slice(0, i + 1).reduce((a, b) => a + b, 0));

describe('journal', () => {
  test('reads what was written', () => {
    fc.assert(
      fc.property(anySteps, (steps) => {
        const total = steps.reduce((a, b) => a + b, 0);
        expect(
          readJournal(checksum, journal('key', steps, total), 'key', total)?.map(({ position }) => position),
        ).toEqual(positions(steps));
      }),
    );
  });

  test('is valid up to where it was cut or changed, and no further', () => {
    fc.assert(
      fc.property(anySteps, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), (steps, place, flip, cut) => {
        const total = steps.reduce((a, b) => a + b, 0);
        const bytes = journal('key', steps, total);
        const at = place % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        const read = readJournal(checksum, cut ? bytes.subarray(0, at) : bytes, 'key', total);
        if (at < RECORD_BYTES) expect(read).toBeNull();
        else
          expect(read?.map(({ position }) => position)).toEqual(
            positions(steps).slice(0, Math.floor(at / RECORD_BYTES) - 1),
          );
      }),
    );
  });

  test('is of one file only', () => {
    const bytes = journal('key', [5, 6], 20);
    expect(readJournal(checksum, bytes, 'other', 20)).toBeNull();
    expect(readJournal(checksum, bytes, 'key', 21)).toBeNull();
  });

  test('takes no record that another one does not lead to', () => {
    const whole = journal('key', [5, 6, 7], 20);
    const withoutSecond = Uint8Array.from([
      ...whole.subarray(0, 2 * RECORD_BYTES),
      ...whole.subarray(3 * RECORD_BYTES),
    ]);
    expect(readJournal(checksum, withoutSecond, 'key', 20)?.map(({ position }) => position)).toEqual([5]);
  });
});
