import * as native from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { byteTokenizer, tinyLanguageModel } from '../../models/build.ts';
import { createNodeEvaluator } from '../evaluate/evaluator.node.ts';
import { hubFolder, modelCard } from './hub-folder.ts';
import { createReferenceKernel } from '../kernels/reference.ts';
import { scanModel } from '../onnx/scan.ts';
import { blobSink } from '../onnx/writing/write.ts';
import { compare } from './pipeline.ts';
import type { HubFolderJob } from '../contract/engine.ts';
import type { LevelRequest } from '../contract/job.ts';
import type { Report } from '../contract/report.ts';
import { parseLevel } from '../contract/levels/level.ts';
import { bytesSource } from '../io/source.ts';

const { signal } = new AbortController();

async function finished(
  name: string,
  { limit, levels = ['int4'], text = true }: { limit?: number; levels?: readonly string[]; text?: boolean } = {},
): Promise<HubFolderJob> {
  const files = [
    new File([tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: false })], name),
    new File([byteTokenizer()], 'my tokenizer.json'),
    new File(['{"model_type": "tiny"}'], 'config.json'),
    new File(['{"bos_token": "a"}'], 'special_tokens_map.json'),
    ...(text ? [new File(['A text. '.repeat(200)], 'text.txt')] : []),
  ];
  const models: HubFolderJob['models'] = [];
  const report = await compare(
    { files, levels: levels.map(requested), maxTokens: 512 },
    {
      kernel: () => Promise.resolve(createReferenceKernel()),
      sink: (_, source) => Promise.resolve(blobSink(source)),
      evaluator: createNodeEvaluator(),
      threads: 1,
      ...(limit !== undefined && { singleFileLimit: limit }),
    },
    (event) => {
      if (event.type === 'written')
        models.push({
          level: event.level,
          file: event.file,
          blob: event.blob,
          ...(event.data && { data: event.data }),
        });
    },
    signal,
  );
  return { files, report, models };
}

function requested(spelling: string): LevelRequest {
  const level = parseLevel(spelling);
  if (!level.ok) throw new Error(level.error.message);
  return { key: spelling, ...level.value };
}

/** The files of an archive whose entries are stored, by name. */
async function unzipped(archive: Blob): Promise<Map<string, Uint8Array>> {
  const bytes = Buffer.from(await archive.arrayBuffer());
  let at = bytes.readUInt32LE(bytes.length - 22 + 16);
  const files = new Map<string, Uint8Array>();
  for (const name of await names(archive)) {
    const local = bytes.readUInt32LE(at + 42);
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    files.set(name, new Uint8Array(bytes.subarray(start, start + bytes.readUInt32LE(at + 24))));
    at += 46 + bytes.readUInt16LE(at + 28) + bytes.readUInt16LE(at + 30);
  }
  return files;
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
    expect(await names(archive)).toEqual([
      'README.md',
      'tokenizer.json',
      'config.json',
      'special_tokens_map.json',
      'onnx/model_fp16.onnx',
      'onnx/model_q4.onnx',
    ]);
    expect(archive.size).toBeGreaterThan(job.models.reduce((sum, { blob }) => sum + blob.size, 0));
  });

  test('names do not depend on where a file was written', async () => {
    const job = await finished('tiny.onnx', { text: false });
    for (const written of [' (2)', '_q4f16', '']) {
      const elsewhere = job.models.map((model) => ({ ...model, file: `x${written}.onnx` }));
      expect(await names(await hubFolder({ ...job, models: elsewhere }, signal))).toEqual(
        await names(await hubFolder(job, signal)),
      );
    }
  });

  test('levels of one dtype have names of their own', async () => {
    const entries = await names(
      await hubFolder(await finished('a_q4_b.onnx', { levels: ['q4f16', 'q4f16:block=64'], text: false }), signal),
    );
    expect(entries.slice(-3)).toEqual([
      'onnx/model_fp16.onnx',
      'onnx/model_q4f16.onnx',
      'onnx/model_q4f16_block64.onnx',
    ]);
    expect(new Set(entries).size).toBe(entries.length);
  });

  test('a data file is named after its model, which refers to it by that name, and runs', async () => {
    for (const [name, stem] of [
      ['tiny.onnx', 'model'],
      ['decoder_model.onnx', 'decoder_model'],
    ] as const) {
      const job = await finished(name, { limit: 20_000, text: false });
      const archive = await hubFolder(job, signal);
      const files = await unzipped(archive);
      expect([...files.keys()].slice(-4)).toEqual([
        `onnx/${stem}_fp16.onnx`,
        `onnx/${stem}_fp16.onnx_data`,
        `onnx/${stem}_q4.onnx`,
        `onnx/${stem}_q4.onnx_data`,
      ]);
      for (const level of ['fp16', 'q4']) {
        const { externalTensors: outside } = await scanModel(
          bytesSource('model.onnx', files.get(`onnx/${stem}_${level}.onnx`) ?? new Uint8Array()),
        );
        expect(outside.length).toBeGreaterThan(0);
        expect(new Set(outside.map(({ data }) => data.location))).toEqual(new Set([`${stem}_${level}.onnx_data`]));
        const session = await native.InferenceSession.create(
          files.get(`onnx/${stem}_${level}.onnx`) ?? new Uint8Array(),
          {
            externalData: [
              {
                path: `${stem}_${level}.onnx_data`,
                data: files.get(`onnx/${stem}_${level}.onnx_data`) ?? new Uint8Array(),
              },
            ],
          },
        );
        expect(session.outputNames).toEqual(['logits']);
        await session.release();
      }
    }
  });

  test('a level given twice is in it once', async () => {
    const job = await finished('tiny.onnx', { text: false });
    expect(await names(await hubFolder({ ...job, models: [...job.models, ...job.models] }, signal))).toEqual(
      await names(await hubFolder(job, signal)),
    );
  });

  test('files that differ in case are one, and the card is ours', async () => {
    const job = await finished('tiny.onnx', { text: false });
    const files = [
      ...job.files,
      new File(['{"model_type": "other", "architectures": []}'], 'Config.json'),
      new File(['{"model_type": "x", "architectures": []}'], 'readme.md'),
    ];
    const entries = await names(await hubFolder({ ...job, files }, signal));
    expect(entries.filter((path) => /^(config\.json|readme\.md)$/i.test(path)).length).toBe(2);
    expect(entries[0]).toBe('README.md');
  });

  test('a report of version 0.1.0 says no suffix: the level says it', async () => {
    const job = await finished('tiny.onnx', { levels: ['int4:block=64', 'int4:exclude=a*|b'], text: false });
    const older = { ...job.report, levels: job.report.levels.map(({ suffix: _, ...line }) => line) };
    expect(await names(await hubFolder({ ...job, report: older }, signal))).toEqual(
      await names(await hubFolder(job, signal)),
    );
  });
});

describe('the card', () => {
  test('names the source, the levels and their figures', async () => {
    const { report } = await finished('tiny.onnx');
    const card = modelCard(
      report,
      new Map([
        ['fp16', 'model_fp16.onnx'],
        ['int4', 'model_q4.onnx'],
      ]),
    );
    const [fp16, int4] = report.levels;
    expect(card).toContain(`fingerprint ${report.model.fingerprint ?? '?'}`);
    expect(card).toContain(
      `| int4 | model\\_q4.onnx | ${((int4?.bytes ?? 0) / 1000).toFixed(1)} kB | ${int4?.perplexity?.value.toFixed(3) ?? '?'} ±`,
    );
    expect(card).toContain(
      `${fp16?.perplexity?.value.toFixed(3) ?? '?'} ± ${fp16?.perplexity?.error.toFixed(3) ?? '?'} | – | – |`,
    );
    expect(card).toMatch(/^---\nlibrary_name: transformers\.js\n/);
  });

  test('names are text, whatever is in them', () => {
    const report: Report = {
      schema: 'nibble.report/1',
      model: {
        name: '[x](javascript:y)|<b>\n# z.onnx',
        sha256: null,
        bytes: 1,
        parameters: 1,
        cacheBytesPerToken: null,
      },
      protocol: null,
      backend: 'wasm',
      levels: [],
      notes: ['a|b'],
    };
    const card = modelCard(report, new Map());
    expect(card).not.toMatch(/(?<!\\)<b>|^# z|(?<!\\)\[x/m);
    expect(card).toContain('Quality was not measured.');
  });
});
