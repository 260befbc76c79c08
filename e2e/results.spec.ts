/** What results look like and how one moves in them, with reports made beforehand: see the stand-in. */
import type { Page } from '@playwright/test';
import { expect, test } from './lane.ts';
import { compareWithStandIn } from './stand-in.ts';

// A service worker answers requests where they cannot be replaced.
test.use({ serviceWorkers: 'block' });

const openTab = (page: Page, name: string) => page.getByRole('tab', { name, exact: true }).click();
const row = (page: Page, table: string, name: RegExp) =>
  page.getByRole('region', { name: table }).getByRole('row', { name });

test('a file that one provider computes wrongly is said first, with the node', async ({ page }) => {
  await compareWithStandIn(page, 'faulty.onnx');
  const banner = page.getByRole('alert');
  await expect(banner).toContainText('On WebGPU this file computes something else: int4. The quantization is fine.');
  await expect(banner).toContainText(
    'They part at node /model/layers.2/mlp/down_proj/MatMul_Q4 (MatMulNBits), tensor /model/layers.2/mlp/down_proj/MatMul/output_0.',
  );
  await banner.getByText('Details', { exact: true }).click();
  await expect(banner.getByText('difference of the output, RMS over RMS: 0.173')).toBeVisible();
  await openTab(page, 'Runtimes');
  await expect(row(page, 'Table of drifts', /^int4/)).toContainText('2.31');
  await expect(row(page, 'Nodes that would overflow', /layers\.5/)).toContainText('204,771');

  await compareWithStandIn(page, 'model.onnx');
  await expect(page.getByRole('alert')).toHaveCount(0);
  await openTab(page, 'Runtimes');
  await expect(row(page, 'Table of drifts', /noise floor/)).toContainText('10⁻⁶');
});

test('the text in colours is read by pointer and by keyboard, and what is in it stays text', async ({ page }) => {
  await compareWithStandIn(page, 'model.onnx');
  await openTab(page, 'Words');
  const text = page.getByRole('listbox');
  await text.focus();
  await page.keyboard.press('Home');
  const first = text.getByRole('option', { selected: true });
  await expect(first).toHaveAccessibleName(/^␣nothing: .* at fp16, .* at int4, .* nats$/);
  await page.keyboard.press('ArrowRight');
  await expect(text.getByRole('option', { selected: true })).toHaveAccessibleName(/^␣particular: /);
  await expect(text).toHaveAttribute(
    'aria-activedescendant',
    (await text.getByRole('option', { selected: true }).getAttribute('id')) ?? 'none',
  );
  await text
    .getByRole('option', { name: /Ishmael|shore/ })
    .first()
    .hover();
  await expect(text.getByRole('option', { selected: true })).toHaveAccessibleName(/shore/);

  await expect(text.getByText('onerror=alert(1)>')).toBeVisible();
  await expect(row(page, 'Worst tokens', /<b>/)).toContainText('would say ␣, 31');
  expect(await page.locator('img[src="x"]').count()).toBe(0);

  await page.getByRole('button', { name: 'Page 2 of the text' }).click();
  await expect(text.getByText('onerror=alert(1)>')).toHaveCount(0);
  await page.getByText('int8', { exact: true }).last().scrollIntoViewIfNeeded();
  await page.getByRole('radiogroup', { name: 'Level' }).getByText('int8').click();
  await text.focus();
  await page.keyboard.press('End');
  await expect(text.getByRole('option', { selected: true })).toHaveAccessibleName(/at int8/);
});

test('one prompt is continued side by side, and the first token that differs is marked', async ({ page }) => {
  await compareWithStandIn(page, 'model.onnx');
  await openTab(page, 'Side by side');
  await expect(page.getByRole('textbox', { name: 'Seed' })).toBeDisabled();
  await page.getByText('sampled').click();
  await expect(page.getByRole('textbox', { name: 'Seed' })).toBeEnabled();
  await page.getByRole('textbox', { name: 'Prompt' }).fill('In the evening');
  await page.getByRole('button', { name: 'Continue' }).click();
  const columns = page.getByRole('list', { name: 'Continuations' }).getByRole('listitem');
  await expect(columns).toHaveCount(3);
  await expect(columns.nth(1)).toContainText('The same as fp16, to the last token.');
  await expect(columns.nth(2)).toContainText('Differs from fp16 after 5 tokens.');
  await expect(columns.nth(2).locator('mark')).toHaveText('quay');
  await expect(columns.nth(0)).toContainText('141 tokens/s, KV cache used');
  await expect(columns.nth(2)).toContainText('<b>the men</b>');
});

test('speed and memory have a group a provider', async ({ page }) => {
  await compareWithStandIn(page, 'model.onnx');
  await openTab(page, 'Speed and memory');
  await expect(row(page, 'Table of speed and memory on WASM, 4 threads', /^fp16/)).toContainText('173 to 202 ms');
  await expect(row(page, 'Table of speed and memory on WebGPU', /^int4/)).toContainText('6 of 214 nodes');
  await expect(page.getByRole('img', { name: /^Prefill on/ })).toHaveCount(2);
  await expect(page.getByText(/^fp16: run in float32/)).toBeVisible();
});

test('a model that is not a language model is judged by its outputs, on inputs called what they are', async ({
  page,
}) => {
  await compareWithStandIn(page, 'image.onnx');
  await expect(
    page
      .getByText(/int4 is 3\.4× smaller than fp16\. Its outputs keep a signal-to-noise ratio of at least 19\.8\sdB\./)
      .first(),
  ).toBeVisible();
  await expect(page.getByText('8 random inputs (seed 1)').first()).toBeVisible();
  await expect(row(page, 'Table of outputs', /int4 logits/)).toContainText('1 × 1,000');
  await expect(page.getByRole('img', { name: /^Size vs\. signal-to-noise ratio: int8/ })).toBeVisible();
  await expect(page.getByText('Input files, none yet')).toBeVisible();
  await expect(page.getByRole('columnheader', { name: /Perplexity/ })).toHaveCount(0);
});

test('a text is pasted anywhere, or into the dialog, and never twice', async ({ page }) => {
  await compareWithStandIn(page, 'model.onnx');
  const paste = (selector: string, text: string) =>
    page.evaluate(
      ([target, content]) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData('text/plain', content ?? '');
        document
          .querySelector(target ?? '')
          ?.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
      },
      [selector, text],
    );
  await paste('main', 'word '.repeat(1000));
  await expect(page.getByText('pasted.txt, 5.00\u00a0kB')).toBeVisible();
  await page.getByRole('button', { name: 'Paste text' }).click();
  const dialog = page.getByRole('dialog', { name: 'A text to measure on' });
  await paste('[role=dialog] textarea', 'for the field');
  await expect(dialog.getByRole('button', { name: 'Use this text' })).toBeDisabled();
  await dialog.getByRole('textbox').fill('Too few words.');
  await expect(dialog.getByRole('status')).toContainText('Too short to measure on');
  await dialog.getByRole('button', { name: 'Use this text' }).click();
  await expect(dialog).toHaveCount(0);
  await expect(page.getByText('pasted.txt, 14\u00a0B')).toBeVisible();
  await expect(page.getByText(/This text has 4 tokens, and 64 are the least/)).toBeVisible();
});

test('window, stride and extras are chosen before the run', async ({ page }) => {
  await compareWithStandIn(page, 'model.onnx');
  await page.getByRole('combobox', { name: 'Window' }).selectOption('2048');
  await expect(page.getByText('comparable with what llama.cpp prints with -c 2048')).toBeVisible();
  await expect(
    page.getByText(/The results below were measured by another protocol, llama\.cpp, windows of 512/),
  ).toBeVisible();
  await page.getByRole('combobox', { name: 'Protocol' }).selectOption('huggingface');
  await page.getByRole('combobox', { name: 'Stride' }).selectOption('128');
  await expect(page.getByText('A window of 1,024 tokens moves on by 128')).toBeVisible();
  await page.getByText('What to measure: everything').click();
  await page.getByRole('switch', { name: 'Speed and memory' }).uncheck();
  await expect(page.getByText('What to measure: 3 of 4 extras')).toBeVisible();
});
