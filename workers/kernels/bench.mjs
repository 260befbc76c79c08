/**
 * How fast the kernels are on this machine: parameters a second, and the share of the speed of a plain copy of the same
 * bytes, both measured in turn. The fastest of a few runs counts; other programs disturb it least. Each backend has a
 * process of its own. `npm run bench`, or alone: `node workers/kernels/bench.mjs [SIDE] [BACKEND]`.
 */
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { runnerImport } from 'vite';

const load = async (file) =>
  (await runnerImport(fileURLToPath(new URL(file, import.meta.url)), { configFile: false, logLevel: 'error' })).module;

const SCRIPT = fileURLToPath(import.meta.url);
const RUNS = 5;
/** The reference is written to be read, not to be fast, and so is a GPU that the CPU plays: a smaller matrix tells their speed as well. */
const SLOW = { side: 512, runs: 2 };
/** Chromium's package brings a Vulkan loader and a software driver, which WebGPU in Node finds only through the environment. */
const CHROMIUM = '/usr/lib/chromium';
const SWIFTSHADER = `${CHROMIUM}/vk_swiftshader_icd.json`;

const SCHEMES = [
  ['int4', 4],
  ['int8', 8],
].flatMap(([kernel, bits]) =>
  [32, 128].flatMap((block) => [true, false].map((symmetric) => ({ kernel, bits, block, symmetric }))),
);

/**
 * Every backend on [K, N] matrices of `side` × `side`.
 * @param print Called with each row as it is measured.
 * @returns rows `{ kernel, source, block, symmetric, backend, threads, parametersPerSecond, ofMemoryCopy }`, and for each
 *   backend that was not measured why.
 */
export async function benchKernels({ side = 4096, threads = availableParallelism(), only }, print) {
  const lanes = [
    { backend: 'reference', threads: 1, ...SLOW },
    { backend: 'wasm', threads: 1, side, runs: RUNS },
    ...(threads > 1 ? [{ backend: 'wasm', threads, side, runs: RUNS }] : []),
    { backend: 'webgpu', threads: 1, side, runs: RUNS },
  ].filter(({ backend }) => !only || backend === only);
  const rows = [];
  const problems = [];
  for (const lane of lanes) {
    const problem = await inProcess(lane, (row) => {
      rows.push(row);
      print(row);
    });
    if (problem)
      problems.push(
        `${lane.backend}, ${lane.threads} ${lane.threads > 1 ? 'threads' : 'thread'}, was not measured: ${problem}`,
      );
  }
  return { rows, problems };
}

/** A driver that ends badly, as software ones do, then ends nothing but itself. Gives null, or what went wrong. */
function inProcess(lane, onRow) {
  const library = [process.env.LD_LIBRARY_PATH, CHROMIUM].filter(Boolean).join(':');
  const env =
    lane.backend === 'webgpu' && existsSync(`${CHROMIUM}/libvulkan.so.1`)
      ? { ...process.env, LD_LIBRARY_PATH: library }
      : process.env;
  const child = fork(SCRIPT, ['lane', JSON.stringify(lane)], { env });
  return new Promise((resolve) => {
    child.on('message', ({ row, done, problem }) => {
      if (row) onRow(row);
      if (done || problem) {
        resolve(problem ?? null);
        child.kill('SIGKILL');
      }
    });
    child.on('error', (error) => {
      resolve(String(error));
    });
    child.on('exit', (code, signal) => {
      resolve(`its process ended with ${signal ?? `exit code ${code}`}.`);
    });
  });
}

async function measureLane(lane, onRow) {
  const { toFloat16Array } = await load('../onnx/numbers/float16.ts');
  const made = await (lane.backend === 'webgpu'
    ? onGpu()
    : lane.threads > 1
      ? inThreads(lane.threads)
      : inPlace(lane.backend));
  const { side, runs } = made.software ? SLOW : lane;
  const float32 = weights(side * side);
  for (const [source, array] of Object.entries({ float32, float16: toFloat16Array(float32) })) {
    const matrix = { data: new Uint8Array(array.buffer), type: source, layout: 'kn', k: side, n: side };
    const target = new Uint8Array(matrix.data.length);
    await made.give(matrix);
    for (const { kernel, ...scheme } of SCHEMES) {
      let [copy, seconds] = [Infinity, Infinity];
      for (let run = 0; run < runs; run++) {
        copy = Math.min(copy, await time(() => target.set(matrix.data)));
        seconds = Math.min(seconds, await time(() => made.quantize(scheme)));
      }
      onRow({
        kernel,
        source,
        block: scheme.block,
        symmetric: scheme.symmetric,
        backend: lane.backend,
        threads: lane.threads,
        parametersPerSecond: Math.round((side * side) / seconds),
        ofMemoryCopy: Number((copy / seconds).toFixed(3)),
        side,
        ...(made.adapter && { adapter: made.adapter }),
      });
    }
  }
}

async function time(work) {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** Roughly normal, the same every time. */
function weights(count) {
  let state = 1;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: count }, () => (next() + next() + next() + next() - 2) * 0.03);
}

async function kernelOf(backend) {
  return backend === 'reference'
    ? (await load('reference.ts')).createReferenceKernel()
    : (await load('wasm/kernel.ts')).createWasmKernel();
}

async function inPlace(backend) {
  return around(await kernelOf(backend));
}

/** Codes go to memory that is used again, as where files are written. */
function around(kernel) {
  let matrix;
  let memory;
  return {
    give: (given) => {
      matrix = given;
    },
    async quantize(scheme) {
      memory = (await kernel.quantize(matrix, scheme, undefined, memory)).codes.buffer;
    },
  };
}

/** Each thread has a share of K, in whole pairs of the largest blocks, in memory of its own. */
async function inThreads(count) {
  const threads = Array.from({ length: count }, () => new Worker(new URL(import.meta.url)));
  const ask = (thread, message) =>
    new Promise((resolve, reject) => {
      const settle = (done) => (value) => {
        thread.off('message', onMessage).off('error', onError);
        done(value);
      };
      const onMessage = settle(resolve);
      const onError = settle(reject);
      thread.on('message', onMessage).on('error', onError);
      thread.postMessage(message);
    });
  const unit = 2 * Math.max(...SCHEMES.map(({ block }) => block));
  return {
    give: (matrix) =>
      Promise.all(
        threads.map((thread, index) => {
          const share = Math.ceil(matrix.k / unit / count) * unit;
          const from = Math.min(index * share, matrix.k);
          const k = Math.min(share, matrix.k - from);
          const row = matrix.data.length / matrix.k;
          return ask(thread, { matrix: { ...matrix, data: matrix.data.slice(from * row, (from + k) * row), k } });
        }),
      ),
    quantize: (scheme) => Promise.all(threads.map((thread) => ask(thread, { scheme }))),
  };
}

async function serveThread() {
  const made = around(await kernelOf('wasm'));
  parentPort.on('message', async ({ matrix, scheme }) => {
    if (matrix) made.give(matrix);
    else await made.quantize(scheme);
    parentPort.postMessage('done');
  });
}

/** WebGPU in Node, on a real adapter where there is one, else on the software driver that Chromium brings. */
async function onGpu() {
  if (
    !process.env.VK_ICD_FILENAMES &&
    existsSync(SWIFTSHADER) &&
    !existsSync('/dev/nvidia0') &&
    !existsSync('/dev/dri')
  )
    process.env.VK_ICD_FILENAMES = SWIFTSHADER;
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const { createWebGpuKernel } = await load('webgpu/kernel.ts');
  // Collected while its device is in use, it takes the process with it.
  const gpu = (globalThis.keptGpu = create([]));
  const made = await createWebGpuKernel(gpu);
  if (!made.ok) throw new Error(made.reason);
  return { ...around(made.kernel), adapter: made.adapter.name, software: made.adapter.softwareAdapter };
}

export function describeRow({
  kernel,
  source,
  block,
  symmetric,
  backend,
  threads,
  parametersPerSecond,
  ofMemoryCopy,
  adapter,
}) {
  return (
    `${`${backend}${adapter ? ` (${adapter.slice(0, 24)})` : `, ${threads} thread${threads > 1 ? 's' : ''}`}`.padEnd(20)} ${kernel} from ${source}, block ${String(block).padStart(3)}, ${(symmetric ? 'symmetric' : 'asymmetric').padEnd(10)} ` +
    `${(parametersPerSecond / 1e9).toFixed(3)} G parameters/s, ${ofMemoryCopy.toFixed(2)} of a copy`
  );
}

if (!isMainThread) await serveThread();
else if (process.argv[2] === 'lane' && process.send) {
  const tell = (message) =>
    new Promise((resolve) => {
      process.send(message, resolve);
    });
  try {
    await measureLane(JSON.parse(process.argv[3]), (row) => {
      void tell({ row });
    });
    await tell({ done: true });
  } catch (thrown) {
    await tell({ problem: String(thrown?.message ?? thrown).slice(0, 200) });
  }
} else if (process.argv[1] === SCRIPT) {
  const { problems } = await benchKernels({ side: Number(process.argv[2] ?? 4096), only: process.argv[3] }, (row) => {
    console.log(describeRow(row));
  });
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
