import react from '@vitejs/plugin-react';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { chromiumFlags, findChromium } from './.ci/chromium.mjs';

/** Shared memory, and with it WASM threads, needs both headers on every response. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const chromium = findChromium();
const executable = chromium ? { executablePath: chromium } : {};

const inChromium = (flags: string[]) => ({
  enabled: true,
  headless: true,
  screenshotFailures: false,
  provider: playwright({ launchOptions: { ...executable, args: flags, ignoreDefaultArgs: ['--disable-gpu'] } }),
  instances: [{ browser: 'chromium' as const }],
});

export default defineConfig({
  plugins: [react()],
  worker: { format: 'es' },
  server: { headers: isolation },
  preview: { headers: isolation },
  build: { target: 'es2023' },
  test: {
    projects: [
      {
        extends: true,
        test: { name: 'node', environment: 'node', include: ['{src,workers,models}/**/*.test.ts'], exclude: ['**/*.browser.test.ts', '**/*.webgpu.test.ts'] },
      },
      {
        extends: true,
        test: { name: 'browser', include: ['{src,workers}/**/*.browser.test.ts'], browser: inChromium(chromiumFlags({ webgpu: false })) },
      },
      {
        extends: true,
        test: { name: 'webgpu', include: ['workers/**/*.webgpu.test.ts'], browser: inChromium(chromiumFlags({ webgpu: true })) },
      },
    ],
  },
});
