/**
 * `npm run bench:many`: seconds that models with very many nodes and weights take to be opened, planned and written,
 * without measuring. `-- --only TEXT` takes the shapes whose name holds it, `--level LEVEL` one level.
 */
import { runBundled } from './run-bundled.mjs';

await runBundled('bench-many', 'bench-many.mjs');
