/**
 * Builds what is out of date: `kernels` (AssemblyScript → WASM), `page` (dist/), `planted-fault` (the page with a fault, build/planted-fault/)
 * and `cli` (build/cli/).
 * A build is current while no file it is made from changed its size or time of writing.
 *
 * As a script: `node .ci/build.mjs [TARGET…]`; without targets, all of them.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled, root } from './install.mjs';

const viteBuild = [join('node_modules', 'vite', 'bin', 'vite.js'), 'build', '--logLevel', 'warn'];

/** Sources are files and folders; `output` is what must exist for a stamp to count. */
const targets = {
  kernels: {
    sources: ['workers/kernels/wasm', 'workers/evaluate/statistics/wasm', 'package-lock.json'],
    output: 'workers/evaluate/statistics/wasm/build',
    needs: [],
    command: [join('workers', 'kernels', 'wasm', 'build.mjs')],
  },
  page: {
    sources: ['index.html', 'src', 'workers', 'public', 'models/sample', 'vite.config.ts', 'package-lock.json'],
    output: 'dist/index.html',
    needs: ['kernels'],
    command: viteBuild,
  },
  /** The page with a fault planted in one kernel of one provider, for a test that it is found. */
  'planted-fault': {
    sources: ['index.html', 'src', 'workers', 'public', 'models/sample', 'vite.config.ts', 'package-lock.json'],
    output: 'build/planted-fault/index.html',
    needs: ['kernels'],
    command: [...viteBuild, '--mode', 'planted-fault', '--outDir', 'build/planted-fault', '--emptyOutDir'],
  },
  cli: {
    sources: ['workers', 'vite.config.ts', 'package-lock.json'],
    output: 'build/cli/nibble.mjs',
    needs: ['kernels'],
    command: [...viteBuild, '--ssr'],
  },
};

/** @typedef {keyof typeof targets} Target */

/**
 * Installs and builds what is needed, kernels first. Tools talk on stderr. False when a build failed.
 * @param {...Target} names
 */
export function ensureBuilt(...names) {
  ensureInstalled();
  const order = new Set(names.flatMap((name) => [...targets[name].needs, name]));
  return [...order].every(buildTarget);
}

function buildTarget(name) {
  const { sources, output, command } = targets[name];
  const stampFile = join(root, 'build', 'stamps', name);
  const stamp = fingerprint(sources);
  if (existsSync(join(root, output)) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return true;
  rmSync(stampFile, { force: true });
  console.error(`Building ${name} …`);
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) return false;
  mkdirSync(join(root, 'build', 'stamps'), { recursive: true });
  writeFileSync(stampFile, stamp);
  return true;
}

function fingerprint(sources) {
  const hash = createHash('sha256').update(process.version);
  for (const source of sources) {
    for (const path of filesUnder(source)) {
      const { size, mtimeMs } = statSync(join(root, path));
      hash.update(`${path}\0${size}\0${mtimeMs}\0`);
    }
  }
  return hash.digest('hex');
}

/** Test files decide nothing about a build, and `build` folders are made by one. */
function* filesUnder(path) {
  if (!existsSync(join(root, path))) return;
  if (!statSync(join(root, path)).isDirectory()) {
    if (!/\.test\.tsx?$/.test(path)) yield path;
    return;
  }
  for (const name of readdirSync(join(root, path)).sort()) {
    if (name !== 'build') yield* filesUnder(`${path}/${name}`);
  }
}

if (resolve(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !(name in targets));
  if (unknown) {
    console.error(`There is no build called ${unknown}; there are ${Object.keys(targets).join(', ')}.`);
    process.exit(2);
  }
  process.exit(ensureBuilt(...(names.length ? names : Object.keys(targets))) ? 0 : 1);
}
