import { describe, expect, test } from 'vitest';
import { matMulModel, randomValues } from '../../models/build.ts';
import { classifyFiles } from './classify-files.ts';

const MODEL = matMulModel(randomValues(1, 64), 8, 8);
const TOKENIZER = JSON.stringify({ version: '1.0', model: { type: 'BPE', vocab: { a: 0 }, merges: [] } });
const file = (name: string, ...content: BlobPart[]) => new File(content, name);
const identify = async (given: File) => (await classifyFiles([given])).files[0];

describe('content decides', () => {
  test.each<[string, File, string]>([
    ['a model under another name', file('weights.bin', MODEL), 'onnx'],
    ['a tokenizer under another name', file('my-tok.txt', TOKENIZER), 'tokenizer'],
    [
      'a tokenizer configuration',
      file('tokenizer_config.json', '{"tokenizer_class": "LlamaTokenizer"}'),
      'tokenizer-config',
    ],
    ['a model configuration', file('config.json', '{"model_type": "llama"}'), 'model-config'],
    ['other JSON', file('special_tokens_map.json', '{"bos_token": "<s>"}'), 'unknown'],
    ['text', file('notes.md', 'Call me Ishmael.'), 'text'],
    ['text in another script', file('text.txt', 'なにごとも'), 'text'],
    ['text cut inside a character by the head', file('text.txt', 'é'.repeat(5000)), 'text'],
    ['an array', file('x.npy', Uint8Array.of(0x93), 'NUMPY', Uint8Array.of(1, 0, 4, 0), '{}  '), 'input'],
    [
      'an array under another name',
      file('x.bin', Uint8Array.of(0x93), 'NUMPY', Uint8Array.of(1, 0, 4, 0), '{}  '),
      'input',
    ],
    [
      'a tensor as ONNX stores it',
      file('input_0.pb', Uint8Array.of(8, 1, 8, 2, 16, 1, 0x4a, 8), new Uint8Array(8)),
      'input',
    ],
    ['a scalar of those', file('input_0.pb', Uint8Array.of(16, 1, 0x4a, 4), new Uint8Array(4)), 'input'],
    ['JSON of numbers', file('in.json', '{"x": [[1, 2]]}'), 'input'],
    ['JSON of samples', file('in.json', '[{"x": {"dims": [1], "data": [1]}}]'), 'input'],
    ['a picture', file('cat.png', Uint8Array.of(0x89), 'PNG', Uint8Array.of(13, 10, 26, 10, 0, 0)), 'input'],
    ['a photograph', file('cat', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0)), 'input'],
    ['a WebP', file('cat.webp', 'RIFF', Uint8Array.of(0xff, 0, 0, 0), 'WEBP', Uint8Array.of(0)), 'input'],
    [
      'a generation configuration',
      file('generation_config.json', '{"eos_token_id": [1, 2], "transformers_version": "4"}'),
      'unknown',
    ],
    ['a vocabulary', file('vocab.json', '{"a": 0, "b": 1}'), 'unknown'],
    [
      'weights that begin like a tensor',
      file(
        'w.data',
        Uint8Array.of(8, 1, 16, 1),
        Uint8Array.from({ length: 90 }, (_, i) => 255 - i),
      ),
      'external-data',
    ],
    ['a README', file('README.md', '# A model'), 'unknown'],
    ['merges', file('merges.txt', '#version: 0.2\na b'), 'unknown'],
    [
      'external data',
      file(
        'model.onnx_data',
        Uint8Array.from({ length: 100 }, (_, i) => 255 - i),
      ),
      'external-data',
    ],
  ])('%s', async (_, given, kind) => {
    expect(await identify(given)).toMatchObject({ kind });
    expect((await identify(given))?.problem).toBeUndefined();
  });
});

describe('what cannot be used says what it is and what to do', () => {
  test.each<[string, File, string, RegExp]>([
    ['empty', file('model.onnx'), 'file-empty', /model\.onnx is empty/],
    [
      'Git LFS pointer',
      file('model.onnx', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n'),
      'file-lfs-pointer',
      /Git LFS pointer/,
    ],
    [
      'a web page saved as a model',
      file('model.onnx', '<!DOCTYPE html><html></html>'),
      'onnx-invalid',
      /holds a web page/,
    ],
    ['text named as a model', file('model.onnx', 'hello'), 'onnx-invalid', /holds text/],
    ['JSON named as a model', file('model.onnx', '{"a": 1}'), 'onnx-invalid', /holds JSON/],
    [
      'noise named as a model',
      file('model.onnx', Uint8Array.from([255, 254, 0, 1, 2, 3])),
      'onnx-invalid',
      /not an ONNX model/,
    ],
    ['GGUF', file('model.gguf', 'GGUF', Uint8Array.from([3, 0, 0, 0])), 'file-unknown', /a GGUF file/],
    [
      'an array named as a model',
      file('model.onnx', Uint8Array.of(0x93), 'NUMPY', Uint8Array.of(1, 0)),
      'onnx-invalid',
      /not an ONNX model/,
    ],
    [
      'several arrays',
      file('x.npz', 'PK', Uint8Array.from([3, 4, 0, 0])),
      'file-unknown',
      /save each with numpy\.save/,
    ],
    ['PyTorch', file('model.pt', 'PK', Uint8Array.from([3, 4, 0, 0])), 'file-unknown', /PyTorch/],
    [
      "onnxruntime's own format",
      file('model.ort', Uint8Array.from([36, 0, 0, 0]), 'ORTM', Uint8Array.from([0, 0, 18, 0])),
      'file-unknown',
      /a model in onnxruntime's own format \(\.ort\); Nibble reads ONNX models/,
    ],
    [
      'safetensors',
      file('model.safetensors', Uint8Array.from([40, 0, 0, 0, 0, 0, 0, 0]), '{"a":{}}'),
      'file-unknown',
      /safetensors/,
    ],
    ['broken tokenizer', file('tokenizer.json', '{"model": {"vocab"'), 'tokenizer-invalid', /not valid JSON/],
  ])('%s', async (_, given, code, message) => {
    const problem = (await identify(given))?.problem;
    expect(problem?.code).toBe(code);
    expect(problem?.message).toMatch(message);
    expect(problem?.action).not.toBe('');
  });
});

test('the newest file of a kind counts, and an older model says so', async () => {
  const sorted = await classifyFiles([
    file('old.onnx', MODEL),
    file('a.txt', 'first'),
    file('new.onnx', MODEL),
    file('b.txt', 'second'),
    file('c.md', 'third'),
  ]);
  expect(sorted.model?.name).toBe('new.onnx');
  expect(sorted.text?.name).toBe('b.txt');
  expect(sorted.inputs).toEqual([]);
  expect(sorted.files[0]?.problem?.code).toBe('several-models');
});

test('two models of one name are two', async () => {
  const sorted = await classifyFiles([file('model.onnx', MODEL), file('model.onnx', MODEL)]);
  expect(sorted.files.map(({ problem }) => problem?.code)).toEqual(['several-models', undefined]);
});

test('weights that begin like a model are none beside a file called a model', async () => {
  const sorted = await classifyFiles([file('model.onnx', MODEL), file('weights.bin', MODEL)]);
  expect(sorted.files.map(({ kind, problem }) => [kind, problem])).toEqual([
    ['onnx', undefined],
    ['external-data', undefined],
  ]);
});

test('of inputs all count, in the order dropped', async () => {
  const sorted = await classifyFiles([file('b.json', '{"b": [1]}'), file('a.json', '{"a": [1]}')]);
  expect(sorted.inputs.map(({ name }) => name)).toEqual(['b.json', 'a.json']);
});
