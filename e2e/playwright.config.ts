/** End to end: the built page, as `vite preview` serves it, in Chromium with WebGPU and without. */
import { defineConfig } from '@playwright/test';
import { chromiumFlags, requireChromium } from '../.ci/chromium.mjs';
import { EITHER as TAGGED, type Lane } from './lane.ts';

const port = Number(process.env.E2E_PORT) || 4317;
const executablePath = requireChromium();
/** Pictures of failures and the report: runs that follow each other keep theirs apart. */
const results = process.env.E2E_RESULTS ?? 'e2e';

/** No test depends on how fast the machine is: what ends one is that it hangs. Tests have no shorter timeouts of their own. */
const TIMEOUT_MS = 30 * 60_000;
/** For one assertion, so that one that fails says so before its test does. */
const EXPECT_TIMEOUT_MS = 10 * 60_000;

const FAULT = /planted-fault\.spec\.ts$/;
/** What is the same page with and without WebGPU is looked at once; single tests of that kind are tagged. */
const EITHER = /(accessibility|faults|files|folder|offline|plain-host|results|shelf)\.spec\.ts$/;
const GPU_ONLY = /lost-gpu\.spec\.ts$/;
const SMOOTH = /smooth\.spec\.ts$/;

const serve = (at: number, ...flags: string[]) => ({
  command: ['node node_modules/vite/bin/vite.js preview --strictPort --port', at, ...flags].join(' '),
  cwd: '..',
  port: at,
  timeout: TIMEOUT_MS,
  reuseExistingServer: false,
  stdout: 'ignore' as const,
  stderr: 'pipe' as const,
});

const lane = (name: string, webgpu: boolean) => ({
  name,
  ...(webgpu && { grepInvert: new RegExp(TAGGED.tag) }),
  testIgnore: [/\.shots\.ts$/, FAULT, SMOOTH, webgpu ? EITHER : GPU_ONLY],
  use: {
    webgpu,
    launchOptions: {
      executablePath,
      timeout: TIMEOUT_MS,
      args: chromiumFlags({ webgpu }),
      ignoreDefaultArgs: ['--disable-gpu'],
    },
  },
});

export default defineConfig<Lane>({
  testDir: '.',
  testMatch: /\.(spec|shots)\.ts$/,
  outputDir: `../test-results/${results}`,
  // One page at a time: the engine uses every core there is.
  workers: 1,
  forbidOnly: true,
  timeout: TIMEOUT_MS,
  expect: { timeout: EXPECT_TIMEOUT_MS },
  reporter: [['list'], ['json', { outputFile: `../test-results/${results}.json` }]],
  use: {
    baseURL: `http://localhost:${port}`,
    screenshot: 'only-on-failure',
    // A trace of every test costs a sixth of its time: `--trace retain-on-failure` keeps those of failures.
    trace: 'off',
  },
  projects: [
    lane('wasm', false),
    lane('webgpu', true),
    { ...lane('screenshots', true), testIgnore: /\.spec\.ts$/ },
    { ...lane('smooth', false), testIgnore: [], testMatch: SMOOTH },
    {
      ...lane('planted-fault', true),
      testIgnore: [],
      testMatch: FAULT,
      use: { ...lane('', true).use, baseURL: `http://localhost:${port + 1}` },
    },
  ],
  webServer: [serve(port), serve(port + 1, '--outDir', 'build/planted-fault')],
});
