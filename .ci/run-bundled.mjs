/** Runs a script that imports TypeScript in Node: it is bundled first, as the command line is. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { root } from './install.mjs';

/**
 * Bundles a script of `models/` into `build/NAME/` and runs it with this process's options and arguments. Ends this
 * process with the script's exit status.
 * @param entry File name in `models/`.
 */
export async function runBundled(name, entry) {
  const outDir = join(root, 'build', name);
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
        input: { [name]: join(root, 'models', entry) },
        output: { entryFileNames: '[name].mjs' },
      },
    },
  });
  const { status } = spawnSync(
    process.execPath,
    [...process.execArgv, join(outDir, `${name}.mjs`), ...process.argv.slice(2)],
    { stdio: 'inherit' },
  );
  process.exit(status ?? 1);
}
