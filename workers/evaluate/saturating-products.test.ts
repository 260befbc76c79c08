import { describe, expect, test } from 'vitest';
import { LAYERS, PRODUCTS, seededWeights } from '../../models/operators.ts';
import { quantize } from '../test-support.ts';
import { mayOverflow16Bits } from './saturating-products.ts';

const CASES = [...PRODUCTS, ...LAYERS].filter(({ name }) =>
  ['MatMul', 'weights in the branches of an If', 'a weight in a local function', 'Attention with a mask'].includes(
    name,
  ),
);

describe.each(CASES.map((operator) => [operator.name, operator] as const))('%s', (_, operator) => {
  test.each([
    ['int8:mode=dynamic', true],
    ['uint8', false],
    ['int8', false],
    ['int8:mode=dequantize', false],
  ] as const)('%s multiplies uint8 by int8: %s', async (level, expected) => {
    const { bytes } = await quantize(operator.build(seededWeights(operator)), level);
    expect(await mayOverflow16Bits(new Blob([bytes as Uint8Array<ArrayBuffer>]))).toBe(expected);
  });
});

test('all cases are there', () => {
  expect(CASES.length).toBe(4);
});

test('what is no model is none', async () => {
  expect(await mayOverflow16Bits(new Blob([Uint8Array.of(255, 1)]))).toBe(false);
});
