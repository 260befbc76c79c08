/** Files written to a folder of the user's own. No picker can be clicked by a test: it answers with a folder of the origin's private file system, which has the same interface. */
import type { Page } from '@playwright/test';
import { choose, compareButton, downloads, finished, test, undisturbed } from './disturbed.ts';
import { EITHER, expect } from './lane.ts';

async function withFolder(page: Page, name: string): Promise<void> {
  await page.addInitScript((folder) => {
    Object.assign(window, {
      showDirectoryPicker: async () =>
        (await navigator.storage.getDirectory()).getDirectoryHandle(folder, { create: true }),
    });
  }, name);
}

/** SHA-256 of what is in the folder, by name. */
const filesIn = (page: Page, name: string) =>
  page.evaluate(async (folder) => {
    const files: Record<string, string> = {};
    for await (const entry of (await (await navigator.storage.getDirectory()).getDirectoryHandle(folder)).values()) {
      const bytes = await (await (entry as FileSystemFileHandle).getFile()).arrayBuffer();
      files[entry.name] = [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))]
        .map((byte) => byte.toString(16).padStart(2, '0'))
        .join('');
    }
    return files;
  }, name);

test(
  'files are written to a folder that is chosen; a full one is said, and another one takes them',
  EITHER,
  async ({ page, context, baseURL }) => {
    const expected = undisturbed();
    const cdp = await context.newCDPSession(page);
    const quota = (quotaSize?: number) =>
      cdp.send('Storage.overrideQuotaForOrigin', {
        origin: baseURL ?? '',
        ...(quotaSize === undefined ? {} : { quotaSize }),
      });
    await withFolder(page, 'models');
    await page.goto('/');
    await choose(page);
    const where = page.getByRole('group', { name: 'Where files go' });
    await where.getByRole('button', { name: 'Write them to a folder…' }).click();
    await expect(where).toContainText('Files are written to the folder models, and not kept in this browser.');

    await quota(100_000);
    await compareButton(page).click();
    const alert = page.getByRole('alert');
    await expect(alert).toContainText(/There is no room for tiny_[\w-]+\.onnx on the disk of the folder models\./);
    await quota();
    await alert.getByRole('button', { name: 'Compare into another folder…' }).click();
    await finished(page);
    await expect(alert).toHaveCount(0);
    expect(await filesIn(page, 'models')).toEqual(expected);
    await expect(page.getByText('tiny_q4_embedding-tokens.onnx in the folder models')).toBeVisible();
    await expect(page.getByRole('button', { name: /^Download/ })).toHaveCount(0);

    await where.getByRole('button', { name: 'Keep them in this browser' }).click();
    await compareButton(page).click();
    await expect(page.getByRole('button', { name: 'Download int4' })).toBeVisible();
    await finished(page);
    expect(await downloads(page)).toEqual(expected);
    expect(await filesIn(page, 'models')).toEqual(expected);
  },
);

test('where a page cannot ask for folders, none is offered', EITHER, async ({ page }) => {
  await page.addInitScript(() => {
    Reflect.deleteProperty(window, 'showDirectoryPicker');
  });
  await page.goto('/');
  await choose(page);
  await expect(compareButton(page)).toBeEnabled();
  await expect(page.getByRole('group', { name: 'Where files go' })).toHaveCount(0);
});
