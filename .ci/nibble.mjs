/** `npm run -s nibble -- …`: installs and builds what is out of date, then hands over to the command line program. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './build.mjs';
import { root } from './install.mjs';

if (!ensureBuilt('cli')) process.exit(1);
// npm runs scripts in the repository's folder; the arguments name files as seen from where the command was given.
if (process.env.npm_lifecycle_event === 'nibble' && process.env.INIT_CWD) process.chdir(process.env.INIT_CWD);
// In this process: exit code, signals and standard streams are then the program's own, and nothing starts twice.
const program = join(root, 'build', 'cli', 'nibble.mjs');
process.argv.splice(1, 1, program);
await import(pathToFileURL(program).href);
