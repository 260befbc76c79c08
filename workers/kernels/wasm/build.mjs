/** Compiles assembly/ to build/quantize.wasm unless that is newer than its sources and this script. */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const changed = async (file) => (await stat(file).catch(() => null))?.mtimeMs ?? 0;

/** Their exports are the module's. */
const entries = ['quantize.ts', 'linear.ts'].map((name) => path(`assembly/${name}`));
const target = path('build/quantize.wasm');

const sources = (await readdir(path('assembly'))).map((name) => path(`assembly/${name}`));
if (Math.max(...await Promise.all([...sources, path('build.mjs')].map(changed))) >= (await changed(target))) {
  const { default: asc } = await import('assemblyscript/asc');
  await mkdir(path('build'), { recursive: true });
  const { error, stderr } = await asc.main([
    ...entries, '--outFile', target,
    '--enable', 'simd', '--runtime', 'stub', '--use', 'abort=',
    '-O3', '--converge', '--noAssert',
  ]);
  if (error) {
    console.error(stderr.toString());
    process.exitCode = 1;
  }
}
