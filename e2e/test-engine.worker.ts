/** An engine that computes nothing: it answers at once with a report made beforehand, to look at states that take hours or a broken adapter. */
import { faultyReport, imageReport, languageReport } from '../src/features/results/test-reports.ts';
import type { Engine } from '../workers/contract/engine.ts';
import type { Generated } from '../workers/contract/generation.ts';
import type { LevelPlan } from '../workers/contract/level-plan.ts';
import type { LevelReport, Report } from '../workers/contract/report.ts';
import type { Opened, OpenedFile } from '../workers/contract/files.ts';
import type { Result } from '../workers/contract/errors.ts';
import { expose, reporting } from '../workers/rpc/remote.ts';

/** Which state is asked for by the model's name. */
const reportFor = (name: string): Report =>
  name.startsWith('faulty') ? faultyReport : name.startsWith('image') ? imageReport : languageReport;

const kindOf = (name: string): OpenedFile['kind'] =>
  name.endsWith('.onnx') ? 'onnx' : name === 'tokenizer.json' ? 'tokenizer' : 'text';

function openedOf(files: readonly File[]): Opened {
  const model = files.find(({ name }) => name.endsWith('.onnx'));
  const tokenizer = files.find(({ name }) => name === 'tokenizer.json');
  const text = files.find(({ name }) => name.endsWith('.txt'));
  const report = reportFor(model?.name ?? '');
  return {
    files: files.map(({ name, size }) => ({ name, bytes: size, kind: kindOf(name) })),
    problems: [],
    model: model
      ? {
          name: model.name,
          bytes: report.model.bytes,
          producer: 'made up',
          irVersion: 10,
          opsets: [{ domain: '', version: 21 }],
          parameters: report.model.parameters,
          weightBytes: report.model.bytes - 72_000,
          elementTypes: [
            { type: 'float16', tensors: 74, parameters: report.model.parameters, bytes: report.model.bytes - 72_000 },
          ],
          operators: [{ domain: '', type: 'MatMul', count: 43 }],
          layers: [{ layer: 'layers.0', parameters: 900_000, bytes: 1_800_000 }],
          languageModel: report.protocol ? { vocabulary: 4096 } : null,
          cacheBytesPerToken: report.model.cacheBytesPerToken,
          baseline: 'as-is',
        }
      : null,
    tokenizer: tokenizer ? { name: tokenizer.name, vocabulary: 4096, addsBos: false } : null,
    text: text
      ? { name: text.name, bytes: text.size, tokens: tokenizer ? Math.max(1, Math.round(text.size / 4)) : null }
      : null,
  };
}

const problemOf = (code: 'busy') => ({
  code,
  message: 'Something else is under way.',
  action: 'Wait for it.',
  details: '',
});
const lineOf = (report: Report, id: string): LevelReport | undefined => report.levels.find((level) => level.id === id);
const LINES = {
  fp16: ' the captain stood upon the deck , and looked long at the grey water , and said nothing .',
  int8: ' the captain stood upon the deck , and looked long at the grey water , and said nothing .',
  int4: ' the captain stood upon the quay , and <b>the men</b> went down to the boats .',
};

const engine: Engine = {
  capabilities: () =>
    Promise.resolve({
      backend: 'webgpu',
      webgpu: { available: true, adapter: 'made up', f16: false },
      isolated: true,
      threads: 4,
    }),
  open: (files) => Promise.resolve({ ok: true, value: openedOf(files) }),
  calibrate: () => Promise.resolve({ ok: true, value: [] }),
  plan: (files, levels) => {
    const report = reportFor(files.find(({ name }) => name.endsWith('.onnx'))?.name ?? '');
    return Promise.resolve({
      ok: true,
      value: levels.map(({ key, id }): LevelPlan => ({
        key,
        bytes: lineOf(report, id)?.bytes ?? 1,
        weightBytes: lineOf(report, id)?.weightBytes ?? 1,
        quantizedTensors: 43,
        summary: '43 tensors are quantized, 31 stay as they are.',
        ledger: [],
        problem: null,
      })),
    });
  },
  compare: (job, port) =>
    reporting(port, (send): Promise<Result<Report>> => {
      const model = job.files.find(({ name }) => name.endsWith('.onnx'));
      const report = reportFor(model?.name ?? '');
      // One that waits has written all files but the last, measured nothing, and does not end by itself.
      const waits = model?.name.startsWith('waiting') === true;
      for (const { key, id } of waits ? job.levels.slice(0, -1) : job.levels) {
        const line = lineOf(report, id);
        if (line)
          send({
            type: 'written',
            level: key,
            file: line.file,
            blob: new Blob([id]),
            bytes: line.bytes,
            weightBytes: line.weightBytes,
            ...(model?.name.startsWith('large')
              ? { data: { file: `${line.file}_data`, bytes: line.weightBytes, blob: new Blob([id]) } }
              : {}),
          });
      }
      if (waits) return new Promise(() => undefined);
      const levels = job.levels.flatMap(({ key, id }) => {
        const line = lineOf(report, id);
        return line ? [{ ...line, key }] : [];
      });
      return Promise.resolve({
        ok: true,
        value: { ...report, levels, model: { ...report.model, name: model?.name ?? '' } },
      });
    }),
  cancel: () => Promise.resolve(),
  finish: () => Promise.resolve(),
  generate: (job, port) =>
    reporting<Generated, Result<null>>(port, async (send) => {
      if (job.prompt === '') return { ok: false, error: problemOf('busy') };
      for (const { key, model } of job.models) {
        const id = await model.model.text();
        const pieces = (id in LINES ? LINES[id as keyof typeof LINES] : '').split(/(?= )/).slice(0, job.maxTokens);
        pieces.forEach((_, index) => {
          send({
            type: 'generated',
            key,
            text: pieces.slice(0, index + 1).join(''),
            tokens: index + 1,
            tokensPerSecond: index > 0 ? 141.3 : null,
            cached: true,
            final: index === pieces.length - 1,
            problem: null,
          });
        });
      }
      return { ok: true, value: null };
    }),
  cancelGeneration: () => Promise.resolve(),
  hubFolder: () => Promise.resolve({ ok: true, value: new Blob() }),
  cancelHubFolder: () => Promise.resolve(),
  history: () => Promise.resolve({ ok: true, value: [] }),
  openStored: () => Promise.resolve({ ok: false, error: problemOf('busy') }),
  storage: () => Promise.resolve({ ok: false, error: problemOf('busy') }),
  remove: () => Promise.resolve({ ok: false, error: problemOf('busy') }),
  removeAll: () => Promise.resolve({ ok: false, error: problemOf('busy') }),
};

expose(engine);
