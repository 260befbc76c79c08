/** Faults in the built page's workers, put in front of their scripts, and a job that is to come out the same whatever happens to it. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserContext, Page } from '@playwright/test';
import { byteTokenizer, tinyLanguageModel } from '../models/build.ts';
import { expect } from './lane.ts';

export const MODEL = Buffer.from(tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true }));
const upload = (name: string, content: Buffer | string) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(content) });
export const FILES = [upload('tiny.onnx', MODEL), upload('tokenizer.json', byteTokenizer()), upload('text.txt', 'It was the best of times, it was the worst of times. '.repeat(12))];

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** SHA-256 of the job's files by name, as the command line writes them. */
export function undisturbed(): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'nibble-e2e-'));
  try {
    writeFileSync(join(folder, 'tiny.onnx'), MODEL);
    const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, '..', '.ci', 'nibble.mjs'), 'compare', join(folder, 'tiny.onnx'), '--level', 'int8', '--level', 'int4', '--out', folder, '--quiet'], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    return Object.fromEntries(['tiny_fp16.onnx', 'tiny_int8.onnx', 'tiny_q4.onnx'].map((name) => [name, sha256(readFileSync(join(folder, name)))]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Scripts of workers, as the build names them. */
export type Script = 'engine' | 'make' | 'evaluate';

/**
 * Has `fault` run in a worker before its own script, or before those that are `first` only; returns what ends that. A
 * service worker must be blocked: it answers requests where they cannot be replaced.
 */
export async function plant(context: BrowserContext, script: Script, fault: string | (() => string), first = Infinity): Promise<() => Promise<void>> {
  const url = new RegExp(`/${script}\\.worker-[^/]*\\.js$`);
  let left = first;
  await context.route(url, async (route) => {
    const response = await route.fetch();
    const body = await response.text();
    await route.fulfill({ response, body: left-- > 0 ? `${typeof fault === 'string' ? fault : fault()};\n${body}` : body });
  });
  return () => context.unroute(url);
}

/** In the engine: does `what` as soon as the page has been sent progress of that stage. */
export const when = (stage: string, what: string) => `{
  const post = MessagePort.prototype.postMessage;
  MessagePort.prototype.postMessage = function (message, ...rest) {
    post.call(this, message, ...rest);
    if (message?.event?.type === 'progress' && message.event.stage === '${stage}') { ${what} }
  };
}`;
/** Stops a worker where it is, for ever. */
export const HOLD = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)';
/** Ends a worker without an error event, as soon as something is asked of it. */
export const DIE = 'addEventListener("message", () => { close(); })';

export const compareButton = (page: Page) => page.getByRole('button', { name: 'Compare', exact: true });
export const stage = (page: Page, name: string) => page.getByRole('list', { name: 'Stages' }).getByRole('listitem').filter({ hasText: name });

type Files = Parameters<ReturnType<Page['getByLabel']>['setInputFiles']>[0];

/** Chooses the job's files in a page that has just been opened, and leaves out what takes long beside it. */
export async function choose(page: Page, { files = FILES, speed = false }: { files?: Files; speed?: boolean } = {}): Promise<void> {
  await page.getByLabel('Choose files').setInputFiles(files);
  await expect(compareButton(page)).toBeEnabled();
  await page.getByText(/^What to measure:/).click();
  for (const name of ['Noise floor', 'Runtime drift', ...(speed ? [] : ['Speed and memory'])]) {
    const extra = page.getByRole('switch', { name });
    if (await extra.count() === 0) continue;
    await extra.press('Space');
    await expect(extra).not.toBeChecked();
  }
}

export async function finished(page: Page): Promise<void> {
  await expect(page.getByRole('heading', { name: /^tiny\.onnx, compared/ })).toBeVisible({ timeout: 60_000 });
}

/** SHA-256 of what can be downloaded, by name. */
export async function downloads(page: Page): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const level of ['fp16', 'int8', 'int4']) {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: `Download ${level}`, exact: true }).click()]);
    found[download.suggestedFilename()] = sha256(readFileSync(await download.path()));
  }
  return found;
}
