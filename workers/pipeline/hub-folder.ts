/**
 * A finished comparison as the folder of a model on the Hugging Face Hub, zipped: models under `onnx/`, configuration
 * and tokenizer as they came, and a card that says what was made of what and what it costs.
 */
import { dataFileName } from '../contract/levels/file-name.ts';
import { classifyFiles } from '../io/classify-files.ts';
import { bytesInWords } from '../lib/bytes-in-words.ts';
import type { FileKind } from '../contract/files.ts';
import type { HubFolderJob, Zipping } from '../contract/engine.ts';
import { levelMetrics, outputMetrics, readLevel, readWorst, worstOutput } from '../contract/metric-readings.ts';
import { textHeading, textOf, type TextStyle } from '../contract/metric-text.ts';
import type { OutputMetric, Place } from '../contract/metrics.ts';
import type { LevelReport, Report } from '../contract/report.ts';
import { renameData } from '../onnx/writing/rename-data.ts';
import { hubNames, namedLevel } from '../contract/levels/hub-names.ts';
import { entryKey, zip, type ZipEntry } from '../io/zip.ts';

/** What transformers.js reads beside a model, told by content or by these names. */
const COPIED_KINDS: ReadonlySet<FileKind> = new Set(['tokenizer', 'tokenizer-config', 'model-config']);
export const COPIED_NAMES: readonly string[] = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'vocab.txt',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
  'preprocessor_config.json',
  'processor_config.json',
  'quantize_config.json',
  'LICENSE',
  'LICENSE.txt',
  'LICENSE.md',
];

const CARD = 'README.md';

/**
 * The archive refers to the files; none is copied in memory. Names follow from the levels and the source's name, see
 * `hubNames`. Errors: `file-changed` when a file was changed, `write-failed` when two entries would have one name.
 */
export async function hubFolder(
  { files, report, models }: HubFolderJob,
  signal: AbortSignal,
  onProgress?: (progress: Zipping) => void,
): Promise<Blob> {
  const named = await nameModels(report, models, signal);
  const entries: ZipEntry[] = [
    { path: CARD, blob: new Blob([modelCard(report, new Map(named.map(({ level, file }) => [level, file])))]) },
    ...(await companionFiles(files)),
    ...named.flatMap(({ file, blob, data }) => [
      { path: `onnx/${file}`, blob },
      ...(data ? [{ path: `onnx/${dataFileName(file)}`, blob: data }] : []),
    ]),
  ];
  return zip(entries, signal, onProgress);
}

/** A model as it goes into the folder, and its data file. */
interface NamedModel {
  level: string;
  file: string;
  blob: Blob;
  data: Blob | null;
}

/** One for each level; a model refers to its data file by the name that has there. */
async function nameModels(report: Report, models: HubFolderJob['models'], signal: AbortSignal): Promise<NamedModel[]> {
  const reported = new Map(report.levels.map((line) => [line.level, line]));
  const once = [...new Map(models.map((model) => [model.level, model])).values()];
  const names = hubNames(
    report.model.name,
    once.map(({ level }) => namedLevel(level, reported.get(level))),
  );
  return Promise.all(
    once.map(async ({ level, blob, data }, i) => {
      const file = names[i] ?? '';
      return {
        level,
        file,
        blob: data ? await renameData(blob, data.file, dataFileName(file), signal) : blob,
        data: data?.blob ?? null,
      };
    }),
  );
}

/** The configuration and tokenizer files among `files`, by their names in the folder. The newest of each name, whatever its case. */
export async function companionFiles(files: readonly File[]): Promise<ZipEntry[]> {
  const { files: opened } = await classifyFiles(files);
  const found = new Map<string, ZipEntry>();
  for (const [i, file] of files.entries()) {
    const kind = opened[i]?.kind;
    const name = file.name.split('/').at(-1) ?? file.name;
    const standard =
      kind === 'tokenizer' ? 'tokenizer.json' : kind === 'tokenizer-config' ? 'tokenizer_config.json' : name;
    if (((kind && COPIED_KINDS.has(kind)) || COPIED_NAMES.includes(name)) && entryKey(standard) !== entryKey(CARD))
      found.set(entryKey(standard), { path: standard, blob: file });
  }
  return [...found.values()];
}

/** Text in a cell of a table: what would be markup is not. */
function plain(text: string): string {
  return text.replace(/[\\`*_{}[\]<>|#]/g, '\\$&').replace(/\s+/g, ' ');
}

/** @param names File names in the folder, by level. */
export function modelCard(report: Report, names: ReadonlyMap<string, string>): string {
  const { model, protocol, inputs } = report;
  const levels = report.levels.filter(({ level }) => names.has(level));
  const ofLevel = levelMetrics(protocol?.unit ?? 'token').flatMap((metric) =>
    metric.card && (metric.of === 'file' || protocol) ? [{ metric, place: metric.card }] : [],
  );
  const ofOutputs =
    protocol || !inputs
      ? []
      : outputMetrics().flatMap((metric) => (metric.card ? [{ metric, place: metric.card }] : []));
  const rows = levels.map((level) => [
    level.level,
    names.get(level.level) ?? level.file,
    ...ofLevel.map(({ metric, place }) => textOf(metric, readLevel(metric, level), place, STYLE)),
    ...ofOutputs.map(({ metric, place }) => outputText(metric, place, level)),
  ]);
  const heads = ['level', 'file', ...[...ofLevel, ...ofOutputs].map(({ metric, place }) => textHeading(metric, place))];
  const table = [heads, heads.map(() => '---'), ...rows.map((row) => row.map(plain))]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
  const how = protocol
    ? `Measured by the protocol of ${protocol.name} over ${protocol.tokens.toLocaleString('en')} tokens of ${plain(protocol.text)}, windows of ${protocol.context}, on ${protocol.provider}. ± is one standard error; divergence and top token are against fp16.`
    : inputs
      ? `Outputs against fp16 on ${inputs.samples} samples of ${inputs.kind === 'files' ? 'inputs from files' : 'random inputs'}, on ${inputs.provider}.`
      : 'Quality was not measured.';
  const split = levels.filter(({ data }) => data);
  return [
    '---',
    'library_name: transformers.js',
    'tags:',
    '- onnx',
    '---',
    '',
    `# ${plain(model.name.replace(/\.onnx$/i, ''))}, quantized`,
    '',
    `Made by Nibble from ${plain(model.name)} (${bytesInWords(model.bytes)}, ${model.parameters.toLocaleString('en')} parameters${model.fingerprint === undefined ? '' : `, fingerprint ${model.fingerprint}`}). Each file's metadata says the same.`,
    '',
    table,
    '',
    ...sharesOfOriginal(report, levels),
    how,
    ...(split.length > 0
      ? [
          '',
          `${split.map(({ level }) => plain(level)).join(', ')}: the weights are in a file beside the model (\`${dataFileName('….onnx')}\`); in transformers.js, set \`use_external_data_format\`.`,
        ]
      : []),
    ...(report.skipped ?? []).flatMap(({ level, error }) => [
      '',
      `${plain(level)} is not here: ${plain(error.message)}`,
    ]),
    ...report.notes.flatMap((note) => ['', plain(note)]),
    '',
  ].join('\n');
}

/** Sizes beside the file the levels are made of, where that is not the fp16 baseline itself. */
function sharesOfOriginal({ model, levels: all }: Report, levels: readonly LevelReport[]): string[] {
  if (all.every(({ baseline, bytes }) => !baseline || bytes === model.bytes)) return [];
  return [
    `Of the original's ${bytesInWords(model.bytes)}: ${levels.map(({ level, bytes }) => `${plain(level)} ${((100 * bytes) / model.bytes).toFixed(1)} %`).join(', ')}.`,
    '',
  ];
}

const STYLE: TextStyle = { none: '–', identical: 'exact', bytes: bytesInWords };

/** The worst of a level's outputs; of its signal-to-noise ratio which output that is. */
function outputText(metric: OutputMetric, place: Place, { baseline, outputs }: LevelReport): string {
  const worst = worstOutput(outputs ?? []);
  if (baseline || !outputs || !worst) return STYLE.none;
  const text = textOf(metric, readWorst(metric, outputs), place, STYLE);
  return metric.format === 'decibels' && worst.sqnr !== null ? `${text} (${worst.output})` : text;
}
