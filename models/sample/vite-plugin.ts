/** Puts the sample model and its text under `/sample/`: served in development, emitted into the build. */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type Plugin } from 'vite';
import { sampleText } from './text.mjs';

const FILES = ['model_fp16.onnx', 'tokenizer.json', 'tokenizer_config.json', 'config.json'];
const TEXT = 'held-out.txt';

const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export function sampleModel(): Plugin {
  return {
    name: 'nibble:sample-model',
    applyToEnvironment: (environment) => environment.config.consumer === 'client',
    configureServer(server) {
      server.middlewares.use('/sample', (request, response, next) => {
        const name = request.url?.slice(1).split('?')[0] ?? '';
        if (name === TEXT) {
          response.setHeader('Content-Type', 'text/plain; charset=utf-8');
          sampleText().then((text) => response.end(text), next);
        } else if (FILES.includes(name)) {
          response.setHeader('Content-Type', name.endsWith('.json') ? 'application/json' : 'application/octet-stream');
          createReadStream(pathOf(name)).on('error', next).pipe(response);
        } else {
          next();
        }
      });
    },
    async generateBundle() {
      this.emitFile({ type: 'asset', fileName: `sample/${TEXT}`, source: await sampleText() });
      for (const name of FILES) {
        this.emitFile({ type: 'asset', fileName: `sample/${name}`, source: await readFile(pathOf(name)) });
      }
    },
  };
}
