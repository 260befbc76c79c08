import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { playwright } from '@vitest/browser-playwright';
import { runnerImport, transformWithOxc, type Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { chromiumFlags, findChromium } from './.ci/chromium.mjs';
import { sampleModel } from './models/sample/vite-plugin.ts';

/** Shared memory, and with it WASM threads, needs both headers on every response. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** "Nothing leaves this tab", said to the browser: no request to another origin, from the page or from a worker. */
const contentSecurityPolicy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval' blob:",
  "worker-src 'self' blob:",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self' data: blob:",
].join('; ');

/** The same in the page itself, for hosts that set no headers; workers are given theirs by the service worker. */
const policyInPage: Plugin = {
  name: 'nibble:policy-in-page',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: { 'http-equiv': 'Content-Security-Policy', content: contentSecurityPolicy },
      injectTo: 'head-prepend',
    },
  ],
};

/** The one module that is given onnxruntime with WebGPU. */
const webgpuRuntime = fileURLToPath(new URL('workers/evaluate/sessions/runtime-webgpu.ts', import.meta.url));

/**
 * One onnxruntime in the page, and one more for running models on WebGPU: each entry of onnxruntime-web brings megabytes
 * of WebAssembly of its own. These two take theirs from `env.wasm.wasmPaths`. Node code is left alone: onnxruntime-web has
 * an entry of its own for it.
 */
const oneOnnxruntime: Plugin = {
  name: 'nibble:one-onnxruntime',
  enforce: 'pre',
  applyToEnvironment: (environment) => environment.config.consumer === 'client',
  resolveId(source, importer) {
    if (!/^onnxruntime-web(\/(wasm|webgpu|all))?$/.test(source)) return null;
    const entry =
      importer && importer.replace(/\?.*/, '') === webgpuRuntime.replaceAll('\\', '/')
        ? 'ort.webgpu.min.mjs'
        : 'ort.wasm.min.mjs';
    return fileURLToPath(new URL(`node_modules/onnxruntime-web/dist/${entry}`, import.meta.url));
  },
};

/** `virtual:theme.css`: Mantine's variables for this theme, see src/app/theme-css.ts. */
const themeStyles: Plugin = {
  name: 'nibble:theme-styles',
  resolveId: (source) => (source === 'virtual:theme.css' ? `\0${source}` : null),
  async load(id) {
    if (id !== '\0virtual:theme.css') return null;
    this.addWatchFile(fileURLToPath(new URL('src/app/theme.ts', import.meta.url)));
    const {
      module: { themeCss },
    } = await runnerImport<{ themeCss: () => string }>(
      fileURLToPath(new URL('src/app/theme-css.ts', import.meta.url)),
      { configFile: false, logLevel: 'error' },
    );
    return themeCss();
  },
};

/**
 * The service worker, made from what the build has written: the page and its scripts are there offline from the first
 * visit, WebAssembly and the sample model once they were used. See src/app/offline/service-worker.ts.
 */
const offline: Plugin = {
  name: 'nibble:offline',
  apply: 'build',
  async writeBundle({ dir }) {
    if (!dir) return;
    const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((file) => file.replaceAll('\\', '/'));
    const kept = files
      .filter((file) => /\.(html|m?js|css|svg)$/.test(file) && !/^(sample\/|\.vite\/|service-worker)/.test(file))
      .sort();
    const hash = createHash('sha256');
    for (const file of kept) hash.update(file).update(readFileSync(join(dir, file)));
    const source = fileURLToPath(new URL('src/app/offline/service-worker.ts', import.meta.url));
    const { code } = await transformWithOxc(readFileSync(source, 'utf8'), source);
    const script = code
      .replace(/export \{\s*\};?/, '')
      .replace('__KEPT_FILES__', JSON.stringify(kept))
      .replace('__BUILD__', JSON.stringify(hash.digest('hex').slice(0, 16)))
      .replace('__POLICY__', JSON.stringify(contentSecurityPolicy));
    writeFileSync(join(dir, 'service-worker.js'), script);
  },
};

const chromium = findChromium();
const executable = chromium ? { executablePath: chromium } : {};

/** No test depends on how fast the machine is: what ends one is that it hangs. Tests have no shorter timeouts of their own. */
const TIMEOUT_MS = 20 * 60_000;

const inChromium = (flags: string[]) => ({
  enabled: true,
  headless: true,
  screenshotFailures: false,
  connectTimeout: TIMEOUT_MS,
  provider: playwright({
    launchOptions: {
      ...executable,
      timeout: TIMEOUT_MS,
      args: [...flags, '--js-flags=--expose-gc'],
      ignoreDefaultArgs: ['--disable-gpu'],
    },
  }),
  instances: [{ browser: 'chromium' as const }],
});

/** Computes for a minute on one core: a project of its own, which `npm test` runs beside the others. */
const FIGURES = 'models/sample/figures.test.ts';
/** These replace a module, or watch onnxruntime being loaded. All others share two processes and what is loaded and compiled there, which is half of their time. */
const OWN_PROCESS = [
  'workers/evaluate/sessions/heap.test.ts',
  'workers/io/zip-sizes.test.ts',
  'workers/pipeline/self-check.test.ts',
  // Replaces modules by others for all that import them.
  'e2e/one-definition.test.tsx',
];

/** What takes a minute begins first, so that no core waits for it at the end: a fresh clone knows no durations to order by. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const long = ({ moduleId }: TestSpecification) => Number(moduleId.endsWith('/fuzz.test.ts'));
    return (await super.sort(files)).sort((a, b) => long(b) - long(a));
  }
}

export default defineConfig(({ isSsrBuild }) => ({
  plugins: [react(), themeStyles, policyInPage, oneOnnxruntime, sampleModel(), ...(isSsrBuild ? [] : [offline])],
  worker: { format: 'es', plugins: () => [oneOnnxruntime], rolldownOptions: { checks: { bundlerTimings: false } } },
  server: { headers: isolation },
  preview: { headers: { ...isolation, 'Content-Security-Policy': contentSecurityPolicy } },
  optimizeDeps: {
    // Prebundling would resolve onnxruntime by itself, and would move it away from its WebAssembly.
    exclude: ['onnxruntime-web'],
    // What only a worker imports would otherwise be found late, and reload the page under a running test.
    entries: ['index.html', '{src,workers}/**/*.worker.ts'],
  },
  build: isSsrBuild
    ? {
        target: 'node20',
        outDir: 'build/cli',
        emptyOutDir: true,
        copyPublicDir: false,
        // The command, and the threads it quantizes and measures speed in.
        rolldownOptions: {
          input: {
            nibble: 'workers/entry/node/cli.ts',
            'quantize-thread': 'workers/entry/node/quantize-thread.ts',
            'speed-worker': 'workers/entry/node/speed-worker.ts',
          },
          output: { entryFileNames: '[name].mjs' },
        },
      }
    : {
        target: 'es2023',
        manifest: true,
        chunkSizeWarningLimit: 800,
        rolldownOptions: { checks: { bundlerTimings: false } },
      },
  test: {
    allowOnly: false,
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
    teardownTimeout: TIMEOUT_MS,
    // Vitest reads this one here, not from the projects in a browser.
    browser: { connectTimeout: TIMEOUT_MS },
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          environment: 'node',
          isolate: false,
          maxWorkers: availableParallelism(),
          include: ['{src,workers,models,e2e}/**/*.test.{ts,tsx}'],
          exclude: ['**/*.browser.test.*', '**/*.webgpu.test.*', '**/*.dom.test.*', FIGURES, ...OWN_PROCESS],
        },
      },
      {
        extends: true,
        test: { name: 'node-apart', environment: 'node', maxWorkers: availableParallelism(), include: OWN_PROCESS },
      },
      {
        extends: true,
        test: {
          name: 'components',
          maxWorkers: availableParallelism(),
          environment: 'happy-dom',
          include: ['src/**/*.dom.test.tsx'],
          setupFiles: ['src/test-dom.ts'],
        },
      },
      {
        extends: true,
        test: { name: 'figures', environment: 'node', maxWorkers: availableParallelism(), include: [FIGURES] },
      },
      {
        extends: true,
        test: {
          name: 'browser',
          include: ['{src,workers}/**/*.browser.test.{ts,tsx}'],
          browser: inChromium(chromiumFlags({ webgpu: false })),
        },
      },
      {
        extends: true,
        test: {
          name: 'webgpu',
          include: ['{workers,models}/**/*.webgpu.test.ts'],
          browser: inChromium(chromiumFlags({ webgpu: true })),
        },
      },
    ],
  },
}));
