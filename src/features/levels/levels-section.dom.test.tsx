import { act, fireEvent, screen } from '@testing-library/react';
import { expect, it } from 'vitest';
import { emptyPlan } from '../../store/test-engine.ts';
import { openModel, show, testPage } from '../../test-page.ts';
import { LevelsSection } from './levels-section.tsx';

const cards = () => screen.getAllByRole('article').map((card) => card.getAttribute('aria-label'));

it('has a card for each level, which can be removed and brought back', async () => {
  const page = testPage();
  await openModel(page);
  show(page, <LevelsSection />);
  expect(cards()).toEqual(['fp16', 'int8', 'int4']);
  fireEvent.click(screen.getByRole('button', { name: 'Remove int8' }));
  expect(cards()).toEqual(['fp16', 'int4']);
  fireEvent.click(screen.getByRole('button', { name: 'Undo' }));
  expect(cards()).toEqual(['fp16', 'int8', 'int4']);
});

it('changes the setting of one level only', async () => {
  const page = testPage();
  await openModel(page);
  show(page, <LevelsSection />);
  const switches = screen.getAllByRole('switch', { name: 'Quantize embedding' });
  const last = switches.at(-1);
  if (!last) throw new Error('int4 has no such switch');
  fireEvent.click(last);
  const settings = page.workbench.getState().levels.map((level) => Boolean(level.settings.embedding));
  expect(settings).toEqual([false, false, true]);
});

it('keeps a level that the target refuses from being added, with a reason', async () => {
  const page = testPage({
    plan: (_, levels, variants = []) =>
      Promise.resolve({
        ok: true,
        value: [...levels, ...variants].map(({ key, id }) => ({
          ...emptyPlan(key),
          ...(id === 'q4f16' && { notOn: [{ target: 'wasm' as const, reason: 'no kernel' }] }),
        })),
      }),
  });
  await openModel(page);
  show(page, <LevelsSection />);
  const button = screen.getByRole('button', { name: 'Add q4f16' });
  expect(button.getAttribute('aria-disabled')).toBe('true');
  expect(button.getAttribute('aria-description')).toContain('no kernel');
  fireEvent.click(button);
  expect(cards()).toEqual(['fp16', 'int8', 'int4']);
});

it('cannot be changed while a comparison runs', async () => {
  const page = testPage({ compare: () => new Promise(() => undefined) });
  await openModel(page);
  show(page, <LevelsSection />);
  await act(async () => {
    void page.workbench.getState().compare();
    await Promise.resolve();
  });
  expect(screen.getByRole('button', { name: 'Remove int4' }).hasAttribute('disabled')).toBe(true);
});
