import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchesPattern } from './pattern.ts';

test.each([
  ['lm_head', 'lm_head', true],
  ['lm_head', 'lm_head.weight', false],
  ['lm_head*', 'lm_head.weight', true],
  ['*.weight', 'lm_head.weight', true],
  ['model.*.mlp.*', 'model.layers.3.mlp.up', true],
  ['model.*.mlp.*', 'model.layers.3.attn', false],
  ['layer.?', 'layer.3', true],
  ['layer.?', 'layer.13', false],
  ['*', '', true],
  ['', '', true],
  ['', 'a', false],
  ['a.b', 'axb', false],
  ['*a*b', 'ab', true],
  ['a*a', 'a', false],
])('%s and %s: %s', (pattern, name, fits) => {
  expect(matchesPattern(pattern, name)).toBe(fits);
});

test('as a regular expression would have it', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
  fc.assert(
    fc.property(letters, fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 }), (pattern, name) => {
      const expression = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
      expect(matchesPattern(pattern, name)).toBe(expression.test(name));
    }),
  );
});
