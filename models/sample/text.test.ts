import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { sampleText, SAMPLE_TEXT_BYTES, SAMPLE_TEXT_SHA256 } from './text.mjs';

it('makes the text the published figures were measured on', async () => {
  const text = await sampleText();
  expect(text.byteLength).toBe(SAMPLE_TEXT_BYTES);
  expect(createHash('sha256').update(text).digest('hex')).toBe(SAMPLE_TEXT_SHA256);
  expect(new TextDecoder('utf-8', { fatal: true }).decode(text)).not.toContain('\r');
});

it('is the text and the model of the model card', async () => {
  const card = await readFile(new URL('README.md', import.meta.url), 'utf8');
  const model = await readFile(new URL('model_fp16.onnx', import.meta.url));
  expect(card).toContain(SAMPLE_TEXT_SHA256);
  expect(card).toContain(createHash('sha256').update(model).digest('hex'));
});
