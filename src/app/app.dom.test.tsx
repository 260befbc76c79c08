import { act, screen } from '@testing-library/react';
import { expect, it } from 'vitest';
import { error } from '../store/test-engine.ts';
import { openModel, show, testPage } from '../test-page.ts';
import { App } from './app.tsx';

it('starts its page once, however often it renders', async () => {
  let asked = 0;
  const page = testPage({
    capabilities: () => {
      asked++;
      return Promise.resolve({ ok: false, error: error('internal') });
    },
  });
  show(page, <App />);
  await act(() => openModel(page));
  expect(await screen.findByRole('heading', { level: 1, name: 'model.onnx' })).toBeTruthy();
  expect(screen.getByRole('button', { name: 'Compare' }).hasAttribute('disabled')).toBe(false);
  expect(asked).toBe(1);
});
