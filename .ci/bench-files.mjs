/**
 * Whole file to whole file in a tab: the built page's engine is given a model of GPT-2's shapes and one level, and what
 * it takes is written down, by stage: time until the level is written, the kernels' own share of it, and the most memory
 * that the browser's processes had above what they began with.
 */
import { createWriteStream, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { preview, runnerImport } from 'vite';
import { chromiumFlags, requireChromium } from './chromium.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const SAMPLE_EVERY_MS = 40;
/** What kernels note of each piece of work in the browser's timeline: see workers/kernels/wasm/kernel.ts. */
const KERNEL_MEASURE = 'nibble:quantize';

/**
 * The first run of a level goes on to measuring outputs and watches memory; the others end when the level is written,
 * and the fastest gives the times.
 * @param {{ layers?: number, levels?: { id: string, settings: object }[], runs?: number }} options
 * @returns rows `{ file, bytes, seconds, peakBytes, stages, … }`, times in seconds. `seconds` and `peakBytes` are of opening
 *   and quantizing, which is what other quantizers do; `stages` and `stagePeaks` have measuring as well.
 */
export async function benchFiles(
  {
    layers = 12,
    levels = [
      { id: 'int4', settings: {} },
      { id: 'int8', settings: {} },
    ],
    runs = 3,
  },
  print,
) {
  const {
    module: { GPT2_SHAPE, largeModel },
  } = await runnerImport(join(root, 'models/large.ts'), { configFile: false, logLevel: 'error' });
  const folder = mkdtempSync(join(tmpdir(), 'nibble-bench-'));
  const path = join(folder, 'model.onnx');
  await pipeline(Readable.from(largeModel({ ...GPT2_SHAPE, layers })), createWriteStream(path));
  const server = await preview({ root, logLevel: 'error', preview: { port: 0 } });
  const rows = [];
  try {
    for (const level of levels) {
      const address = server.resolvedUrls.local[0];
      const whole = await once(address, folder, level, { toTheEnd: true });
      const timed = [];
      for (let run = 0; run < runs; run++) timed.push(await once(address, folder, level, { toTheEnd: false }));
      const best = timed.sort((a, b) => a.seconds - b.seconds)[0];
      const { stagePeaks } = whole;
      const row = {
        file: `gpt2-shaped-${layers}`,
        level: level.id,
        bytes: statSync(path).size,
        backend: best.backend,
        seconds: best.seconds,
        peakBytes: stagePeaks && Math.max(stagePeaks.open, stagePeaks.quantize),
        stages: { ...best.stages, measure: whole.stages.measure },
        stagePeaks,
        threads: best.threads,
        kernelSeconds: best.kernelSeconds,
      };
      rows.push(row);
      print(row);
    }
  } finally {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
}

async function once(address, folder, level, { toTheEnd }) {
  // A profile of its own, on the disk: nothing is stored by the run before, and without one Chromium keeps files in memory.
  const profile = mkdtempSync(join(tmpdir(), 'nibble-bench-profile-'));
  // The content policy is put aside for the calls of this file.
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: requireChromium(),
    args: chromiumFlags({ webgpu: false }),
    ignoreDefaultArgs: ['--disable-gpu'],
    bypassCSP: true,
  });
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    await page.goto(address);
    // What the page does when it is opened is done.
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.waitForLoadState('networkidle');
    await page.addScriptTag({ path: join(root, 'node_modules/comlink/dist/umd/comlink.js') });
    const worker = readdirSync(join(root, 'dist/assets')).find((file) => /^engine\.worker.*\.js$/.test(file));
    await page.evaluate(() => {
      const input = document.createElement('input');
      input.type = 'file';
      input.id = 'bench-file';
      document.body.append(input);
    });
    await page.setInputFiles('#bench-file', join(folder, 'model.onnx'));
    const { backend, cores } = await page.evaluate(async (script) => {
      window.engine = window.Comlink.wrap(new Worker(script, { type: 'module' }));
      const { backend } = await window.engine.capabilities();
      return { backend, cores: navigator.hardwareConcurrency };
    }, `/assets/${worker}`);
    const memory = toTheEnd ? watchMemory() : null;
    await page.exposeFunction('benchStage', (stage) => {
      memory?.stage(stage);
    });
    const timeline = toTheEnd ? null : await record(context, page);
    const stages = await page.evaluate(runJob, { level: { key: level.id, ...level }, toTheEnd });
    const stagePeaks = memory?.stop();
    const kernelSeconds = await timeline?.();
    return {
      backend,
      threads: backend === 'wasm' ? Math.min(8, cores) : 1,
      seconds: stages.open + stages.quantize,
      stages,
      stagePeaks,
      kernelSeconds,
    };
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** In the page: seconds of each stage, as the events tell where one ends. */
async function runJob({ level, toTheEnd }) {
  const file = document.querySelector('#bench-file').files[0];
  const { port1, port2 } = new MessageChannel();
  const began = performance.now();
  const at = {};
  let stage = 'open';
  await window.benchStage(stage);
  const enter = (next) => {
    if (next === stage) return;
    at[stage] = performance.now();
    stage = next;
    void window.benchStage(next);
  };
  let sawWritten;
  const written = new Promise((resolve) => {
    sawWritten = resolve;
  });
  port1.onmessage = ({ data }) => {
    const { event } = data;
    if (event?.type === 'progress' && event.stage === 'quantize') enter('quantize');
    if (event?.type === 'written' && event.level === level.key) {
      enter('measure');
      sawWritten();
    }
  };
  const job = window.engine.compare(
    { files: [file], levels: [level], maxTokens: null },
    window.Comlink.transfer(port2, [port2]),
  );
  await Promise.race([
    written,
    job.then((result) => {
      if (!result.ok) throw new Error(result.error.message);
    }),
  ]);
  if (!toTheEnd) await window.engine.cancel();
  const result = await job;
  if (toTheEnd && !result.ok) throw new Error(result.error.message);
  const seconds = { open: (at.open - began) / 1000, quantize: (at.quantize - at.open) / 1000 };
  return toTheEnd ? { ...seconds, measure: (performance.now() - at.quantize) / 1000 } : seconds;
}

/** Records the timeline of all threads; what is returned ends it and gives the seconds kernels worked, all threads together. */
async function record(context, page) {
  const session = await context.newCDPSession(page);
  const events = [];
  session.on('Tracing.dataCollected', ({ value }) => {
    events.push(...value);
  });
  await session.send('Tracing.start', {
    traceConfig: { includedCategories: ['blink.user_timing'] },
    transferMode: 'ReportEvents',
  });
  return async () => {
    const complete = new Promise((resolve) => {
      session.once('Tracing.tracingComplete', resolve);
    });
    await session.send('Tracing.end');
    await complete;
    return kernelSeconds(events);
  };
}

/** A measure is a pair of events that begin and end it. */
function kernelSeconds(events) {
  const own = events.filter(({ name }) => name === KERNEL_MEASURE);
  const sum = (phase) => own.filter(({ ph }) => ph === phase).reduce((total, { ts }) => total + ts, 0);
  if (own.length === 0) throw new Error('the kernels noted nothing in the timeline');
  return (sum('e') - sum('b')) / 1e6;
}

/** By stage, the most bytes that the processes below this one hold above what they held at the start; shared ones count once. */
function watchMemory() {
  if (process.platform !== 'linux') return { stage() {}, stop: () => null };
  const before = held();
  const peaks = {};
  let stage = 'open';
  const sample = () => {
    peaks[stage] = Math.max(peaks[stage] ?? 0, held() - before);
  };
  const timer = setInterval(sample, SAMPLE_EVERY_MS);
  return {
    stage(next) {
      sample();
      stage = next;
    },
    stop() {
      clearInterval(timer);
      sample();
      return peaks;
    },
  };
}

/** Bytes of their own (not of files they map) of all descendants of this process. */
function held() {
  const parents = new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => {
        const stat = read(`/proc/${pid}/stat`);
        return stat === '' ? [] : [[Number(pid), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])]];
      }),
  );
  const isOurs = (pid) =>
    pid !== undefined && (parents.get(pid) === process.pid || (pid > 1 && isOurs(parents.get(pid))));
  return [...parents.keys()].filter(isOurs).reduce((sum, pid) => {
    const rollup = read(`/proc/${pid}/smaps_rollup`);
    return (
      sum +
      ['Pss_Anon', 'Pss_Shmem'].reduce(
        (bytes, key) => bytes + 1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(rollup)?.[1] ?? 0),
        0,
      )
    );
  }, 0);
}

/** Empty for a process that has just ended. */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

export function describeFile({
  file,
  level,
  backend,
  bytes,
  seconds,
  peakBytes,
  stages,
  stagePeaks,
  threads,
  kernelSeconds,
}) {
  const mebibytes = (amount) => `${(amount / 2 ** 20).toFixed(0)} MiB`;
  const parts = Object.entries(stages)
    .map(
      ([stage, took]) => `${stage} ${took.toFixed(2)} s${stagePeaks ? `, ${mebibytes(stagePeaks[stage] ?? 0)}` : ''}`,
    )
    .join('; ');
  const own = kernelSeconds / threads;
  return (
    `${file}, ${(bytes / 1e6).toFixed(0)} MB to ${level} on ${backend}: written after ${seconds.toFixed(2)} s, ${peakBytes === null ? 'memory unknown' : `${mebibytes(peakBytes)} at most`} (${parts}); ` +
    `kernels ${own.toFixed(2)} s on each of ${threads} thread${threads > 1 ? 's' : ''}, quantizing takes ${(stages.quantize / own).toFixed(2)} of that`
  );
}
