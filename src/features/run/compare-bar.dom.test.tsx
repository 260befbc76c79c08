import { fireEvent, screen, waitFor } from '@testing-library/react';
import { expect, it } from 'vitest';
import type { Result } from '../../../workers/contract/errors.ts';
import type { Job } from '../../../workers/contract/job.ts';
import type { Report } from '../../../workers/contract/report.ts';
import { error } from '../../store/test-engine.ts';
import { openModel, show, testPage } from '../../test-page.ts';
import { CompareBar } from './compare-bar.tsx';

it('compares what is set up, and cancels it', async () => {
  const jobs: Job[] = [];
  let settle: (result: Result<Report>) => void = () => undefined;
  const page = testPage({
    compare: (job) => {
      jobs.push(job);
      return new Promise((resolve) => {
        settle = resolve;
      });
    },
    cancel: () => {
      settle({ ok: false, error: error('cancelled') });
      return Promise.resolve();
    },
  });
  await openModel(page);
  show(page, <CompareBar />);
  fireEvent.click(screen.getByRole('button', { name: 'Compare' }));
  const cancel = await screen.findByRole('button', { name: 'Cancel' });
  expect(jobs.map(({ levels }) => levels.map(({ id }) => id))).toEqual([['fp16', 'int8', 'int4']]);
  fireEvent.click(cancel);
  expect(await screen.findByRole('button', { name: 'Compare' })).toBeTruthy();
  expect(page.workbench.getState().run).toBeNull();
});

it('sets how much text is measured with the slider', async () => {
  const page = testPage();
  await openModel(page);
  show(page, <CompareBar />);
  const slider = screen.getByRole('slider', { name: 'Text to measure on' });
  fireEvent.keyDown(slider, { key: 'End' });
  await waitFor(() => {
    expect(page.workbench.getState().maxTokens).toBeNull();
  });
  fireEvent.keyDown(slider, { key: 'Home' });
  await waitFor(() => {
    expect(page.workbench.getState().maxTokens).toBeLessThan(50_000);
  });
});

it('has a switch for each extra measurement', async () => {
  const page = testPage();
  await openModel(page);
  show(page, <CompareBar />);
  fireEvent.click(screen.getByLabelText(/Noise floor/));
  expect(page.workbench.getState().extras).toMatchObject({ noiseFloor: false, words: true });
});
