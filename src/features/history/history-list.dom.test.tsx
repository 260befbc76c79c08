import { fireEvent, screen, waitFor } from '@testing-library/react';
import { expect, it } from 'vitest';
import type { Storage, StoredReport } from '../../../workers/contract/storage.ts';
import { show, testPage } from '../../test-page.ts';
import { languageReport } from '../results/test-reports.ts';
import { HistoryList } from './history-list.tsx';

const entry = (key: string): StoredReport => ({
  key,
  createdAt: '2026-01-02T03:04:05.000Z',
  bytes: 10,
  model: { name: `${key}.onnx`, bytes: 8 },
  levels: ['fp16', 'int4'],
  protocol: null,
});
const empty: Storage = { problem: null, used: 20, quota: null, free: null, persisted: false, results: [] };

/** A page on which two results are stored; `removed` are the keys it has deleted. */
async function pageWithResults() {
  const stored = new Map(['first', 'second'].map((key) => [key, entry(key)]));
  const removed: string[] = [];
  const remove = (keys: readonly string[]) => {
    for (const key of keys) if (stored.delete(key)) removed.push(key);
    return Promise.resolve({ ok: true as const, value: empty });
  };
  const page = testPage({
    capabilities: () =>
      Promise.resolve({
        ok: true,
        value: { backend: 'wasm', webgpu: { available: false, reason: '' }, isolated: true, threads: 2 },
      }),
    history: () => Promise.resolve({ ok: true, value: [...stored.values()] }),
    storage: () => Promise.resolve({ ok: true, value: empty }),
    openStored: (key) =>
      Promise.resolve({ ok: true, value: { stored: entry(key), report: languageReport, files: [] } }),
    remove,
    removeAll: () => remove([...stored.keys()]),
  });
  await page.workbench.getState().start();
  return { page, removed };
}

it('opens a stored result as a finished run', async () => {
  const { page } = await pageWithResults();
  show(page, <HistoryList />);
  fireEvent.click(screen.getAllByRole('button', { name: 'Open' })[1] as HTMLElement);
  await waitFor(() => {
    const { run } = page.workbench.getState();
    expect(run).toMatchObject({ status: 'done', model: { name: languageReport.model.name } });
    expect(run?.levels.map(({ id }) => id)).toEqual(languageReport.levels.map(({ id }) => id));
  });
});

it('deletes the one that is asked for', async () => {
  const { page, removed } = await pageWithResults();
  show(page, <HistoryList />);
  fireEvent.click(screen.getAllByRole('button', { name: 'Delete' })[0] as HTMLElement);
  await waitFor(() => {
    expect(screen.getAllByRole('button', { name: 'Open' }).length).toBe(1);
  });
  expect(removed).toEqual(['first']);
});

it('deletes all only after it has asked', async () => {
  const { page, removed } = await pageWithResults();
  show(page, <HistoryList />);
  fireEvent.click(screen.getByRole('button', { name: 'Delete all' }));
  expect(screen.getByRole('group', { name: 'Delete all' })).toBeTruthy();
  expect(removed).toEqual([]);
  fireEvent.click(screen.getByRole('button', { name: /^Yes/ }));
  await waitFor(() => {
    expect(removed).toEqual(['first', 'second']);
  });
});
