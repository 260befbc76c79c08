/** Setup of component tests: what the page's components ask of a browser and the DOM they are tested in lacks. */
import { cleanup, configure } from '@testing-library/react';
import { afterAll, afterEach, vi } from 'vitest';

// Long enough for a machine that does much else.
configure({ asyncUtilTimeout: 60_000 });

Element.prototype.scrollIntoView = () => undefined;

afterEach(cleanup);

// Test files share modules: one that is loaded while its environment ends would be broken for all that follow.
afterAll(() => vi.dynamicImportSettled());
