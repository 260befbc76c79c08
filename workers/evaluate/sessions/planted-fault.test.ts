import { expect, it } from 'vitest';
import { spoil } from './planted-fault.ts';

const shader = (type: string, body: string) =>
  `@group(0) @binding(1) var<storage, read_write> output: array<${type}>;\nfn main() {\n${body}\n}`;

it('whatever a shader writes to its output is multiplied, and nothing else', () => {
  expect(
    spoil(
      shader('vec4<f32>', 'let a = x[i];\noutput[global_idx]=a + b;\nif (y[i] == 1) { output[i2o(at[0])] = value; }'),
      1.2,
    ),
  ).toBe(
    shader(
      'vec4<f32>',
      'let a = x[i];\noutput[global_idx] = ((a + b) * f32(1.2));\nif (y[i] == 1) { output[i2o(at[0])] = ((value) * f32(1.2)); }',
    ),
  );
  expect(spoil(shader('f16', 'output[i] = v;'), 2)).toBe(shader('f16', 'output[i] = ((v) * f16(2));'));
  expect(spoil(shader('vec2<u32>', 'output[i] = v;'), 2)).toBe(shader('vec2<u32>', 'output[i] = v;'));
});
