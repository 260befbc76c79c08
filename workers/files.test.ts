import { describe, expect, test } from 'vitest';
import { matMulModel, randomValues } from '../models/build.ts';
import { sortFiles } from './files.ts';

const MODEL = matMulModel(randomValues(1, 64), 8, 8);
const TOKENIZER = JSON.stringify({ version: '1.0', model: { type: 'BPE', vocab: { a: 0 }, merges: [] } });
const file = (name: string, ...content: BlobPart[]) => new File(content, name);
const identify = async (given: File) => (await sortFiles([given])).files[0];

describe('content decides', () => {
  test.each<[string, File, string]>([
    ['a model under another name', file('weights.bin', MODEL), 'onnx'],
    ['a tokenizer under another name', file('my-tok.txt', TOKENIZER), 'tokenizer'],
    ['a tokenizer configuration', file('tokenizer_config.json', '{"tokenizer_class": "LlamaTokenizer"}'), 'tokenizer-config'],
    ['a model configuration', file('config.json', '{"model_type": "llama"}'), 'model-config'],
    ['other JSON', file('special_tokens_map.json', '{"bos_token": "<s>"}'), 'unknown'],
    ['text', file('notes.md', 'Call me Ishmael.'), 'text'],
    ['text in another script', file('text.txt', 'なにごとも'), 'text'],
    ['text cut inside a character by the head', file('text.txt', 'é'.repeat(5000)), 'text'],
    ['a README', file('README.md', '# A model'), 'unknown'],
    ['merges', file('merges.txt', '#version: 0.2\na b'), 'unknown'],
    ['external data', file('model.onnx_data', Uint8Array.from({ length: 100 }, (_, i) => 255 - i)), 'external-data'],
  ])('%s', async (_, given, kind) => {
    expect(await identify(given)).toMatchObject({ kind });
    expect((await identify(given))?.problem).toBeUndefined();
  });
});

describe('what cannot be used says what it is and what to do', () => {
  test.each<[string, File, string, RegExp]>([
    ['empty', file('model.onnx'), 'file-empty', /model\.onnx is empty/],
    ['Git LFS pointer', file('model.onnx', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n'), 'file-lfs-pointer', /Git LFS pointer/],
    ['a web page saved as a model', file('model.onnx', '<!DOCTYPE html><html></html>'), 'onnx-invalid', /holds a web page/],
    ['text named as a model', file('model.onnx', 'hello'), 'onnx-invalid', /holds text/],
    ['JSON named as a model', file('model.onnx', '{"a": 1}'), 'onnx-invalid', /holds JSON/],
    ['noise named as a model', file('model.onnx', Uint8Array.from([255, 254, 0, 1, 2, 3])), 'onnx-invalid', /not an ONNX model/],
    ['GGUF', file('model.gguf', 'GGUF', Uint8Array.from([3, 0, 0, 0])), 'file-unknown', /a GGUF file/],
    ['PyTorch', file('model.pt', 'PK', Uint8Array.from([3, 4, 0, 0])), 'file-unknown', /PyTorch/],
    ['safetensors', file('model.safetensors', Uint8Array.from([40, 0, 0, 0, 0, 0, 0, 0]), '{"a":{}}'), 'file-unknown', /safetensors/],
    ['broken tokenizer', file('tokenizer.json', '{"model": {"vocab"'), 'tokenizer-invalid', /not valid JSON/],
  ])('%s', async (_, given, code, message) => {
    const problem = (await identify(given))?.problem;
    expect(problem?.code).toBe(code);
    expect(problem?.message).toMatch(message);
    expect(problem?.action).not.toBe('');
  });
});

test('the newest file of a kind counts, and an older model says so', async () => {
  const sorted = await sortFiles([file('old.onnx', MODEL), file('a.txt', 'first'), file('new.onnx', MODEL), file('b.txt', 'second'), file('c.md', 'third')]);
  expect(sorted.model?.name).toBe('new.onnx');
  expect(sorted.text?.name).toBe('b.txt');
  expect(sorted.files[0]?.problem?.code).toBe('several-models');
});
