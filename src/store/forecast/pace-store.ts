/** Keeps paces in this browser, so that other tabs and later visits predict from them. */
import type { Provider } from '../../../workers/contract/capabilities.ts';
import type { TimedStep } from '../../../workers/contract/events.ts';
import type { Pace } from './pace.ts';
import type { Paces } from './paces.ts';

export interface PaceStore {
  read(): Paces;
  write(paces: Paces): void;
  /** Calls when another tab has written. */
  onChange(changed: (paces: Paces) => void): void;
}

/** What there is of `Storage` that is used. */
export type KeyValues = Pick<Storage, 'getItem' | 'setItem'>;

/** Raised when a pace means something else than before. */
export const PACES_KEY = 'nibble.paces/1';

const STEPS: readonly string[] = [
  'open',
  'quantize',
  'start',
  'tokenize',
  'load',
  'run',
  'overflow',
  'runtime-drift',
  'speed',
] satisfies TimedStep[];
const PROVIDERS: readonly unknown[] = ['wasm', 'webgpu', null] satisfies (Provider | null)[];

/** Paces of this page's storage; nothing is kept, and nothing is wrong, where a browser allows none. */
export function storedPaces(
  storage: () => KeyValues,
  listen: (changed: (key: string | null, value: string | null) => void) => void,
): PaceStore {
  return {
    read() {
      try {
        return pacesIn(storage().getItem(PACES_KEY));
      } catch {
        return [];
      }
    },
    write(paces) {
      try {
        storage().setItem(PACES_KEY, JSON.stringify(paces));
      } catch {
        // Full or forbidden: this tab knows them all the same.
      }
    },
    onChange(changed) {
      listen((key, value) => {
        if (key === PACES_KEY || key === null) changed(pacesIn(value));
      });
    },
  };
}

/** What of a stored text is paces; what is not is left out. */
export function pacesIn(text: string | null): Paces {
  if (text === null) return [];
  try {
    const found: unknown = JSON.parse(text);
    return Array.isArray(found) ? found.filter(isPace) : [];
  } catch {
    return [];
  }
}

function isPace(value: unknown): value is Pace {
  if (typeof value !== 'object' || value === null) return false;
  const { step, provider, kind, size, amount, seconds } = value as Partial<Record<keyof Pace, unknown>>;
  return (
    typeof step === 'string' &&
    STEPS.includes(step) &&
    PROVIDERS.includes(provider) &&
    typeof kind === 'string' &&
    [size, amount, seconds].every(isPositive)
  );
}

const isPositive = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && value > 0;
