/** Every case of the table goes all the way, and what comes of it is what the table says. */
import * as web from 'onnxruntime-web';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createWasmKernel } from '../workers/kernels/wasm/kernel.ts';
import type { Kernel } from '../workers/kernels/kernel.ts';
import { exhibit, isThere, readSource, refusal, visit, type Exhibit, type Visit } from './test-zoo.ts';
import { zooSchema, type ZooCase } from './zoo-cases.ts';
import table from './zoo.json';

web.env.wasm.numThreads = 1;

const all = zooSchema.parse(table);
const cases = all.filter(({ source }) => isThere(source));
const seen: string[] = [];

let kernel: Kernel;
beforeAll(async () => {
  kernel = await createWasmKernel();
});
afterAll(() => {
  kernel.dispose();
  const absent = all.filter((one) => !cases.includes(one)).map(({ name }) => `not there: ${name}`);
  console.info([...seen, ...absent].join('\n'));
});

/** Cases of one source and one kind of inputs share what is worked out once for them. */
const groups = new Map<string, ZooCase[]>();
for (const one of cases) {
  const key = `${Object.values(one.source).join('')}${one.inputs ? `, ${one.inputs}` : ''}`;
  groups.set(key, [...(groups.get(key) ?? []), one]);
}

describe.each([...groups])('%s', (_, group) => {
  let shown: Exhibit | null = null;
  afterAll(() => {
    shown = null;
  });

  test.each(group.map((one) => [one.level, one] as const))('%s', async (level, one) => {
    const { source, inputs, expect: expected } = one;
    if ('error' in expected) {
      expect(await refusal(await readSource(source), level, kernel)).toBe(expected.error);
      seen.push(`${one.name}: ${expected.error}`);
      return;
    }
    shown ??= await exhibit(await readSource(source), inputs);
    const found = await visit(shown, level, kernel);
    seen.push(line(one, found));
    expect(found.problems).toEqual([]);
    expect({ nodes: found.nodes, quantizedTensors: found.quantizedTensors }).toEqual({
      nodes: expected.nodes,
      quantizedTensors: expected.quantizedTensors,
    });
    const [least, most] = typeof expected.bytes === 'number' ? [expected.bytes, expected.bytes] : expected.bytes;
    expect(found.bytes).toBeGreaterThanOrEqual(least);
    expect(found.bytes).toBeLessThanOrEqual(most);
    expect(found.error.native).toBeLessThanOrEqual(expected.maxError);
    expect(found.error.web).toBeLessThanOrEqual(expected.maxError);
    expect(found.sqnr).toBeGreaterThanOrEqual(expected.minSqnr);
  });
});

test('names are names of one case', () => {
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
});

function line({ name }: ZooCase, { bytes, bytesBefore, quantizedTensors, error, sqnr }: Visit): string {
  const worst = Math.max(error.native, error.web);
  return `${name}: ${bytesBefore} → ${bytes} bytes, ${quantizedTensors} tensors, ${sqnr.toFixed(1)} dB, dequantized self ±${worst.toExponential(1)}`;
}
