/**
 * What survives a reload of this tab: levels and settings always, and the files of a comparison under way where the
 * browser can keep them. Small facts are text, written at once; files are handles or copies, see blobs.ts.
 */
import type { Extras, ProtocolRequest } from '../../../workers/contract/job.ts';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import type { Target } from '../../../workers/contract/level-plan.ts';
import { pathOf } from '../../lib/path.ts';
import { isLevelId, normalize } from '../../../workers/contract/levels/level.ts';
import type { Level } from '../levels.ts';
import type { Blobs } from './blobs.ts';
import { contentHash } from './content-hash.ts';

/** What a person has set up. */
export interface Setup {
  levels: readonly Level[];
  target: Target;
  targetIsChosen: boolean;
  maxTokens: number | null;
  protocol: ProtocolRequest;
  provider: Provider | 'faster';
  extras: Required<Extras>;
  context: number;
}

/** A file of the comparison under way. */
export interface SavedFile {
  path: string;
  bytes: number;
  /** Where it is found again; `none` where it has to be chosen again. */
  from: 'sample' | 'copy' | 'handle' | 'none';
  /** Of its content; null until it is known. */
  hash: string | null;
}

export interface Interrupted {
  model: string;
  files: SavedFile[];
}

/** What is found again of an interrupted comparison. `locked` need the person's permission, `missing` the person's hand. */
export interface Found {
  model: string;
  files: File[];
  sample: boolean;
  locked: FileSystemFileHandle[];
  missing: SavedFile[];
  folder: FileSystemDirectoryHandle | null;
}

export interface Session {
  /** Null where nothing is saved, or it cannot be read. */
  setup(): Setup | null;
  saveSetup(setup: Setup): void;
  /** A comparison begins. Settles once its files are kept, as far as they can be; never rejects. */
  begin(
    model: string,
    files: readonly File[],
    sample: ReadonlySet<File>,
    folder: FileSystemDirectoryHandle | null,
  ): Promise<void>;
  /** It has ended: nothing is kept any more. */
  end(): Promise<void>;
  /** The comparison that was under way when the page went away; null when there was none. */
  find(): Promise<Found | null>;
}

export interface SessionParts {
  text: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
  blobs: Blobs;
  /** Bytes the browser would still take. */
  free(): Promise<number>;
}

const SETUP = 'nibble:setup';
const RUNNING = 'nibble:running';
const FOLDER = 'folder';
/** Copies of all files of a comparison together, and the share of the free space they may take. */
const COPY_LIMIT = 1 << 30;
const COPY_SHARE = 1 / 4;

export function createSession({ text, blobs, free }: SessionParts): Session {
  const read = <T>(key: string, valid: (value: T) => boolean): T | null => {
    try {
      const value = JSON.parse(text.getItem(key) ?? 'null') as T | null;
      return value !== null && valid(value) ? value : null;
    } catch {
      return null;
    }
  };
  const write = (key: string, value: unknown) => {
    try {
      text.setItem(key, JSON.stringify(value));
    } catch {
      // Without storage a reload begins anew.
    }
  };
  /** Which comparison is saved now: what is still being copied for an earlier one is given up. */
  let turn = 0;

  return {
    setup() {
      const saved = read<Setup>(SETUP, isSetup);
      return (
        saved && {
          ...saved,
          levels: saved.levels.map((level) => ({ ...level, settings: normalize(level.id, level.settings) })),
        }
      );
    },
    saveSetup(setup) {
      write(SETUP, setup);
    },

    async begin(model, files, sample, folder) {
      const mine = ++turn;
      const saved = files.map((file): SavedFile => ({
        path: pathOf(file),
        bytes: file.size,
        from: sample.has(file) ? 'sample' : 'none',
        hash: null,
      }));
      const save = () => {
        if (mine === turn) write(RUNNING, { model, files: saved } satisfies Interrupted);
      };
      save();
      try {
        await blobs.clear();
        if (folder) await blobs.put(FOLDER, folder);
        let room = Math.min(COPY_LIMIT, (await free()) * COPY_SHARE);
        for (const [index, file] of files.entries()) {
          const entry = saved[index];
          if (!entry || entry.from === 'sample' || mine !== turn) continue;
          const handle = handleOf(file);
          if (handle && (await blobs.put(String(index), handle))) entry.from = 'handle';
          else if (file.size <= room && (await blobs.put(String(index), file))) {
            entry.from = 'copy';
            room -= file.size;
          }
          if (entry.from !== 'copy') entry.hash = await contentHash(file).catch(() => null);
          save();
        }
      } catch {
        // What could not be kept is asked for after a reload.
      }
      if (mine !== turn) await blobs.clear();
    },

    async end() {
      turn++;
      try {
        text.removeItem(RUNNING);
      } catch {
        // As above.
      }
      await blobs.clear();
    },

    async find() {
      const saved = read<Interrupted>(RUNNING, ({ model, files }) => typeof model === 'string' && Array.isArray(files));
      if (!saved) return null;
      const found: Found = {
        model: saved.model,
        files: [],
        sample: false,
        locked: [],
        missing: [],
        folder: (await blobs.get(FOLDER)) as FileSystemDirectoryHandle | null,
      };
      for (const [index, entry] of saved.files.entries()) {
        if (entry.from === 'sample') {
          found.sample = true;
          continue;
        }
        const kept = entry.from === 'none' ? null : await blobs.get(String(index));
        const opened = kept === null ? null : await openKept(kept, entry);
        if (opened === 'locked') found.locked.push(kept as FileSystemFileHandle);
        else if (opened) found.files.push(opened);
        else found.missing.push(entry);
      }
      return found;
    },
  };
}

/** The file with the path it had; null where it is gone or has changed since. */
async function openKept(kept: Blob | FileSystemHandle, entry: SavedFile): Promise<File | 'locked' | null> {
  try {
    if (!(kept instanceof Blob)) {
      const handle = kept as FileSystemFileHandle & {
        queryPermission?(descriptor: { mode: 'read' }): Promise<PermissionState>;
      };
      if ((await handle.queryPermission?.({ mode: 'read' })) === 'prompt') return 'locked';
      const file = await handle.getFile();
      return (await isSameFile(file, entry)) ? withPath(file, entry.path) : null;
    }
    return withPath(kept, entry.path);
  } catch {
    return null;
  }
}

/** Whether a file is the one that was saved, by its content. */
export async function isSameFile(file: File, { bytes, hash }: SavedFile): Promise<boolean> {
  return file.size === bytes && (hash === null || (await contentHash(file)) === hash);
}

function withPath(content: Blob, path: string): File {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const file = content instanceof File && content.name === name ? content : new File([content], name);
  return path === name ? file : Object.assign(file, { path });
}

/** What a drop notes on a file where the browser gives handles. */
function handleOf(file: File): FileSystemFileHandle | null {
  const handle: unknown = Reflect.get(file, 'handle');
  return typeof handle === 'object' && handle !== null && 'getFile' in handle ? (handle as FileSystemFileHandle) : null;
}

/** `levels` is what JSON gave: its entries are looked at before they are taken for levels. */
function isSetup({
  levels,
  target,
  protocol,
  extras,
}: {
  levels: unknown;
  target: unknown;
  protocol: unknown;
  extras: unknown;
}): boolean {
  const isLevel = (level: unknown): level is Level =>
    typeof level === 'object' &&
    level !== null &&
    isLevelId(String(Reflect.get(level, 'id'))) &&
    typeof Reflect.get(level, 'uid') === 'string' &&
    typeof Reflect.get(level, 'settings') === 'object';
  return (
    Array.isArray(levels) &&
    levels.every(isLevel) &&
    levels[0]?.id === 'fp16' &&
    typeof target === 'string' &&
    typeof protocol === 'object' &&
    typeof extras === 'object'
  );
}
