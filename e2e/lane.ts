/** Which lane a test runs in: Playwright's `test` with the project's `webgpu` option as a fixture. */
import { expect, test as base } from '@playwright/test';

export interface Lane {
  /** Whether this Chromium was started with a WebGPU adapter (the software one). */
  webgpu: boolean;
}

/** For tests of what is the same with and without WebGPU: they run without. Of whole files playwright.config.ts knows. */
export const EITHER = { tag: '@either' };

/** Every test fails that makes the page do what its content policy forbids, or asks another origin for something. */
export const test = base.extend<Lane & { closed: undefined }>({
  webgpu: [false, { option: true }],
  closed: [
    async ({ context, baseURL }, use) => {
      const forbidden: string[] = [];
      context.on('console', (message) => {
        if (/content security policy/i.test(message.text())) forbidden.push(message.text());
      });
      context.on('request', (request) => {
        if (/^https?:/.test(request.url()) && !request.url().startsWith(`${baseURL ?? ''}/`))
          forbidden.push(request.url());
      });
      await use(undefined);
      expect(forbidden).toEqual([]);
    },
    { auto: true },
  ],
});
export { expect };
