import { fireEvent, screen, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import { namedFile, show, testPage } from '../../test-page.ts';
import { ModelSection } from './model-section.tsx';

it('opens the files of its input and names the model', async () => {
  const page = testPage();
  show(page, <ModelSection />);
  fireEvent.change(screen.getByLabelText('Choose files'), { target: { files: [namedFile('tiny.onnx')] } });
  expect(await screen.findByRole('heading', { level: 1, name: 'tiny.onnx' })).toBeTruthy();
  expect(page.workbench.getState().opened?.model?.name).toBe('tiny.onnx');
});

it('offers a button for each of several models, and opens the one that is chosen', async () => {
  const page = testPage();
  show(page, <ModelSection />);
  await page.workbench.getState().addFiles([namedFile('a.onnx'), namedFile('b.onnx')]);
  fireEvent.click(await screen.findByRole('button', { name: /^b\.onnx/ }));
  expect(await screen.findByRole('heading', { level: 1, name: 'b.onnx' })).toBeTruthy();
  expect(screen.queryByRole('button', { name: /^a\.onnx/ })).toBeNull();
});

it('has a place to drop each external data file that is missing', async () => {
  const page = testPage({
    open: (files) =>
      Promise.resolve({
        ok: true,
        value: {
          files: files.map(({ name, size }) => ({ name, bytes: size, kind: 'onnx' as const })),
          problems: [{ code: 'onnx-external-data', message: '', action: '', details: '' }],
          model: null,
          tokenizer: null,
          text: null,
          missing: [{ location: 'weights.bin', bytes: 16, tensors: 1 }],
        },
      }),
  });
  show(page, <ModelSection />);
  await page.workbench.getState().addFiles([namedFile('parts.onnx')]);
  const group = await screen.findByRole('group', { name: 'Missing external data' });
  expect(within(group).getByLabelText('Choose the file for weights.bin')).toBeTruthy();
});
