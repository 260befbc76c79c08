/** Faults in the built page's workers, put in front of their scripts, and a job that is to come out the same whatever happens to it. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import type { EngineErrorCode } from '../workers/contract/errors.ts';
import { byteTokenizer, tinyLanguageModel } from '../models/build.ts';
import { leaveOutExtras } from './extras.ts';
import { expect, test as laneTest } from './lane.ts';

export const MODEL = Buffer.from(
  tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true }),
);
const upload = (name: string, content: Buffer | string) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(content),
});
export const FILES = [
  upload('tiny.onnx', MODEL),
  upload('tokenizer.json', byteTokenizer()),
  upload('text.txt', 'It was the best of times, it was the worst of times. '.repeat(12)),
];

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** SHA-256 of the job's files by name, as the command line writes them. The page quantizes a table that would be stored twice by itself. */
export function undisturbed(): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'nibble-e2e-'));
  try {
    writeFileSync(join(folder, 'tiny.onnx'), MODEL);
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        join(import.meta.dirname, '..', '.ci', 'nibble.mjs'),
        'compare',
        join(folder, 'tiny.onnx'),
        '--level',
        'int8:embedding=tokens',
        '--level',
        'int4:embedding=tokens',
        '--out',
        folder,
        '--quiet',
      ],
      { encoding: 'utf8' },
    );
    expect(status, stderr).toBe(0);
    return Object.fromEntries(
      ['tiny_fp16.onnx', 'tiny_int8_embedding-tokens.onnx', 'tiny_q4_embedding-tokens.onnx'].map((name) => [
        name,
        sha256(readFileSync(join(folder, name))),
      ]),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Scripts of workers, as the build names them. */
export type Script = 'engine' | 'quantize' | 'evaluate';

/** Between the browser and the server of the page; it sees what workers within workers ask for, too. */
export interface Between {
  url: string;
  /** Has `fault` run in a worker before its own script, or only in those that are `first`; `''` ends that. */
  plant(script: Script, fault: string | (() => string), first?: number): void;
  /** Settles once another worker has come to a `HOLD`. */
  held(): Promise<void>;
  /** Leaves out the headers that isolate a page. */
  unisolate(): void;
}

/** `test` with a page that is served through `between`, and without a service worker, which would keep what it was given. */
export const test = laneTest.extend<{ between: Between }>({
  serviceWorkers: 'block',
  between: async ({ webgpu: _lane }, use, { project }) => {
    const upstream = project.use.baseURL ?? '';
    const faults = new Map<string, { fault: string | (() => string); left: number }>();
    let isolated = true;
    let heard = 0;
    let counted = 0;
    let hear = () => {
      heard++;
    };
    const server = createServer((request, response) => {
      if (request.url === '/held') {
        hear();
        response.writeHead(204).end();
        return;
      }
      void fetch(upstream + (request.url ?? '/'))
        .then(async (answer) => {
          const script = /\/(\w+)\.worker-[^/]*\.js$/.exec(request.url ?? '')?.[1] ?? '';
          const planted = faults.get(script);
          const body = Buffer.from(await answer.arrayBuffer());
          const text =
            planted && planted.left-- > 0 ? (typeof planted.fault === 'string' ? planted.fault : planted.fault()) : '';
          const headers = [...answer.headers].filter(
            ([name]) =>
              (isolated || !name.startsWith('cross-origin-')) &&
              !/^(content-(length|encoding)|transfer-encoding|connection|keep-alive|etag|cache-control)$/.test(name),
          );
          response.writeHead(answer.status, { ...Object.fromEntries(headers), 'cache-control': 'no-store' });
          response.end(text ? Buffer.concat([Buffer.from(`${text};\n`), body]) : body);
        })
        .catch(() => {
          response.destroy();
        });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, 'localhost', resolve);
    });
    await use({
      url: `http://localhost:${(server.address() as AddressInfo).port}`,
      plant(script, fault, first = Infinity) {
        faults.set(script, { fault, left: first });
      },
      held: () =>
        new Promise((resolve) => {
          const count = () => {
            if (heard === counted) return;
            counted = heard;
            resolve();
          };
          hear = () => {
            heard++;
            count();
          };
          count();
        }),
      unisolate() {
        isolated = false;
      },
    });
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  },
  baseURL: async ({ between }, use) => {
    await use(between.url);
  },
});

/** In the engine: does `what` as soon as the page has been sent progress of that stage. */
export const when = (stage: string, what: string) => `{
  const post = MessagePort.prototype.postMessage;
  MessagePort.prototype.postMessage = function (message, ...rest) {
    post.call(this, message, ...rest);
    if (message?.event?.type === 'progress' && message.event.stage === '${stage}') { ${what} }
  };
}`;
/** Stops a worker where it is, for ever, and says so. */
export const HOLD = `{
  const said = new XMLHttpRequest();
  said.open('GET', '/held', false);
  said.send();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}`;
/** Ends a worker without an error event, as soon as it has begun to work. */
export const DIE = `{
  const post = self.postMessage;
  self.postMessage = function (message, ...rest) {
    post.call(self, message, ...rest);
    if (message?.holds) setTimeout(() => { close(); });
  };
}`;

/** Errors of that code that the page shows. */
export const problem = (page: Page, code: EngineErrorCode) => page.locator(`[data-error="${code}"]`);

export const compareButton = (page: Page) => page.getByRole('button', { name: 'Compare', exact: true });
/** Waits until the engine is held in that stage, and the page shows it. */
export async function reaches(page: Page, between: Between, stage: string): Promise<void> {
  await between.held();
  await expect(
    page.getByRole('list', { name: 'Stages' }).getByRole('listitem').filter({ hasText: stage, hasNotText: 'loading' }),
  ).toHaveAttribute('data-state', /now|done/);
  await expect(page.getByRole('button', { name: 'Cancel' })).toBeEnabled();
}

type Files = Parameters<ReturnType<Page['getByLabel']>['setInputFiles']>[0];

/** Chooses the job's files in a page that has just been opened, and leaves out what takes long beside it. */
export async function choose(page: Page, { files = FILES }: { files?: Files } = {}): Promise<void> {
  await page.getByLabel('Choose files').setInputFiles(files);
  await expect(compareButton(page)).toBeEnabled();
  // New levels get the settings that suit the model once it is planned.
  if (files === FILES) await expect(page.getByRole('switch', { name: 'Quantize embedding' }).first()).toBeChecked();
  await leaveOutExtras(page);
}

export async function finished(page: Page): Promise<void> {
  // The button changes at once, results a moment later: those of an earlier run may still be shown while one is under way.
  await expect(page.getByRole('button', { name: 'Cancel' })).toHaveCount(0);
  await expect(page.getByRole('heading', { name: /^tiny\.onnx, compared/ })).toBeVisible();
}

/** SHA-256 of what can be downloaded, by name. */
export async function downloads(page: Page): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const level of ['fp16', 'int8', 'int4']) {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: `Download ${level}`, exact: true }).click(),
    ]);
    found[download.suggestedFilename()] = sha256(readFileSync(await download.path()));
  }
  return found;
}
