/** Finds a Chromium to test with, and the flags that choose between the WebGPU and the WASM lane. */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const candidates = () => [
  process.env.CHROMIUM_PATH,
  chromium.executablePath(),
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome-stable',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

/** Path of the first Chromium found, or undefined. */
export function findChromium() {
  return candidates().find((path) => path && existsSync(path));
}

/** Launch flags. Without `webgpu` the adapter is null: the lane that tests the WASM fallback. */
export function chromiumFlags({ webgpu }) {
  return [
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic',
    '--no-first-run', '--no-default-browser-check',
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ...(webgpu ? ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] : []),
  ];
}
