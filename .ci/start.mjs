/** `npm start`: from a fresh clone to a page served at an address it prints. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './build.mjs';
import { root } from './install.mjs';

const PORT = 4173;

if (!ensureBuilt('page')) process.exit(1);
// Found only after installing, hence not a static import.
const { preview } = await import(pathToFileURL(createRequire(import.meta.url).resolve('vite')).href);
const server = await preview({
  root,
  logLevel: 'warn',
  preview: { port: Number(process.env.PORT) || PORT, strictPort: false },
});
console.log(`Nibble is ready at ${server.resolvedUrls.local[0]} (Ctrl+C stops it)`);
