/**
 * `npm run bench:memory -- --gigabytes 0.25,1,4`: models of GPT-2's shapes, with their weights in a second file, are
 * quantized in a tab, from dropped files to the browser's storage, and the most that the page and all its workers held
 * meanwhile is printed. The work of a smaller model must take as much as that of a larger one. `--level int8` takes
 * another level; `--width 4096` makes the matrices larger instead of having more of them; `--folder` writes to a folder as
 * if a person had chosen it; `--json FILE` writes the rows.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { preview, runnerImport } from 'vite';
import { chromiumFlags, requireChromium } from './chromium.mjs';
import { watchHeaps } from './worker-heaps.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '0.25,1,4' },
    level: { type: 'string', default: 'int4' },
    width: { type: 'string', default: '768' },
    folder: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const {
  module: { GPT2_SHAPE, largeModelBytes, largeModelData, largeModelExternal },
} = await runnerImport(join(root, 'models/large.ts'), { configFile: false, logLevel: 'error' });

/** The shape that comes closest to a size by its number of layers. */
function shapeOf(bytes) {
  const width = Number(values.width);
  const shape = { ...GPT2_SHAPE, width, inner: [width * 3, width * 4], layers: 0 };
  const fixed = largeModelBytes(shape);
  return {
    ...shape,
    layers: Math.max(1, Math.round((bytes - fixed) / (largeModelBytes({ ...shape, layers: 1 }) - fixed))),
  };
}

const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
const server = await preview({ root, logLevel: 'error', preview: { port: 0 } });
const rows = [];
try {
  for (const gigabytes of values.gigabytes.split(',').map(Number)) {
    const row = await once(gigabytes * 1e9);
    rows.push(row);
    console.log(
      `${gigabytes} GB (${row.layers} layers) to ${values.level} on ${row.backend}: heaps ${mebibytes(row.peakBytes)} at most, processes ${row.processBytes === null ? 'unknown' : mebibytes(row.processBytes)}, ${row.seconds.toFixed(1)} s, ${row.samples} samples`,
    );
    for (const { name, bytes } of row.atPeak)
      if (bytes > 2 ** 20) console.log(`    ${mebibytes(bytes).padStart(8)}  ${name}`);
    if (row.note) console.log(`    ${row.note}`);
  }
} finally {
  await server.close();
}
const peaks = rows.map(({ peakBytes }) => peakBytes);
console.log(`The largest peak is ${(Math.max(...peaks) / Math.min(...peaks)).toFixed(3)} times the smallest.`);
if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 1)}\n`);
process.exit(0);

async function once(bytes) {
  const folder = mkdtempSync(join(tmpdir(), 'nibble-memory-'));
  const browser = await chromium.launchPersistentContext(join(folder, 'profile'), {
    executablePath: requireChromium(),
    args: chromiumFlags({ webgpu: false }),
    bypassCSP: true,
  });
  try {
    const shape = shapeOf(bytes);
    const { model } = largeModelExternal(shape, 'model.onnx_data');
    writeFileSync(join(folder, 'model.onnx'), model);
    const data = await open(join(folder, 'model.onnx_data'), 'w');
    for (const piece of largeModelData(shape)) await data.write(piece);
    await data.close();

    const page = await browser.newPage();
    await page.goto(server.resolvedUrls.local[0]);
    await page.addScriptTag({ path: join(root, 'node_modules/comlink/dist/umd/comlink.js') });
    await page.evaluate(() => {
      const input = document.createElement('input');
      input.type = 'file';
      input.multiple = true;
      input.id = 'bench-files';
      document.body.append(input);
    });
    await page.setInputFiles(
      '#bench-files',
      ['model.onnx', 'model.onnx_data'].map((name) => join(folder, name)),
    );
    const heaps = await watchHeaps(browser, page);
    const processes = watchProcesses(join(folder, 'profile'));
    const worker = readdirSync(join(root, 'dist/assets')).find((file) => /^engine\.worker.*\.js$/.test(file));
    const result = await page.evaluate(
      async ({ script, id, chosen }) => {
        const engine = window.Comlink.wrap(new Worker(script, { type: 'module' }));
        const { backend } = await engine.capabilities();
        const files = [...document.querySelector('#bench-files').files];
        // No picker can be clicked here: a folder of the origin's own has the same interface.
        const folder = chosen
          ? await (await navigator.storage.getDirectory()).getDirectoryHandle('chosen', { create: true })
          : undefined;
        const { port1, port2 } = new MessageChannel();
        const began = performance.now();
        return new Promise((resolve, reject) => {
          window.finished = engine.compare(
            { files, levels: [{ key: 'level', id, settings: {} }], maxTokens: null, folder },
            window.Comlink.transfer(port2, [port2]),
          );
          window.finished.then((result) => {
            if (!result.ok && result.error.code !== 'cancelled') reject(new Error(result.error.message));
          }, reject);
          window.engine = engine;
          port1.onmessage = ({ data: { event } }) => {
            if (event?.type === 'written' && event.level === 'level')
              resolve({ backend, seconds: (performance.now() - began) / 1000, bytes: event.bytes });
          };
        });
      },
      { script: `/assets/${worker}`, id: values.level, chosen: values.folder },
    );
    const measured = { ...(await heaps.stop()), processBytes: processes.stop() };
    // What is too large to be run is refused at once, with the figure; nothing else is to be measured here.
    const note = await page.evaluate(() =>
      Promise.race([
        window.finished.then((result) => (result.ok ? result.value.notes.join(' ') : '')),
        new Promise((resolve) => {
          setTimeout(resolve, 500, '');
        }),
      ]),
    );
    return { gigabytes: bytes / 1e9, layers: shape.layers, ...result, ...measured, note };
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The most memory of their own (not of files they map) that the processes of one browser had together. */
function watchProcesses(profile) {
  if (process.platform !== 'linux') return { stop: () => null };
  const parentOf = (pid) => Number(/\nPPid:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  const pids = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const readable = (read) => {
    try {
      return read();
    } catch {
      return null;
    }
  };
  const browser = pids().filter((pid) =>
    readable(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`--user-data-dir=${profile}`)),
  );
  const held = () => {
    const family = new Set(browser.map(Number));
    const parents = pids().map((pid) => [Number(pid), readable(() => parentOf(pid))]);
    for (let size = 0; size < family.size;) {
      size = family.size;
      for (const [pid, parent] of parents) if (family.has(parent)) family.add(pid);
    }
    return [...family].reduce(
      (sum, pid) =>
        sum +
        (readable(() => {
          const status = readFileSync(`/proc/${pid}/status`, 'utf8');
          return ['RssAnon', 'RssShmem'].reduce(
            (bytes, key) => bytes + 1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1] ?? 0),
            0,
          );
        }) ?? 0),
      0,
    );
  };
  let most = held();
  const timer = setInterval(() => {
    most = Math.max(most, held());
  }, 100);
  return {
    stop: () => {
      clearInterval(timer);
      return most;
    },
  };
}
