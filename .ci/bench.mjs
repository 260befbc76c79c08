/**
 * `npm run bench`: the kernels beside a memory copy, and whole files in a tab. `-- --json FILE` writes the rows, too;
 * `--only kernels` or `--only files` takes one part; `--side 4096` and `--layers 12` say how large.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Chromium's package brings a Vulkan loader and a software driver, which WebGPU in Node finds only through the environment. */
const CHROMIUM = '/usr/lib/chromium';
if (!process.env.NIBBLE_BENCH && existsSync(`${CHROMIUM}/libvulkan.so.1`)) {
  const { status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit', env: { ...process.env, NIBBLE_BENCH: '1', LD_LIBRARY_PATH: [process.env.LD_LIBRARY_PATH, CHROMIUM].filter(Boolean).join(':') },
  });
  process.exit(status ?? 1);
}

const { values } = parseArgs({ options: { json: { type: 'string' }, only: { type: 'string' }, side: { type: 'string', default: '4096' }, layers: { type: 'string', default: '12' } } });
const { benchKernels, describeRow } = await import('../workers/kernels/bench.mjs');
const { benchFiles, describeFile } = await import('./bench-files.mjs');
const print = (describe) => (row) => { console.log(describe(row)); };

const rows = [];
if (values.only !== 'files') {
  const measured = await benchKernels({ k: Number(values.side), n: Number(values.side) }, print(describeRow));
  if (measured.webgpu) console.log(`WebGPU was not measured: ${measured.webgpu}`);
  rows.push(...measured.rows);
}
if (values.only !== 'kernels') rows.push(...await benchFiles({ layers: Number(values.layers) }, print(describeFile)));
if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 1)}\n`);
process.exit(0);
