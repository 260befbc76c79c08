/**
 * `npm test`: everything, from a fresh clone. A step that fails does not stop the others; a lane in which nothing ran,
 * or something was skipped, has failed. The last line counts checks and tests: `N passed, N failed`.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { ensureInstalled, root } from './install.mjs';

const started = performance.now();
ensureInstalled();
const { requireChromium } = await import('./chromium.mjs');
const chromium = requireChromium();
console.log(`Node ${process.version}, Chromium at ${chromium}`);

const results = join(root, 'test-results');
mkdirSync(results, { recursive: true });
const port = await freePort();
const tool = (name, file) => join('node_modules', name, file);

/** For one step. It ends one that hangs: on a busy machine a step takes many times as long as on an idle one. */
const MOST_MINUTES = 180;

// A step is one check, or a lane: a run of tests that writes a report to count from.

/** What only reads the sources. It yields to everything else, and takes the time in which a page waits. */
const checks = [
  ...['src', 'workers', 'e2e'].map((project) =>
    reading(`types: ${project}`, tool('typescript-native', 'bin/tsc'), '-p', project),
  ),
  reading('lint', tool('oxlint', 'bin/oxlint')),
  reading('format', tool('prettier', 'bin/prettier.cjs'), '--check', '.'),
  reading(
    'import rules',
    tool('dependency-cruiser', 'bin/dependency-cruise.mjs'),
    'src',
    'workers',
    'models',
    'e2e',
    '.ci',
    'vite.config.ts',
  ),
  reading('dependencies', '.ci/check-dependencies.mjs'),
  reading('spread arguments', '.ci/check-spread.mjs'),
];
/** One core for a minute; it yields, too. */
const figures = [vitest('figures, whole text', ['figures'], { aside: true })];
const builds = [
  ...['kernels', 'page', 'planted-fault', 'cli'].map((target) => check(`build: ${target}`, '.ci/build.mjs', target)),
  check('bundle', '.ci/check-bundle.mjs'),
];
/** These keep every core busy; the threads of the software adapter busy-wait, so it takes twice as long beside others. */
const busy = [vitest('unit', ['node', 'node-apart', 'components']), vitest('browser, WebGPU', ['webgpu'])];
/** A page waits for a fourth of its time. */
const pages = [vitest('browser, no WebGPU', ['browser']), playwright('end to end', 'wasm', 'webgpu', 'planted-fault')];
/** Looks at processor time, which needs a machine that does nothing else. */
const alone = [playwright('smooth', 'smooth')];

const first = await inTurn([...builds, ...busy]);
const beside = await Promise.all([[...checks, ...figures], pages].map(inTurn));
const rows = [...first, ...beside.flat(), ...(await inTurn(alone))];

async function inTurn(steps) {
  const done = [];
  for (const step of steps) done.push(await timed(step));
  return done;
}

async function timed(step) {
  if (!step.aside) console.log(`\n── ${step.name}`);
  const begin = performance.now();
  const count = await step.run();
  return { name: step.name, ...count, seconds: (performance.now() - begin) / 1000 };
}

console.log('\n── summary');
for (const { name, passed, failed, seconds, why } of rows) {
  console.log(
    `${failed ? '✗' : '✓'} ${name.padEnd(20)} ${seconds.toFixed(1).padStart(7)} s ${String(passed).padStart(6)} passed ${String(failed).padStart(4)} failed${why ? `  (${why})` : ''}`,
  );
}
console.log(`in ${((performance.now() - started) / 1000).toFixed(0)} s`);
const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exit(sum('failed') ? 1 : 0);

/** @param options.aside A heading: the process yields to others, and what it prints is kept and printed under it at the end. */
function node(args, { aside, env = {} } = {}) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', aside ? 'pipe' : 'inherit', aside ? 'pipe' : 'inherit'],
      timeout: MOST_MINUTES * 60_000,
      env: {
        ...process.env,
        CHROMIUM_PATH: chromium,
        E2E_PORT: String(port),
        ...env,
        ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }),
      },
    });
    if (aside && child.pid) setPriority(child.pid, constants.priority.PRIORITY_LOW);
    const printed = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => printed.push(chunk));
    child.once('error', () => {
      resolve(false);
    });
    child.once('close', (status) => {
      if (aside) console.log(`\n── ${aside}\n${Buffer.concat(printed).toString()}`);
      resolve(status === 0);
    });
  });
}

function check(name, ...args) {
  return { name, run: async () => ((await node(args)) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }) };
}

/** A check that writes nothing. */
function reading(name, ...args) {
  return {
    name,
    aside: true,
    run: async () => ((await node(args, { aside: name })) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }),
  };
}

/** A lane: counts come from the report the run writes to `test-results/FILE`. */
function lane(name, count, file, { aside = false, env = {} }, ...args) {
  const report = join(results, file);
  return {
    name,
    aside,
    async run() {
      rmSync(report, { force: true });
      const succeeded = await node(args, { env, ...(aside && { aside: name }) });
      if (!existsSync(report)) return { passed: 0, failed: 1, why: 'no report was written' };
      const { passed, failed, skipped } = count(JSON.parse(readFileSync(report, 'utf8')));
      if (skipped) return { passed, failed: failed + skipped, why: `${skipped} skipped, and none may be` };
      if (passed + failed === 0) return { passed, failed: 1, why: 'no test ran' };
      if (!succeeded && failed === 0) return { passed, failed: 1, why: 'the run failed outside its tests' };
      return { passed, failed };
    },
  };
}

function vitest(name, projects, options = {}) {
  const file = `vitest-${projects[0]}.json`;
  return lane(
    name,
    countVitest,
    file,
    options,
    tool('vitest', 'vitest.mjs'),
    'run',
    ...projects.flatMap((project) => ['--project', project]),
    '--reporter',
    'default',
    '--reporter',
    'json',
    '--outputFile.json',
    `test-results/${file}`,
  );
}

/** A test file that could not even be read holds no test and counts as one failure. */
function countVitest({ numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults }) {
  const unread = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  ).length;
  return { passed: numPassedTests, failed: numFailedTests + unread, skipped: numPendingTests + numTodoTests };
}

/** Each of the projects must have run something. */
function playwright(name, ...projects) {
  const results = `e2e-${projects[0]}`;
  const count = ({ suites, errors, stats }) => {
    const ran = new Set();
    const walk = (suite) => {
      for (const spec of suite.specs ?? []) for (const test of spec.tests) ran.add(test.projectName);
      suite.suites?.forEach(walk);
    };
    suites.forEach(walk);
    const empty = projects.filter((project) => !ran.has(project)).length;
    return {
      passed: stats.expected,
      failed: stats.unexpected + stats.flaky + errors.length + empty,
      skipped: stats.skipped,
    };
  };
  return lane(
    name,
    count,
    `${results}.json`,
    { env: { E2E_RESULTS: results } },
    tool('@playwright/test', 'cli.js'),
    'test',
    '-c',
    'e2e/playwright.config.ts',
    ...projects.flatMap((project) => ['--project', project]),
  );
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
      .once('error', reject)
      .listen(0, () => {
        const { port } = server.address();
        server.close(() => resolve(port));
      });
  });
}
