/** Finds a Chromium to test with, and the flags that choose between the WebGPU and the WASM lane. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

/** Path of the Chromium `CHROMIUM_PATH` names, else of the first one found; undefined when there is none. */
export function findChromium() {
  const candidates = process.env.CHROMIUM_PATH
    ? [process.env.CHROMIUM_PATH]
    : [
        chromium.executablePath(),
        '/usr/bin/chromium',
        '/usr/bin/chromium-browser',
        '/usr/bin/google-chrome-stable',
        '/usr/bin/google-chrome',
        '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
        '/Applications/Chromium.app/Contents/MacOS/Chromium',
        'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
      ];
  return candidates.find((path) => existsSync(path));
}

/** As `findChromium`; installs the system's package on Debian and Ubuntu where it may, and ends the process with a sentence when there is none. */
export function requireChromium() {
  const found = findChromium() ?? (canInstall() ? install() : undefined);
  if (found) return found;
  console.error(
    process.env.CHROMIUM_PATH
      ? `CHROMIUM_PATH names ${process.env.CHROMIUM_PATH}, and there is no such file.`
      : 'No Chromium found to test in: run `npx playwright install chromium`, or set CHROMIUM_PATH to a Chromium or Chrome executable, then try again.',
  );
  process.exit(1);
}

function canInstall() {
  return (
    !process.env.CHROMIUM_PATH &&
    process.platform === 'linux' &&
    process.getuid?.() === 0 &&
    existsSync('/etc/os-release') &&
    /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync('/etc/os-release', 'utf8'))
  );
}

function install() {
  console.error('No Chromium found: installing the chromium package with apt-get …');
  /** @param {string[]} args */
  const apt = (...args) =>
    spawnSync('apt-get', args, {
      stdio: ['ignore', 'ignore', 2],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  apt('update', '-q');
  apt('install', '-q', '-y', '--no-install-recommends', 'chromium');
  return findChromium();
}

/**
 * Launch flags. Without `webgpu` the adapter is null: the lane that tests the WASM fallback.
 * @param {{ webgpu: boolean }} lane
 */
export function chromiumFlags({ webgpu }) {
  return [
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-quic',
    '--no-first-run',
    '--no-default-browser-check',
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ...(webgpu ? ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] : []),
  ];
}
