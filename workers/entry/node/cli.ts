/** `nibble compare` and `nibble quantize`: the page's pipeline on the command line, for scripts and CI. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { engineError, settle, toEngineError } from '../../contract/errors.ts';
import { classifyFiles } from '../../io/classify-files.ts';
import { createWasmKernel } from '../../kernels/wasm/kernel.ts';
import type { Platform } from '../../pipeline/job-context.ts';
import { compare } from '../../pipeline/pipeline.ts';
import { plan } from '../../pipeline/preview.ts';
import type { EngineError } from '../../contract/errors.ts';
import type { EngineEvent, Written } from '../../contract/events.ts';
import type { Job, LevelRequest } from '../../contract/job.ts';
import type { Report } from '../../contract/report.ts';
import type { Target } from '../../contract/level-plan.ts';
import { formatLevel } from '../../contract/levels/level.ts';
import { shown, shownText } from '../../lib/shown.ts';
import { createWorkerPool } from '../../quantize/worker-pool.ts';
import { readOpened } from './files/read-opened.ts';
import { startThread } from './start-thread.ts';
import { readArguments, USAGE, type Arguments, type Command } from './arguments.ts';
import { createNodeEvaluator, nodeRuntime } from '../../evaluate/evaluator.node.ts';
import { fileSink, sourceItself } from './files/file-sink.ts';
import { listenForInterrupts, type Interrupts } from './interrupts.ts';
import { isFile, openBeside, openCompanions, openFile, type FoundFile } from './files/open-file.ts';
import { isStream, makeFolder, protectInputs, type Output } from './files/output-paths.ts';
import { printProgress } from './printing/progress.ts';
import { createNodeSpeedMeter } from './speed-meter.ts';
import { sizeHints } from './printing/size-hints.ts';
import { ignoreErrorEvents, PIPE_CLOSED, print } from './files/standard-streams.ts';
import { reportTable } from './printing/table.ts';
import { removeAtExit } from './files/whole-file.ts';
import { writeText, writeZip } from './files/write-file.ts';

/** Of kernel workers; more wait for the file to be written. */
const MOST_KERNEL_THREADS = 8;

/** Warnings that mean something asked for was not done; others are remarks. */
const asked = (warning: EngineError, { tokenizer, text }: Arguments): boolean =>
  warning.code === 'no-tokenizer'
    ? text !== null && tokenizer !== null
    : warning.code === 'no-text'
      ? text !== null
      : warning.code === 'not-a-language-model' || warning.code === 'inputs-unknown'
        ? tokenizer !== null && text !== null
        : true;

async function main(argv: readonly string[]): Promise<number> {
  const parsed = readArguments(argv);
  if (parsed.kind === 'help') return (await print(process.stdout, `${USAGE}\n`)) ? 0 : PIPE_CLOSED;
  if (parsed.kind === 'wrong') {
    await complain(parsed.error);
    return 2;
  }
  const interrupt = listenForInterrupts(process, process.stderr);
  const result = await settle(() => run(parsed.kind, parsed.arguments, interrupt));
  if (result.ok) return result.value;
  await complain(result.error);
  return result.error.code === 'cancelled' ? interrupt.status() : 1;
}

/** All files that are read, with their paths, and what is wrong with those that cannot be used. */
interface Given {
  model: File;
  files: File[];
  text: File | null;
  calibration: File | null;
  /** For the folder of the Hub. */
  companions: File[];
  paths: string[];
  problems: EngineError[];
}

async function openAll(given: Arguments): Promise<Given> {
  const model = await openFile(given.model);
  const beside = await openBeside(given.model, model);
  const found: FoundFile[] = [{ file: model, path: given.model }, ...beside];
  const problems: EngineError[] = [];
  if (given.tokenizer !== null) {
    const tokenizer = { file: await openFile(given.tokenizer), path: given.tokenizer };
    const {
      tokenizer: isOne,
      files: [opened],
    } = await classifyFiles([tokenizer.file]);
    if (isOne) found.push(tokenizer);
    else
      problems.push(
        opened?.problem ??
          engineError(
            'tokenizer-invalid',
            `${shown(given.tokenizer)} is not a tokenizer.json.`,
            'Give the tokenizer.json that came with the model.',
          ),
      );
    const config = given.tokenizerConfig ?? join(dirname(given.tokenizer), 'tokenizer_config.json');
    if (given.tokenizerConfig !== null || (await isFile(config)))
      found.push({ file: await openFile(config), path: config });
  }
  const text = given.text === null ? null : { file: await openFile(given.text), path: given.text };
  const calibration =
    given.calibrate === null ? null : { file: await openFile(given.calibrate), path: given.calibrate };
  for (const path of given.inputs) {
    const input = await openFile(path);
    const {
      inputs,
      files: [opened],
    } = await classifyFiles([input]);
    if (inputs.length > 0) found.push({ file: input, path });
    else
      problems.push(
        opened?.problem ??
          engineError(
            'input-invalid',
            `${shown(path)} is nothing a model can be run on.`,
            'Give a .npy file, a TensorProto (.pb) or JSON of numbers.',
          ),
      );
  }
  const companions =
    given.zip === null
      ? []
      : await openCompanions([given.model, ...(given.tokenizer === null ? [] : [given.tokenizer])]);
  return {
    model,
    problems,
    text: text?.file ?? null,
    calibration: calibration?.file ?? null,
    files: found.map(({ file }) => file),
    companions: companions.map(({ file }) => file),
    // What could not be used was named all the same.
    paths: [...found, ...companions, ...(text ? [text] : []), ...(calibration ? [calibration] : [])]
      .map(({ path }) => path)
      .concat(given.tokenizer ?? [], given.inputs),
  };
}

async function run(command: Command, given: Arguments, interrupt: Interrupts): Promise<number> {
  const { model, files, text, calibration, companions, paths, problems } = await openAll(given);
  const outputs = await protectInputs(paths);
  const reports: Output[] = [
    ...(given.json === null || given.json === '-'
      ? []
      : [{ path: given.json, role: '--json', stream: await isStream(given.json) }]),
    ...(given.zip === null ? [] : [{ path: given.zip, role: '--zip' }]),
  ];
  // The folder of --out, which they may lie in, is not made yet.
  await outputs.check(reports, false);
  const levels = given.target === null ? given.levels : await onTarget(given.target, given.levels, files, problems);
  // Before a long run, not after it.
  if (!given.quiet)
    for (const hint of sizeHints(levels, await plan(files, levels).catch(() => []))) process.stderr.write(`${hint}\n`);
  const progress = given.quiet ? null : printProgress(process.stderr);
  const models = new Map<string, Written>();
  const hashes = new Map<string, string>();
  const onEvent = (event: EngineEvent) => {
    // Of a skipped level the report speaks.
    if (event.type === 'warning') problems.push(event.error);
    if (event.type === 'written') models.set(event.level, event);
    if (event.type === 'progress' && event.stage === 'measure') interrupt.measuring();
    progress?.show(event);
  };
  const temporary = given.out === null ? await mkdtemp(join(tmpdir(), 'nibble-')) : null;
  const leftover = temporary === null ? null : removeAtExit(temporary);
  const folder = given.out ?? temporary ?? '.';
  const made = await makeFolder(folder);
  const job: Job = {
    files,
    levels,
    maxTokens: given.tokens,
    ...(text && { text }),
    ...(calibration && { calibration }),
    ...(given.protocol && { protocol: given.protocol }),
    extras: given.extras,
    ...(!given.measure && { measure: false }),
  };
  /** The level that is the model as it is, in the model's own place. */
  const inPlace = new Set<string>();
  const pool = createWorkerPool(Math.min(MOST_KERNEL_THREADS, availableParallelism()), {
    inOrder: readOpened,
    start: () => startThread(new URL('./quantize-thread.mjs', import.meta.url)),
    workersRead: false,
  });
  const surroundings: Platform = {
    kernel: () => createWasmKernel(),
    pool,
    reader: { warm: () => undefined, inOrder: readOpened, dispose: () => undefined },
    async checkFreeSpace(planned) {
      const all = planned.map(({ name, bytes, madeBytes }) => ({
        path: join(folder, name),
        role: `Level file ${shown(name)}`,
        isModel: madeBytes === 0 && bytes === model.size,
      }));
      for (const { path, isModel } of all) if (isModel && (await outputs.isSame(path, given.model))) inPlace.add(path);
      await outputs.check([...reports, ...all.filter(({ path }) => !inPlace.has(path))]);
    },
    sink: (name, source, { external, inOrder }) => {
      const path = join(folder, name);
      if (inPlace.has(path)) return Promise.resolve(sourceItself(path, source));
      return fileSink(path, source, {
        external,
        inOrder,
        ...(command === 'quantize' &&
          given.json !== null && {
            onHash: (sha256: string) => {
              hashes.set(name, sha256);
            },
          }),
      });
    },
    evaluator: createNodeEvaluator(),
    openRuntime: (threads) => Promise.resolve({ ok: true, value: nodeRuntime(threads) }),
    speedMeter: createNodeSpeedMeter(new URL('./speed-worker.mjs', import.meta.url)),
    threads: given.threads ?? Math.min(8, availableParallelism()),
  };
  let report: Report;
  try {
    report = withHashes(await compare(job, surroundings, onEvent, interrupt.stop, interrupt.finish), hashes);
    if (given.zip !== null)
      await writeZip(
        given.zip,
        {
          files: [...files, ...companions],
          report,
          models: [...models].map(([level, { file, blob, data }]) => ({ level, file, blob, ...(data && { data }) })),
        },
        interrupt.stop,
      );
  } catch (thrown) {
    await made.undo();
    throw thrown;
  } finally {
    pool.dispose();
    progress?.end();
    if (temporary !== null) await rm(temporary, { recursive: true, force: true });
    leftover?.keep();
  }
  const json = asJson(report);
  if (given.json !== null && given.json !== '-') await writeText(given.json, json);
  const isRead = await print(process.stdout, given.json === '-' ? json : reportTable(report));
  const { protocol } = report;
  if (protocol?.stoppedEarly)
    await print(
      process.stderr,
      `Finished early: ${protocol.chunks} of ${protocol.plannedChunks ?? '?'} windows were run; the report is of those and says so.\n`,
    );
  for (const problem of problems) await complain(problem);
  if (!isRead) return PIPE_CLOSED;
  return problems.some((problem) => asked(problem, given)) ? 1 : 0;
}

function withHashes(report: Report, hashes: ReadonlyMap<string, string>): Report {
  return {
    ...report,
    levels: report.levels.map((level) => {
      const sha256 = hashes.get(level.file);
      const ofData = level.data && hashes.get(level.data.file);
      return {
        ...level,
        ...(sha256 !== undefined && { sha256 }),
        ...(level.data && { data: { ...level.data, ...(ofData !== undefined && { sha256: ofData }) } }),
      };
    }),
  };
}

/** What a terminal would act on is escaped, which JSON allows. */
function asJson(report: Report): string {
  const json = JSON.stringify(report, null, 2).replace(/[\p{Cf}\u007f-\u009f\u2028\u2029]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
  return `${json}\n`;
}

/** The levels that run on a target; why the others do not goes to `problems`. */
async function onTarget(
  target: Target,
  levels: readonly LevelRequest[],
  files: readonly File[],
  problems: EngineError[],
): Promise<LevelRequest[]> {
  const plans = await plan(files, levels);
  return levels.filter((level, i) => {
    const refused = plans[i]?.notOn?.find((entry) => entry.target === target);
    if (refused)
      problems.push(
        engineError(
          'level-invalid',
          `Skipped ${shown(formatLevel(level))}: ${refused.reason}`,
          'Choose another level, or another --target.',
        ),
      );
    return !refused;
  });
}

/** Codes whose sentence says it all: what a runtime or the system answered is not worth a line. */
const WITHOUT_DETAILS: ReadonlySet<EngineError['code']> = new Set([
  'usage',
  'file-unreadable',
  'cancelled',
  'write-failed',
]);

async function complain({ message, action, details, code }: EngineError): Promise<void> {
  const lines = [
    `${message} ${action}`.trim(),
    ...(details === '' || WITHOUT_DETAILS.has(code)
      ? []
      : shownText(details)
          .split('\n')
          .map((line) => `  ${line}`)),
  ];
  await print(process.stderr, `${shownText(lines.join('\n'), LONGEST_COMPLAINT)}\n`).catch(() => false);
}

const LONGEST_COMPLAINT = 8000;

ignoreErrorEvents(process.stdout, process.stderr);
const status = await main(process.argv.slice(2)).catch(async (thrown: unknown) => {
  await complain(toEngineError(thrown));
  return 1;
});
// onnxruntime's threads would keep the process alive; all that was printed is out.
process.exit(status);
