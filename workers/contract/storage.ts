/** What is kept in the browser's storage. */
import type { EngineError } from './errors.ts';
import type { ProtocolName } from './job.ts';
import type { Report } from './report.ts';

/** A file of a level in the browser's storage, finished or to be gone on with. */
export interface StoredResult {
  /** What determines its bytes, hashed; hexadecimal. */
  key: string;
  file: string;
  /** As on the command line, e.g. `int4:block=128,asymmetric`. */
  level: string;
  /** The model it is made of. */
  model: { name: string; fingerprint: string };
  finished: boolean;
  /** Bytes there, and bytes when finished. */
  bytes: number;
  total: number;
  /** ISO 8601. */
  createdAt: string;
  lastUsed: string;
}

export interface Storage {
  /** Why nothing can be kept, or null. */
  problem: EngineError | null;
  /** Bytes of all results and reports kept. */
  used: number;
  /** Bytes this site may use in all, as the browser estimates; null where it does not tell. */
  quota: number | null;
  /** Bytes left of `quota`. */
  free: number | null;
  /** Whether the browser has promised not to clear this by itself when the disk runs low. */
  persisted: boolean;
  /** Last used first. */
  results: StoredResult[];
}

/** A finished report in the browser's storage, as a line of a list. */
export interface StoredReport {
  key: string;
  /** ISO 8601. */
  createdAt: string;
  bytes: number;
  model: { name: string; bytes: number };
  levels: string[];
  /** Null when only sizes were compared. */
  protocol: { name: ProtocolName; text: string; tokens: number } | null;
}

/** A stored report with the files it is about. */
export interface OpenedReport {
  stored: StoredReport;
  report: Report;
  /** One for each of the report's levels, in order; null where the file is not stored, as of a model that is its own baseline. */
  files: {
    level: string;
    result: string;
    file: File | null;
    /** The second file of a model too large for one; null where it is not stored. */ data?: File | null;
  }[];
  /** Configuration and tokenizer files that were stored with it, by their names in a Hub folder; absent where none were stored. */
  companions?: File[];
}
