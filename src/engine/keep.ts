/** Asks the browser not to clear away what is stored. Some browsers put that to the person, so it is asked once ever. */

const ASKED = 'nibble:asked-to-keep';

export interface PersistencePlatform {
  storage: Pick<StorageManager, 'persist' | 'persisted'> | undefined;
  memory: Pick<Storage, 'getItem' | 'setItem'>;
}

/** Errors stay here: without an answer everything works, for as long as the browser has room. */
export async function requestPersistence({ storage, memory }: PersistencePlatform): Promise<void> {
  try {
    if (!storage || memory.getItem(ASKED) !== null) return;
    memory.setItem(ASKED, 'yes');
    if (!(await storage.persisted())) await storage.persist();
  } catch {
    // Storage may be switched off altogether.
  }
}

export function requestPersistenceOnce(): void {
  try {
    // Outside secure contexts there is no `storage`, and reading `localStorage` may throw.
    void requestPersistence({ storage: (navigator as Partial<Navigator>).storage, memory: localStorage });
  } catch {
    // As above.
  }
}
