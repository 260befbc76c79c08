/** Compiles the modules' assembly/ to their build/ unless that is newer than its sources and this script. */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const changed = async (file) => (await stat(file).catch(() => null))?.mtimeMs ?? 0;

/** The entries' exports are the module's. */
const modules = [
  { folder: './', entries: ['quantize.ts', 'linear.ts'], target: 'build/quantize.wasm' },
  { folder: '../../evaluate/statistics/wasm/', entries: ['score.ts'], target: 'build/score.wasm' },
];

for (const { folder, entries, target: file } of modules) {
  const path = (relative) => fileURLToPath(new URL(relative, new URL(folder, import.meta.url)));
  const target = path(file);
  const sources = (await readdir(path('assembly'))).map((name) => path(`assembly/${name}`));
  if (
    Math.max(...(await Promise.all([...sources, fileURLToPath(import.meta.url)].map(changed)))) <
    (await changed(target))
  )
    continue;
  const { default: asc } = await import('assemblyscript/asc');
  await mkdir(path('build'), { recursive: true });
  const { error } = await asc.main(
    [
      ...entries.map((name) => path(`assembly/${name}`)),
      '--outFile',
      target,
      '--enable',
      'simd',
      '--runtime',
      'stub',
      '--use',
      'abort=',
      '-O3',
      '--converge',
      '--noAssert',
    ],
    { stderr: process.stderr },
  );
  if (error) process.exitCode = 1;
}
