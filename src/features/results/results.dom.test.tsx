import { fireEvent, screen, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import { show, testPage } from '../../test-page.ts';
import { Results } from './results.tsx';
import { figuresIn, runOf } from './test-figures.ts';
import { faultyReport, imageReport, languageReport } from './test-reports.ts';

const resultsOf = (report: typeof languageReport) => {
  const page = testPage();
  show(page, <Results run={runOf(report)} figures={figuresIn(report)} />);
  return page;
};

it('has the figures of every level in a table', async () => {
  resultsOf(languageReport);
  const table = within(await screen.findByRole('region', { name: 'Table of figures' }));
  expect(table.getAllByRole('rowheader').length).toBe(languageReport.levels.length);
  expect(table.getByRole('columnheader', { name: 'Perplexity' })).toBeTruthy();
});

it('has no column of perplexity for a model that was run on inputs', async () => {
  resultsOf(imageReport);
  const table = within(await screen.findByRole('region', { name: 'Table of figures' }));
  expect(table.queryByRole('columnheader', { name: 'Perplexity' })).toBeNull();
});

it('opens the views in tabs, statistics first', async () => {
  resultsOf(languageReport);
  const tab = await screen.findByRole('tab', { name: 'Speed and memory' });
  expect(screen.getByRole('tab', { selected: true }).textContent).toBe('Statistics');
  fireEvent.click(tab);
  expect(screen.getByRole('tab', { selected: true })).toBe(tab);
});

it('warns above everything when a provider computes a file wrongly', async () => {
  resultsOf(faultyReport);
  expect(await screen.findByRole('alert')).toBeTruthy();
});

it('predicts memory for the context that is chosen', async () => {
  const page = resultsOf(languageReport);
  fireEvent.change(await screen.findByRole('combobox', { name: 'Context' }), { target: { value: '512' } });
  expect(page.workbench.getState().context).toBe(512);
});
