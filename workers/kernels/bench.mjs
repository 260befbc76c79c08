/**
 * Prints how fast the SIMD kernel is on this machine, one thread, beside a plain copy of the same bytes:
 * `node workers/kernels/bench.mjs [K] [N]`.
 */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const load = async (file) => (await runnerImport(fileURLToPath(new URL(file, import.meta.url)), { configFile: false, logLevel: 'error' })).module;
const { createWasmKernel } = await load('wasm/kernel.ts');
const { toFloat16Array } = await load('../onnx/float16.ts');

const k = Number(process.argv[2] ?? 4096);
const n = Number(process.argv[3] ?? 4096);

/** Roughly normal, the same every time. */
function weights(count) {
  let state = 1;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: count }, () => (next() + next() + next() + next() - 2) * 0.03);
}

/** Milliseconds of processor time the fastest of a few runs took; other programs disturb it less than a clock. */
async function fastest(work) {
  let best = Infinity;
  for (let run = 0; run < 8; run++) {
    const start = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, (user + system) / 1000);
  }
  return best;
}

const float32 = weights(k * n);
const stored = { float32: new Uint8Array(float32.buffer), float16: new Uint8Array(toFloat16Array(float32).buffer) };
const kernel = await createWasmKernel();

/** `time` and `copy` in milliseconds. */
function print(name, time, copy) {
  console.log(`${name.padEnd(42)} ${(k * n / time / 1e6).toFixed(2)} G parameters/s, ${(time / copy).toFixed(1)} × a copy`);
}

console.log(`${k}×${n}, one thread`);
for (const [type, data] of Object.entries(stored)) {
  const target = new Uint8Array(data.length);
  const copy = await fastest(() => target.set(data));
  console.log(`${type} copy: ${(data.length / copy / 1e6).toFixed(1)} GB/s`);
  for (const layout of ['kn', 'nk']) {
    for (const bits of [2, 4, 8]) {
      for (const block of [32, 128]) {
        for (const symmetric of [true, false]) {
          const time = await fastest(() => kernel.quantize({ data, type, layout, k, n }, { bits, block, symmetric }));
          print(`${type} ${layout} int${bits} block ${block} ${symmetric ? 'symmetric' : 'asymmetric'}`, time, copy);
        }
      }
    }
  }
  for (const [where, [outer, channels, inner]] of Object.entries({ 'per tensor': [1, 1, k * n], 'axis first': [1, k, n], 'axis last': [k, n, 1] })) {
    const time = await fastest(() => kernel.quantizeLinear({ data, type, outer, channels, inner }, { type: 'int8', symmetric: true }));
    print(`${type} int8 ${where}`, time, copy);
  }
}
