import { screen, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import { show, testPage } from '../../test-page.ts';
import { runOf } from '../results/test-figures.ts';
import { languageReport } from '../results/test-reports.ts';
import { RunSection } from './run-section.tsx';

it('has a row for each level and a stage for each step, and exports the report of a finished run', () => {
  const run = runOf(languageReport);
  show(testPage(), <RunSection run={run} />);
  const region = screen.getByRole('region', { name: /^tiny|model/ });
  expect(region.getAttribute('aria-busy')).toBe('false');
  expect(within(screen.getByRole('list', { name: 'Stages' })).getAllByRole('listitem').length).toBe(5);
  expect(screen.getByRole('button', { name: 'Export JSON' }).hasAttribute('disabled')).toBe(false);
});

it('is busy and has nothing to export while it runs', () => {
  const run = { ...runOf(languageReport), status: 'running' as const, report: null, endedAt: null };
  show(testPage(), <RunSection run={run} />);
  expect(screen.getByRole('region', { busy: true })).toBeTruthy();
  expect(screen.getByRole('button', { name: 'Export JSON' }).hasAttribute('disabled')).toBe(true);
});
