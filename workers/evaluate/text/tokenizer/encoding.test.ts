import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createEncoding } from './encoding.ts';
import { tokenizerFile } from './schema.ts';

const KINDS = new URL('kinds/', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, KINDS), 'utf8'));
const expectedFile = z.object({ texts: z.array(z.object({ text: z.string(), ids: z.array(z.number()) })) });
const names = readdirSync(KINDS)
  .filter((name) => name.endsWith('.json') && !name.endsWith('.ids.json'))
  .map((name) => name.replace('.json', ''));

/** What a template puts around one text. */
const template = z.object({
  single: z.array(z.object({ SpecialToken: z.object({ id: z.string() }).optional() })),
  special_tokens: z.record(z.string(), z.object({ ids: z.array(z.number()) })),
});

function wrapped(processor: unknown, ids: Int32Array): number[] {
  const found = template.safeParse(processor);
  if (!found.success) return [...ids];
  return found.data.single.flatMap(({ SpecialToken }) =>
    SpecialToken ? (found.data.special_tokens[SpecialToken.id]?.ids ?? []) : [...ids],
  );
}

describe("ids of Python's tokenizers", () => {
  it('are those of sixteen kinds', () => {
    expect(names).toHaveLength(16);
  });

  describe.each(names)('%s', (name) => {
    const file = tokenizerFile.parse(read(`${name}.json`));
    const encoding = createEncoding(file);
    it.each(expectedFile.parse(read(`${name}.ids.json`)).texts)('$text', ({ text, ids }) => {
      expect(wrapped(file.post_processor, encoding.encode(text).ids)).toEqual(ids);
    });
  });
});
