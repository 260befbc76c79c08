import { describe, expect, test } from 'vitest';
import { byteTokenizer, tinyLanguageModel } from '../models/build.ts';
import { createNodeEvaluator } from './evaluate/evaluator.node.ts';
import { hubFolder, modelCard } from './hub-folder.ts';
import { createReferenceKernel } from './kernels/reference.ts';
import { blobSink } from './onnx/write.ts';
import { compare } from './pipeline.ts';
import type { HubFolderJob, Report } from './protocol.ts';

const { signal } = new AbortController();

async function finished(name: string, limit?: number): Promise<HubFolderJob> {
  const files = [
    new File([tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: false })], name), new File([byteTokenizer()], 'my tokenizer.json'),
    new File(['{"model_type": "tiny"}'], 'config.json'), new File(['{"bos_token": "a"}'], 'special_tokens_map.json'), new File(['A text. '.repeat(200)], 'text.txt'),
  ];
  const models: HubFolderJob['models'] = [];
  const report = await compare({ files, levels: [{ key: 'a', id: 'int4', settings: {} }], maxTokens: 512 }, {
    kernel: () => Promise.resolve(createReferenceKernel()), sink: (_, source) => Promise.resolve(blobSink(source)), evaluator: createNodeEvaluator(), threads: 1,
    ...(limit !== undefined && { singleFileLimit: limit }),
  }, (event) => { if (event.type === 'written') models.push({ level: event.level === 'a' ? 'int4' : event.level, file: event.file, blob: event.blob, ...(event.data && { data: event.data }) }); }, signal);
  return { files, report, models };
}

/** Names in the archive, in order: they stand in front of each stored file. */
async function names(archive: Blob): Promise<string[]> {
  const bytes = Buffer.from(await archive.arrayBuffer());
  const end = bytes.length - 22;
  let at = bytes.readUInt32LE(end + 16);
  return Array.from({ length: bytes.readUInt16LE(end + 10) }, () => {
    const length = bytes.readUInt16LE(at + 28);
    const name = bytes.toString('utf8', at + 46, at + 46 + length);
    at += 46 + length + bytes.readUInt16LE(at + 30);
    return name;
  });
}

describe('the folder', () => {
  test('has models under names transformers.js looks for, and what came beside them', async () => {
    const job = await finished('tiny.onnx');
    const archive = await hubFolder(job, signal);
    expect(await names(archive)).toEqual(['README.md', 'tokenizer.json', 'config.json', 'special_tokens_map.json', 'onnx/model_fp16.onnx', 'onnx/model_q4.onnx']);
    const numbered = job.models.map((model) => ({ ...model, file: model.file.replace('.onnx', ' (2).onnx') }));
    expect(await names(await hubFolder({ ...job, models: numbered }, signal))).toEqual(await names(archive));
    expect(archive.size).toBeGreaterThan(job.models.reduce((sum, { blob }) => sum + blob.size, 0));
  });

  test('a model keeps its own name when its data file depends on it, or when it is known', async () => {
    expect((await names(await hubFolder(await finished('tiny.onnx', 20_000), signal))).slice(-4)).toEqual(['onnx/tiny_fp16.onnx', 'onnx/tiny_fp16.onnx_data', 'onnx/tiny_q4.onnx', 'onnx/tiny_q4.onnx_data']);
    expect((await names(await hubFolder(await finished('decoder_model_merged.onnx'), signal))).slice(-1)).toEqual(['onnx/decoder_model_merged_q4.onnx']);
  });
});

describe('the card', () => {
  test('names the source, the levels and their figures', async () => {
    const { report } = await finished('tiny.onnx');
    const card = modelCard(report, new Map([['fp16', 'model_fp16.onnx'], ['int4', 'model_q4.onnx']]));
    const [fp16, int4] = report.levels;
    expect(card).toContain(`fingerprint ${report.model.fingerprint ?? '?'}`);
    expect(card).toContain(`| int4 | model\\_q4.onnx | ${((int4?.bytes ?? 0) / 1000).toFixed(1)} kB | ${int4?.perplexity?.value.toFixed(3) ?? '?'} ±`);
    expect(card).toContain(`${fp16?.perplexity?.value.toFixed(3) ?? '?'} ± ${fp16?.perplexity?.error.toFixed(3) ?? '?'} | – | – |`);
    expect(card).toMatch(/^---\nlibrary_name: transformers\.js\n/);
  });

  test('names are text, whatever is in them', () => {
    const report: Report = {
      schema: 'nibble.report/1', model: { name: '[x](javascript:y)|<b>\n# z.onnx', sha256: null, bytes: 1, parameters: 1, cacheBytesPerToken: null }, protocol: null, backend: 'wasm', levels: [], notes: ['a|b'],
    };
    const card = modelCard(report, new Map());
    expect(card).not.toMatch(/(?<!\\)<b>|^# z|(?<!\\)\[x/m);
    expect(card).toContain('Quality was not measured.');
  });
});
