/** Setup of component tests: what the page's components ask of a browser and the DOM they are tested in lacks. */
import { cleanup, configure } from '@testing-library/react';
import { afterEach } from 'vitest';

// No test depends on how fast the machine is: the test's own limit ends one that hangs.
configure({ asyncUtilTimeout: 10 * 60_000 });

Element.prototype.scrollIntoView = () => undefined;

afterEach(cleanup);
