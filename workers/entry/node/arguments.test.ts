import { expect, test } from 'vitest';
import { readArguments } from './arguments.ts';

test('reads everything', () => {
  expect(
    readArguments([
      'compare',
      'm.onnx',
      '--tokenizer',
      't.json',
      '--text',
      'x.txt',
      '--input',
      'a.npy',
      '--input',
      'b.npy',
      '--level',
      'int8',
      '--level',
      'int4:block=128,asymmetric',
      '--out',
      'o',
      '--json',
      '-',
      '--tokens',
      '512',
      '--threads',
      '1',
      '--words',
      '--speed',
      '--quiet',
    ]),
  ).toEqual({
    kind: 'compare',
    arguments: {
      model: 'm.onnx',
      tokenizer: 't.json',
      tokenizerConfig: null,
      text: 'x.txt',
      calibrate: null,
      inputs: ['a.npy', 'b.npy'],
      out: 'o',
      zip: null,
      json: '-',
      tokens: 512,
      protocol: null,
      target: null,
      measure: true,
      extras: { words: true, speed: true },
      threads: 1,
      quiet: true,
      levels: [
        { key: 'int8', id: 'int8', settings: {} },
        { key: 'int4:block=128,asymmetric', id: 'int4', settings: { block: 128, asymmetric: true } },
      ],
    },
  });
});

test('calibration text is for methods that need it', () => {
  const read = (level: string) => readArguments(['compare', 'm.onnx', '--level', level, '--calibrate', 'c.txt']);
  for (const method of ['wsearch', 'gptq'])
    expect(read(`int4:method=${method}`)).toMatchObject({ arguments: { calibrate: 'c.txt' } });
  for (const level of ['int4', 'int4:method=search', 'int8']) expect(read(level).kind).toBe('wrong');
});

test.each<[string[], object]>([
  [['--protocol', 'gptq'], { name: 'gptq' }],
  [['--context', '256'], { name: 'llama.cpp', context: 256 }],
  [
    ['--protocol', 'huggingface', '--context', '128', '--stride', '64'],
    { name: 'huggingface', context: 128, stride: 64 },
  ],
])('%j chooses a protocol', (argv, protocol) => {
  expect(readArguments(['compare', 'm.onnx', ...argv])).toMatchObject({ arguments: { protocol } });
});

test('a target is one of those there are', () => {
  expect(readArguments(['compare', 'm.onnx', '--target', 'transformers.js'])).toMatchObject({
    arguments: { target: 'transformers.js' },
  });
  expect(readArguments(['compare', 'm.onnx', '--target', 'toaster'])).toMatchObject({
    kind: 'wrong',
    error: { message: expect.stringMatching(/there are wasm, webgpu, both/) as string },
  });
});

test('quantize writes and does not measure; compare may do so, too', () => {
  expect(readArguments(['quantize', 'm.onnx', '--out', 'o'])).toMatchObject({
    kind: 'quantize',
    arguments: { measure: false, out: 'o', levels: [{ key: 'int8' }, { key: 'int4' }] },
  });
  expect(readArguments(['quantize', 'm.onnx', '--zip', 'z'])).toMatchObject({ kind: 'quantize' });
  expect(readArguments(['compare', 'm.onnx', '--no-measure'])).toMatchObject({
    kind: 'compare',
    arguments: { measure: false },
  });
});

test.each<[string[]]>([[[]], [['--help']], [['compare', '-h']]])('%j asks for help', (argv) => {
  expect(readArguments(argv).kind).toBe('help');
});

test.each<[string[], string]>([
  [['compare'], 'usage'],
  [['convert', 'm.onnx'], 'usage'],
  [['compare', 'a.onnx', 'b.onnx'], 'usage'],
  [['compare', 'm.onnx', '--nonsense'], 'usage'],
  [['quantize', 'm.onnx'], 'usage'],
  [['quantize', 'm.onnx', '--out', 'o', '--text', 't'], 'usage'],
  [['compare', 'm.onnx', '--out', ''], 'usage'],
  [['compare', 'm.onnx', '--no-measure', '--speed'], 'usage'],
  [['compare', 'm.onnx', '--words'], 'usage'],
  [['compare', 'm.onnx', '--tokens', '0'], 'usage'],
  [['compare', 'm.onnx', '--threads', 'many'], 'usage'],
  [['compare', 'm.onnx', '--protocol', 'c4'], 'usage'],
  [['compare', 'm.onnx', '--context', '0'], 'usage'],
  [['compare', 'm.onnx', '--stride', 'x'], 'usage'],
  [['compare', 'm.onnx', '--level', 'int3'], 'level-unknown'],
  [['compare', 'm.onnx', '--level', 'int4:block=33'], 'level-invalid'],
])('%j is refused', (argv, code) => {
  const parsed = readArguments(argv);
  expect(parsed.kind === 'wrong' ? parsed.error.code : parsed.kind).toBe(code);
});
