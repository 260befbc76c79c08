/** This tab's session, in a browser. */
import { indexedBlobs } from './blobs.ts';
import { createSession, type Session } from './session.ts';

const TAB = 'nibble:tab';

/** Null where the browser keeps nothing for a tab. */
export function browserSession(): Session | null {
  try {
    // A tab that is duplicated has a copy of the other's: what one of them clears the other asks for again.
    const tab = sessionStorage.getItem(TAB) ?? crypto.randomUUID();
    sessionStorage.setItem(TAB, tab);
    return createSession({
      text: sessionStorage,
      blobs: indexedBlobs(tab),
      async free() {
        const { usage = 0, quota = 0 } = await navigator.storage.estimate();
        return quota - usage;
      },
    });
  } catch {
    return null;
  }
}
