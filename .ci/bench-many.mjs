/**
 * `npm run bench:many`: seconds that models with very many nodes and weights take to be opened, planned and written,
 * without measuring. `-- --only TEXT` takes the shapes whose name holds it, `--level LEVEL` one level.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { root } from './install.mjs';

const outDir = join(root, 'build', 'bench');
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
      input: { many: join(root, 'models', 'bench-many.mjs') },
      output: { entryFileNames: '[name].mjs' },
    },
  },
});
const { status } = spawnSync(
  process.execPath,
  [...process.execArgv, join(outDir, 'many.mjs'), ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exit(status ?? 1);
