/**
 * How fast the kernels are on this machine: parameters a second, and the share of the speed of a plain copy of the same
 * bytes. The fastest of a few runs counts; other programs disturb it least. `npm run bench`, or alone:
 * `node workers/kernels/bench.mjs [K] [N]`.
 */
import { availableParallelism } from 'node:os';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { runnerImport } from 'vite';

const load = async (file) => (await runnerImport(fileURLToPath(new URL(file, import.meta.url)), { configFile: false, logLevel: 'error' })).module;

const RUNS = 5;
/** The reference is written to be read, not to be fast: a smaller matrix tells its speed as well. */
const REFERENCE_SIDE = 512;
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

const SCHEMES = [['int4', 4], ['int8', 8]].flatMap(([kernel, bits]) =>
  [32, 128].flatMap((block) => [true, false].map((symmetric) => ({ kernel, bits, block, symmetric }))));

/** Roughly normal, the same every time. */
function weights(count) {
  let state = 1;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: count }, () => (next() + next() + next() + next() - 2) * 0.03);
}

/** Seconds of the fastest run. */
async function fastest(work, runs = RUNS) {
  let best = Infinity;
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    await work();
    best = Math.min(best, performance.now() - start);
  }
  return best / 1000;
}

/** Bytes in shared memory, so that threads see the same ones. */
function shared(array) {
  const bytes = new Uint8Array(new SharedArrayBuffer(array.byteLength));
  bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return bytes;
}

/** @param print Called with each row as it is measured. */
export async function benchKernels({ k, n, threads = availableParallelism() }, print) {
  const { createWasmKernel } = await load('wasm/kernel.ts');
  const { createReferenceKernel } = await load('reference.ts');
  const { toFloat16Array } = await load('../onnx/float16.ts');
  const float32 = weights(k * n);
  const sources = { float32: shared(float32), float16: shared(toFloat16Array(float32)) };
  const rows = [];
  const gpu = await dawn();
  const lanes = [
    { backend: 'reference', threads: 1, side: REFERENCE_SIDE, runs: 2, ...await inPlace(createReferenceKernel()) },
    { backend: 'wasm', threads: 1, runs: RUNS, ...await inPlace(await createWasmKernel()) },
    { backend: 'wasm', threads, runs: RUNS, ...await inThreads(threads) },
    ...(gpu.kernel ? [{ backend: `webgpu (${gpu.adapter})`, threads: 1, runs: 2, ...await inPlace(gpu.kernel) }] : []),
  ];
  for (const [source, data] of Object.entries(sources)) {
    for (const lane of lanes) {
      const side = lane.side && Math.min(lane.side, k, n);
      const matrix = side ? { data: data.subarray(0, side * side * (data.length / (k * n))), type: source, layout: 'kn', k: side, n: side } : { data, type: source, layout: 'kn', k, n };
      const target = new Uint8Array(matrix.data.length);
      const copy = await fastest(() => target.set(matrix.data));
      for (const { kernel, ...scheme } of SCHEMES) {
        const seconds = await fastest(() => lane.quantize(matrix, scheme), lane.runs);
        const row = {
          kernel, source, block: scheme.block, symmetric: scheme.symmetric, backend: lane.backend, threads: lane.threads,
          parametersPerSecond: Math.round((matrix.k * matrix.n) / seconds), ofMemoryCopy: Number((copy / seconds).toFixed(3)),
        };
        rows.push(row);
        print(row);
      }
    }
  }
  for (const lane of lanes) lane.end();
  return { rows, webgpu: gpu.kernel ? null : gpu.reason };
}

async function inPlace(kernel) {
  return { quantize: (matrix, scheme) => kernel.quantize(matrix, scheme), end: () => { kernel.dispose(); } };
}

/** Each thread takes a share of K, in whole pairs of blocks. */
async function inThreads(count) {
  const workers = await Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { argv: ['thread'] });
    worker.once('message', () => { resolve(worker); });
    worker.once('error', reject);
  })));
  return {
    quantize(matrix, scheme) {
      const unit = 2 * scheme.block;
      const share = Math.ceil(matrix.k / unit / count) * unit;
      const row = matrix.data.length / matrix.k;
      return Promise.all(workers.map((worker, index) => new Promise((resolve) => {
        const from = Math.min(index * share, matrix.k);
        const rows = Math.min(share, matrix.k - from);
        worker.once('message', resolve);
        worker.postMessage({ matrix: { ...matrix, data: matrix.data.subarray(from * row, (from + rows) * row), k: rows }, scheme });
      })));
    },
    end: () => { for (const worker of workers) void worker.terminate(); },
  };
}

/** WebGPU in Node, on a real adapter where there is one, else on the software driver that Chromium brings. */
async function dawn() {
  try {
    if (!process.env.VK_ICD_FILENAMES && existsSync(SWIFTSHADER) && !existsSync('/dev/nvidia0') && !existsSync('/dev/dri')) process.env.VK_ICD_FILENAMES = SWIFTSHADER;
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    const { createWebGpuKernel } = await load('webgpu/kernel.ts');
    const made = await createWebGpuKernel(create([]));
    return made.ok ? { kernel: made.kernel, adapter: made.adapter.name } : { kernel: null, reason: made.reason };
  } catch (thrown) {
    return { kernel: null, reason: String(thrown).slice(0, 200) };
  }
}

export function describeRow({ kernel, source, block, symmetric, backend, threads, parametersPerSecond, ofMemoryCopy }) {
  return `${`${backend}, ${threads} thread${threads > 1 ? 's' : ''}`.padEnd(22)} ${kernel} from ${source}, block ${String(block).padStart(3)}, ${(symmetric ? 'symmetric' : 'asymmetric').padEnd(10)} `
    + `${(parametersPerSecond / 1e9).toFixed(3)} G parameters/s, ${ofMemoryCopy.toFixed(2)} of a copy`;
}

async function serve() {
  const { parentPort } = await import('node:worker_threads');
  const { createWasmKernel } = await load('wasm/kernel.ts');
  const kernel = await createWasmKernel();
  parentPort.on('message', async ({ matrix, scheme }) => {
    if (matrix.k > 0) await kernel.quantize(matrix, scheme);
    parentPort.postMessage('done');
  });
  parentPort.postMessage('ready');
}

if (process.argv[2] === 'thread') await serve();
else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const k = Number(process.argv[2] ?? 4096);
  const { webgpu } = await benchKernels({ k, n: Number(process.argv[3] ?? k) }, (row) => { console.log(describeRow(row)); });
  if (webgpu) console.log(`WebGPU was not measured: ${webgpu}`);
}
