/**
 * `npm run bench:methods -- --model FILE --tokenizer FILE --text FILE --calibrate FILE`: mean KL divergence of every
 * quantization method at the same bytes.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { root } from './install.mjs';

const outDir = join(root, 'build', `bench-methods${process.env.BENCH_OUT ?? ''}`);
mkdirSync(outDir, { recursive: true });
await build({
  root,
  configFile: false,
  logLevel: 'warn',
  build: {
    ssr: true,
    target: 'node20',
    outDir,
    emptyOutDir: true,
    copyPublicDir: false,
    rolldownOptions: {
      input: { methods: join(root, 'models', 'bench-methods.ts') },
      output: { entryFileNames: '[name].mjs' },
    },
  },
});
const { status } = spawnSync(process.execPath, [join(outDir, 'methods.mjs'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exit(status ?? 1);
