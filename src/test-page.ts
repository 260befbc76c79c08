/** Mounts components on a page of their own, for tests. */
import { MantineProvider } from '@mantine/core';
import { render } from '@testing-library/react';
import { createElement, type ReactNode } from 'react';
import type { EngineClient, StorageClient } from './engine/client.ts';
import { createGeneration } from './store/generation.ts';
import { inertEngine } from './store/test-engine.ts';
import type { WorkbenchState } from './store/state.ts';
import { PageContext, type Page } from './store/use-workbench.ts';
import { createWorkbench } from './store/workbench.ts';

/** A page on an engine that computes nothing. @param engine What the test replaces of it. */
export function testPage(engine: Partial<EngineClient & StorageClient> = {}): Page {
  let count = 0;
  const client = { ...inertEngine, ...engine };
  return {
    engine: client,
    workbench: createWorkbench({
      engine: client,
      origin: { uid: () => `id${++count}`, now: () => Date.now() },
      fetchSample: () => Promise.resolve({ ok: true, value: [namedFile('sample.onnx')] }),
    }),
    generation: createGeneration((job, onEvent) => ({
      done: client.generate(job, onEvent),
      cancel: () => undefined,
    })),
  };
}

/** A file of a few bytes. The engine of tests knows files by their names. */
export const namedFile = (name: string): File => new File(['12345678'], name);

/** Opens a language model with tokenizer and text, and waits until its levels are planned. */
export async function openModel({ workbench }: Page): Promise<void> {
  const isPlanned = ({ levels, plans }: WorkbenchState) => levels.every(({ uid }) => plans.has(uid));
  await workbench.getState().addFiles(['model.onnx', 'tokenizer.json', 'text.txt'].map(namedFile));
  await new Promise<void>((resolve) => {
    const stop = workbench.subscribe((state) => {
      if (!isPlanned(state)) return;
      stop();
      resolve();
    });
  });
}

/** Renders `node` as a part of `page`. */
export function show(page: Page, node: ReactNode): void {
  // Without transitions nothing waits for an animation that this DOM does not play.
  render(createElement(MantineProvider, { env: 'test' }, createElement(PageContext, { value: page }, node)));
}
