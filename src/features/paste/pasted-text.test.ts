import { describe, expect, it } from 'vitest';
import { asFile, PASTED_NAME, shortfall } from './pasted-text.ts';

describe('pasted text', () => {
  it('becomes a text file with just what was pasted', async () => {
    const file = asFile('Grüße,\r\nWelt');
    expect([file.name, file.type, await file.text()]).toEqual([PASTED_NAME, 'text/plain', 'Grüße,\r\nWelt']);
  });
  it('says what is missing while it is short', () => {
    expect(shortfall('too short')).toMatch(/^Too short/);
    expect(shortfall('word '.repeat(100))).toMatch(/^About 100 words/);
    expect(shortfall('word '.repeat(400))).toBeNull();
    // Scripts without spaces have long words; it is their bytes that count for the least.
    expect(shortfall('字'.repeat(30))).toMatch(/^About 1 words/);
  });
});
