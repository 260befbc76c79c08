/**
 * Whole file to whole file in a tab: the built page's engine is given a model of GPT-2's shapes and one level, and what
 * it takes is written down, by stage, with the most memory all of Chromium's processes had above what they began with.
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
const SAMPLE_EVERY_MS = 20;

/**
 * @param {{ layers?: number, levels?: { id: string, settings: object }[], webgpu?: boolean }} options
 * @returns rows `{ file, level, bytes, seconds, peakBytes, stages }`, times in seconds.
 */
export async function benchFiles({ layers = 12, levels = [{ id: 'int4', settings: {} }, { id: 'int8', settings: {} }], webgpu = false, runs = 3 }, print) {
  const { module: { GPT2_SHAPE, largeModel } } = await runnerImport(join(root, 'models/large.ts'), { configFile: false, logLevel: 'error' });
  const folder = mkdtempSync(join(tmpdir(), 'nibble-bench-'));
  const path = join(folder, 'model.onnx');
  await pipeline(Readable.from(largeModel({ ...GPT2_SHAPE, layers })), createWriteStream(path));
  const server = await preview({ root, logLevel: 'error', preview: { port: 0 } });
  const browser = await chromium.launch({ executablePath: requireChromium(), args: chromiumFlags({ webgpu }), ignoreDefaultArgs: ['--disable-gpu'] });
  const rows = [];
  try {
    for (const level of levels) {
      const measured = [];
      for (let run = 0; run < runs; run++) measured.push(await once(browser, server.resolvedUrls.local[0], path, level));
      const best = measured.sort((a, b) => a.seconds - b.seconds)[0];
      const row = { file: `gpt2-shaped-${layers}`, level: level.id, bytes: statSync(path).size, ...best, peakBytes: Math.max(...measured.map(({ peakBytes }) => peakBytes)) };
      rows.push(row);
      print(row);
    }
  } finally {
    await browser.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
}

async function once(browser, address, path, level) {
  // Its own context: nothing stored by the run before. The content policy is put aside for the calls of this file.
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  await page.goto(address);
  await page.addScriptTag({ path: join(root, 'node_modules/comlink/dist/umd/comlink.js') });
  const worker = readdirSync(join(root, 'dist/assets')).find((file) => /^engine\.worker.*\.js$/.test(file));
  await page.evaluate(() => {
    const input = document.createElement('input');
    input.type = 'file';
    input.id = 'bench-file';
    document.body.append(input);
  });
  await page.setInputFiles('#bench-file', path);
  await page.evaluate((script) => {
    window.engine = window.Comlink.wrap(new Worker(script, { type: 'module' }));
    return window.engine.capabilities();
  }, `/assets/${worker}`);
  const memory = watchMemory();
  const { seconds, report } = await page.evaluate(async (request) => {
    const file = document.querySelector('#bench-file').files[0];
    const { port1, port2 } = new MessageChannel();
    port1.start();
    const began = performance.now();
    const result = await window.engine.compare({ files: [file], levels: [request], maxTokens: null }, window.Comlink.transfer(port2, [port2]));
    if (!result.ok) throw new Error(result.error.message);
    return { seconds: (performance.now() - began) / 1000, report: result.value };
  }, { key: level.id, ...level });
  const peakBytes = memory.stop();
  await context.close();
  return { backend: report.backend, seconds, peakBytes, stages: report.seconds };
}

/** Bytes of their own (not of files they map) that all Chromium processes hold above what they held at the start. */
function watchMemory() {
  const held = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).reduce((sum, pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('chromium')) return sum;
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      return sum + ['RssAnon', 'RssShmem'].reduce((bytes, key) => bytes + 1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1] ?? 0), 0);
    } catch {
      return sum;
    }
  }, 0);
  if (process.platform !== 'linux') return { stop: () => null };
  const before = held();
  let most = before;
  const timer = setInterval(() => { most = Math.max(most, held()); }, SAMPLE_EVERY_MS);
  return { stop: () => { clearInterval(timer); return most - before; } };
}

export function describeFile({ file, level, backend, bytes, seconds, peakBytes, stages }) {
  const parts = Object.entries(stages).map(([stage, took]) => `${stage} ${took.toFixed(2)} s`).join(', ');
  return `${file}, ${(bytes / 1e6).toFixed(0)} MB to ${level} on ${backend}: ${seconds.toFixed(2)} s (${parts}), ${peakBytes === null ? 'memory unknown' : `${(peakBytes / 2 ** 20).toFixed(0)} MiB at most`}`;
}
