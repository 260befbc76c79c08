import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { imageModel, tinyLanguageModel } from '../../models/build.ts';
import { quantize, scanBytes } from '../test-support.ts';
import { unsupportedTargets, TARGETS, whyUnsupported, type WrittenModel } from './targets.ts';

/** Operators and domains onnxruntime-web has WebGPU kernels for, from the table its package carries. */
const table = readFileSync(
  join(import.meta.dirname, '../../node_modules/onnxruntime-web/docs/webgpu-operators.md'),
  'utf8',
);
const kernels = new Set(
  [...table.matchAll(/^\| (\w+) \| ([^|]+) \|/gm)].flatMap(([, operator = '', where = '']) =>
    [...where.matchAll(/([\w.]+)\(/g)].map(([, domain]) =>
      domain === 'ai.onnx' ? operator : `${domain ?? ''}:${operator}`,
    ),
  ),
);

const LANGUAGE = tinyLanguageModel({ vocabulary: 128, width: 64, hidden: 96, type: 'float32', tied: false });
const OLD = tinyLanguageModel({ vocabulary: 128, width: 64, hidden: 96, type: 'float32', tied: false, opset: 12 });

const written = async (model: Uint8Array, level: string): Promise<WrittenModel> => (await quantize(model, level)).plan;

describe('operators', () => {
  test('the table is read', () => {
    expect(kernels.has('MatMul') && kernels.has('com.microsoft:MatMulNBits')).toBe(true);
  });

  test.each<[string, Uint8Array, string]>([
    ['int4', LANGUAGE, 'int4:asymmetric,embedding'],
    ['int8', LANGUAGE, 'int8'],
    ['int8 dequantized', LANGUAGE, 'int8:mode=dequantize'],
    ['int8 dynamic', LANGUAGE, 'int8:mode=dynamic'],
    ['uint8', LANGUAGE, 'uint8:embedding'],
    ['an old model', OLD, 'int8:mode=dequantize'],
    ['convolutions', imageModel({ size: 32 }), 'uint8'],
    ['convolutions in int8', imageModel({ size: 32 }), 'int8'],
  ])('%s: WebGPU is refused exactly where it lacks a kernel for what the level writes', async (_, model, level) => {
    const to = await written(model, level);
    const before = new Set((await scanBytes(model)).graph.nodes.map(({ type }) => type));
    const added = (await scanBytes((await quantize(model, level)).bytes)).graph.nodes
      .map(({ domain, type }) => (domain === '' ? type : `${domain}:${type}`))
      .filter((type) => !before.has(type));
    for (const operator of added) expect(to.operators.has(operator), operator).toBe(true);
    const lacking = [...to.operators].filter((operator) => !kernels.has(operator));
    const why = whyUnsupported('webgpu', to);
    expect(why === null).toBe(lacking.length === 0);
    for (const operator of lacking) expect(why).toContain(operator);
    expect(whyUnsupported('wasm', to)).toBeNull();
    expect(whyUnsupported('cpu', to)).toBeNull();
    expect(whyUnsupported('both', to)).toBe(why);
  });
});

describe('size', () => {
  const small: WrittenModel = { operators: new Set(), bytes: 1e6, data: null };

  test('a small file runs everywhere', () => {
    expect(unsupportedTargets(small)).toEqual([]);
  });

  test('what no WebAssembly memory holds', () => {
    const refused = unsupportedTargets({ ...small, bytes: 5e9, data: { file: 'model_q4.onnx_data' } });
    expect(refused.map(({ target }) => target)).toEqual(
      TARGETS.filter((target) => target !== 'cpu' && target !== 'cuda'),
    );
    expect(refused[0]?.reason).toMatch(/5\.0 GB/);
  });
});
