/**
 * Looks at what `vite build` made: one onnxruntime and only the WebAssembly it uses, the page's first load small,
 * and the big libraries (charts, tokenizers) in chunks fetched when they are needed.
 */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from './install.mjs';

/** Bytes of script and style that the first paint waits for, gzipped. */
const FIRST_LOAD_LIMIT = 250_000;

const dist = join(root, 'dist');
if (!existsSync(join(dist, 'index.html'))) {
  console.error('There is no build to look at: `npm run build` makes one.');
  process.exit(1);
}
const files = readdirSync(dist, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => statSync(join(dist, path)).isFile());
const manifest = JSON.parse(readFileSync(join(dist, '.vite', 'manifest.json'), 'utf8'));
const text = (file) => readFileSync(join(dist, file), 'utf8');

const first = new Set();
const styles = new Set();
const add = (key) => {
  if (first.has(manifest[key].file)) return;
  first.add(manifest[key].file);
  manifest[key].css?.forEach((file) => styles.add(file));
  manifest[key].imports?.forEach(add);
};
add('index.html');
const firstBytes = [...first, ...styles].reduce((sum, file) => sum + gzipSync(text(file)).length, 0);

const runtimes = files.filter((file) => /ort-.*\.wasm$/.test(file));
const scripts = files.filter((file) => /\.m?js$/.test(file));
const problems = [];
const expect = (holds, sentence) => {
  if (!holds) problems.push(sentence);
};

expect(firstBytes <= FIRST_LOAD_LIMIT, `The first load is ${firstBytes} bytes gzipped, more than ${FIRST_LOAD_LIMIT}.`);
/** As a file of the build is called: the name, then a hash. */
const variants = ['ort-wasm-simd-threaded', 'ort-wasm-simd-threaded.asyncify'];
const hashed = (variant, extension) => new RegExp(`/${variant.replaceAll('.', '\\.')}-[\\w-]+\\.${extension}$`);
expect(
  runtimes.length === variants.length &&
    variants.every((variant) => runtimes.filter((file) => hashed(variant, 'wasm').test(file)).length === 1),
  `Expected onnxruntime plain and with WebGPU (${variants.join(', ')}), found ${runtimes.join(', ') || 'none'}.`,
);
const loaders = files.filter((file) => /\/ort-wasm-[^/]*\.m?js$/.test(file));
expect(
  loaders.length === variants.length &&
    variants.every((variant) => loaders.some((file) => hashed(variant, 'mjs').test(file))),
  `Expected a loader for each onnxruntime, found ${loaders.join(', ') || 'none'}.`,
);
// A chunk of its own in each worker fetches a runtime; whoever else names one would load it too early.
for (const variant of variants) {
  const file = runtimes
    .find((name) => hashed(variant, 'wasm').test(name))
    ?.split('/')
    .pop();
  const holders = scripts.filter((script) => file && text(script).includes(file));
  expect(
    holders.length > 0 && holders.every((holder) => /\/runtime(-webgpu)?-[\w-]+\.js$/.test(holder)),
    `${variant} should be named only by the chunks that load it, and is by ${holders.join(', ') || 'none'}.`,
  );
}
expect(
  !scripts.some((file) => text(file).includes('(planted fault)')),
  'The planted fault, which is for tests of runtime drift, is in the build.',
);
expect(
  !scripts.some((file) => text(file).includes('PreTrainedTokenizer')),
  'transformers.js, which is for tests, is in the build.',
);
for (const [name, mark] of [
  ['recharts', 'recharts-'],
  ['onnxruntime', 'InferenceSession'],
]) {
  const holders = scripts.filter((file) => text(file).includes(mark));
  expect(holders.length > 0, `${name} is nowhere in the build.`);
  expect(!holders.some((file) => first.has(file)), `${name} is part of the first load: import it lazily.`);
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
console.log(`First load ${(firstBytes / 1000).toFixed(0)} kB gzipped; the largest files of the build:`);
files
  .map((file) => ({ file, bytes: statSync(join(dist, file)).size }))
  .sort((a, b) => b.bytes - a.bytes)
  .slice(0, 8)
  .forEach(({ file, bytes }) => {
    console.log(`  ${megabytes(bytes).padStart(9)}  ${file}`);
  });
for (const problem of problems) console.error(problem);
process.exit(problems.length ? 1 : 0);
