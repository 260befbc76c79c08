/** Compiles assembly/quantize.ts to build/quantize.wasm unless that is newer than its source and this script. */
import { mkdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const changed = async (file) => (await stat(file).catch(() => null))?.mtimeMs ?? 0;

const source = path('assembly/quantize.ts');
const target = path('build/quantize.wasm');

if (Math.max(await changed(source), await changed(path('build.mjs'))) >= (await changed(target))) {
  const { default: asc } = await import('assemblyscript/asc');
  await mkdir(path('build'), { recursive: true });
  const { error, stderr } = await asc.main([
    source, '--outFile', target,
    '--enable', 'simd', '--runtime', 'stub', '--use', 'abort=',
    '-O3', '--converge', '--noAssert',
  ]);
  if (error) {
    console.error(stderr.toString());
    process.exitCode = 1;
  }
}
