import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { matMulModel, randomValues } from '../models/build.ts';
import { leaveOutExtras } from './extras.ts';
import { expect, test } from './lane.ts';

test('the page loads, is cross-origin isolated, and asks no other origin for anything', async ({ page, baseURL }) => {
  const elsewhere: string[] = [];
  const problems: string[] = [];
  page.context().on('request', (request) => {
    if (/^https?:/.test(request.url()) && !request.url().startsWith(`${baseURL}/`)) elsewhere.push(request.url());
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });

  const response = await page.goto('/');
  expect(response?.status()).toBe(200);
  await expect(page).toHaveTitle(/Nibble/);
  await expect(page.getByRole('button', { name: 'Try the sample model' })).toBeVisible();
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  const policy = response?.headers()['content-security-policy'] ?? '';
  expect(policy).toMatch(/default-src 'self'/);
  expect(policy).not.toMatch(/unsafe-inline|'unsafe-eval'|https?:|\*/);
  expect(elsewhere).toEqual([]);
  expect(problems).toEqual([]);
});

test('a comparison asks for nothing but files of the page, and sends nothing', async ({ page, baseURL, webgpu }) => {
  const asked: string[] = [];
  page.context().on('request', (request) => {
    if (/^https?:/.test(request.url()))
      asked.push(`${request.method()} ${request.url().slice((baseURL ?? '').length)}${request.postData() ?? ''}`);
  });
  await page.goto('/');
  await page
    .getByLabel('Choose files')
    .setInputFiles([
      { name: 'tiny.onnx', mimeType: '', buffer: Buffer.from(matMulModel(randomValues(1, 1024), 32, 32)) },
    ]);
  // Speed is measured on WASM in both lanes: the adapter is the processor.
  await expect(page.getByRole('button', { name: 'Compare', exact: true })).toBeEnabled();
  if (webgpu) await leaveOutExtras(page, ['Speed and memory']);
  await page.getByRole('button', { name: 'Compare', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Export JSON' })).toBeEnabled();
  expect(asked.length).toBeGreaterThan(5);
  expect(
    asked.filter((request) => {
      const file = /^GET \/([\w./-]*)$/.exec(request)?.[1];
      return file === undefined || !existsSync(join(import.meta.dirname, '..', 'dist', file || 'index.html'));
    }),
  ).toEqual([]);
});

test('the lane has the adapter it is named after', async ({ page, webgpu }) => {
  await page.goto('/');
  const adapter = await page.evaluate(async () => {
    const found = await navigator.gpu.requestAdapter();
    return found && { vendor: found.info.vendor, architecture: found.info.architecture };
  });
  expect(adapter).toEqual(webgpu ? { vendor: 'google', architecture: 'swiftshader' } : null);
});

test('the sample model and its text are served with the page', async ({ request }) => {
  const sizes: Record<string, number> = {};
  for (const name of ['model_fp16.onnx', 'tokenizer.json', 'tokenizer_config.json', 'config.json', 'held-out.txt']) {
    const response = await request.get(`/sample/${name}`);
    expect(response.status(), name).toBe(200);
    sizes[name] = (await response.body()).byteLength;
  }
  expect(sizes).toMatchObject({ 'model_fp16.onnx': 11_733_455, 'held-out.txt': 514_235 });
});
