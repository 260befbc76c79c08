/** `nibble compare`: the page's pipeline on the command line, for scripts and CI. */
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { engineError, fail, settle, toEngineError } from '../errors.ts';
import { sortFiles } from '../files.ts';
import { openBeside, openCompanions, openFile } from './open-file.ts';
import { writeZip } from './write-zip.ts';
import { createWasmKernel } from '../kernels/wasm/kernel.ts';
import { compare, plan } from '../pipeline.ts';
import type { EngineError, EngineEvent, LevelRequest, Report, Target, Written } from '../protocol.ts';
import { formatLevel } from '../schemes/level.ts';
import { readArguments, USAGE, type Arguments } from './arguments.ts';
import { createNodeEvaluator } from '../evaluate/evaluator.node.ts';
import { fileSink } from './file-sink.ts';
import { listenForInterrupts, type Interrupts } from './interrupts.ts';
import { printProgress } from './progress.ts';
import { createNodeSpeedMeter } from './speed-meter.ts';
import { sizeHints } from './size-hints.ts';
import { reportTable } from './table.ts';

/** Warnings that mean something asked for was not done; others are remarks. */
const asked = (warning: EngineError, { tokenizer, text }: Arguments): boolean =>
  warning.code === 'no-tokenizer' ? text !== null && tokenizer !== null
    : warning.code === 'no-text' ? text !== null
      : warning.code === 'not-a-language-model' || warning.code === 'inputs-unknown' ? tokenizer !== null && text !== null
        : true;

async function main(argv: readonly string[]): Promise<number> {
  const parsed = readArguments(argv);
  if (parsed.kind === 'help') {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  if (parsed.kind === 'wrong') {
    complain(parsed.error);
    return 2;
  }
  const interrupt = listenForInterrupts(process, process.stderr);
  const result = await settle(() => run(parsed.arguments, interrupt));
  if (result.ok) return result.value;
  complain(result.error);
  return result.error.code === 'cancelled' ? 130 : 1;
}

async function run(given: Arguments, interrupt: Interrupts): Promise<number> {
  const model = await openFile(given.model);
  const beside = await openBeside(given.model, model);
  const files = [model, ...beside.map(({ file }) => file)];
  const problems: EngineError[] = [];
  if (given.tokenizer !== null) {
    const tokenizer = await openFile(given.tokenizer);
    const { tokenizer: found, files: [opened] } = await sortFiles([tokenizer]);
    if (found) files.push(tokenizer);
    else problems.push(opened?.problem ?? engineError('tokenizer-invalid', `${given.tokenizer} is not a tokenizer.json.`, 'Give the tokenizer.json that came with the model.'));
    const config = given.tokenizerConfig ?? join(dirname(given.tokenizer), 'tokenizer_config.json');
    if (given.tokenizerConfig !== null || await exists(config)) files.push(await openFile(config));
  }
  // What is given as text is text, whatever it is called.
  if (given.text !== null) files.push(new File([await openFile(given.text)], `${basename(given.text).replace(/\.txt$/i, '')}.txt`));
  for (const path of given.inputs) {
    const input = await openFile(path);
    const { inputs, files: [opened] } = await sortFiles([input]);
    if (inputs.length > 0) files.push(input);
    else problems.push(opened?.problem ?? engineError('input-invalid', `${path} is nothing a model can be run on.`, 'Give a .npy file, a TensorProto (.pb) or JSON of numbers.'));
  }
  const levels = given.target === null ? given.levels : await onTarget(given.target, given.levels, files, problems);
  // Before a long run, not after it.
  if (!given.quiet) for (const hint of sizeHints(levels, await plan(files, levels).catch(() => []))) process.stderr.write(`${hint}\n`);
  const progress = given.quiet ? null : printProgress(process.stderr);
  const models = new Map<string, Written>();
  const onEvent = (event: EngineEvent) => {
    if (event.type === 'warning') problems.push(event.error);
    if (event.type === 'written') models.set(event.level, event);
    if (event.type === 'progress' && event.stage === 'measure') interrupt.measuring();
    progress?.show(event);
  };
  const temporary = given.out === null ? await mkdtemp(join(tmpdir(), 'nibble-')) : null;
  const folder = given.out ?? temporary ?? '.';
  let report: Report;
  try {
    await mkdir(folder, { recursive: true }).catch((thrown: unknown) => fail('write-failed', `The folder ${folder} cannot be made.`, 'Choose another --out folder.', String(thrown)));
    report = await compare({ files, levels, maxTokens: given.tokens, ...(given.protocol && { protocol: given.protocol }), extras: given.extras }, {
      kernel: () => createWasmKernel(),
      sink: (name, source, { external }) => fileSink(join(folder, name), source, given.model, external, beside.map(({ path }) => path)),
      evaluator: createNodeEvaluator(),
      speedMeter: createNodeSpeedMeter(new URL('./speed-worker.mjs', import.meta.url)),
      threads: given.threads ?? Math.min(8, availableParallelism()),
    }, onEvent, interrupt.stop, interrupt.finish);
    if (given.zip !== null) await writeZip(given.zip, { files: [...files, ...await openCompanions([given.model, ...(given.tokenizer === null ? [] : [given.tokenizer])])], report, models: [...models].map(([level, { file, blob, data }]) => ({ level, file, blob, ...(data && { data }) })) }, interrupt.stop);
  } finally {
    progress?.end();
    if (temporary !== null) await rm(temporary, { recursive: true, force: true });
  }
  const json = `${JSON.stringify(report, null, 2)}\n`;
  if (given.json !== null && given.json !== '-') {
    await writeFile(given.json, json).catch((thrown: unknown) => fail('write-failed', `${given.json ?? ''} cannot be written.`, 'Check that its folder exists and may be written to.', String(thrown)));
  }
  process.stdout.write(given.json === '-' ? json : reportTable(report));
  const { protocol } = report;
  if (protocol?.stoppedEarly) process.stderr.write(`Finished early: ${protocol.chunks} of ${protocol.plannedChunks ?? '?'} windows were run; the report is of those and says so.\n`);
  problems.forEach(complain);
  return problems.some((problem) => asked(problem, given)) ? 1 : 0;
}

/** The levels that run on a target; why the others do not goes to `problems`. */
async function onTarget(target: Target, levels: readonly LevelRequest[], files: readonly File[], problems: EngineError[]): Promise<LevelRequest[]> {
  const plans = await plan(files, levels);
  return levels.filter((level, i) => {
    const refused = plans[i]?.notOn?.find((entry) => entry.target === target);
    if (refused) problems.push(engineError('level-invalid', `${formatLevel(level)} is left out, as it is nothing for ${target}. ${refused.reason}`, 'Choose another level, or another --target.'));
    return !refused;
  });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}

function complain({ message, action, details, code }: EngineError): void {
  process.stderr.write(`${message} ${action}\n${code === 'internal' && details !== '' ? `${details}\n` : ''}`);
}

const status = await main(process.argv.slice(2)).catch((thrown: unknown) => {
  complain(toEngineError(thrown));
  return 1;
});
// onnxruntime's threads would keep the process alive; what was printed has to be out before it ends.
process.stdout.write('', () => process.exit(status));
