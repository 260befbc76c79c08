/** Which lane a test runs in: Playwright's `test` with the project's `webgpu` option as a fixture. */
import { test as base } from '@playwright/test';

export interface Lane {
  /** Whether this Chromium was started with a WebGPU adapter (the software one). */
  webgpu: boolean;
}

export const test = base.extend<Lane>({ webgpu: [false, { option: true }] });
export { expect } from '@playwright/test';
