/** Finished reports on a disk, one file a key: figures and the ledger, never weights. */
import { z } from 'zod';
import type { Report } from '../contract/report.ts';
import type { StoredReport } from '../contract/storage.ts';
import { companionSchema, type Companion } from './companions.ts';
import { readText, writeText, type Disk } from './disk/disk.ts';
import { isKey } from './job-key.ts';
import { reportSchema } from '../contract/report.ts';

export interface KeptReport {
  key: string;
  /** ISO 8601. */
  createdAt: string;
  /** Whether it answers the same job again: it is whole and nothing went wrong on the way. */
  answers: boolean;
  report: Report;
  /** Configuration and tokenizer files stored with it; absent where none were, as by older versions. */
  companions?: readonly Companion[] | undefined;
}

export interface StoredKeptReport extends KeptReport {
  /** That it takes on the disk, without its companions. */
  bytes: number;
}

export interface ReportStore {
  /** Null when there is none, or it cannot be read any more. */
  read(key: string): Promise<StoredKeptReport | null>;
  /** Throws what the disk throws. */
  keep(kept: KeptReport): Promise<void>;
  /** The latest first. */
  list(): Promise<StoredReport[]>;
  keys(): Promise<string[]>;
  remove(key: string): Promise<void>;
}

const REPORTS = 'reports';
const EXTENSION = '.json';

const schema: z.ZodType<KeptReport & { schema: string }> = z.object({
  schema: z.literal('nibble.kept-report/1'),
  key: z.string(),
  createdAt: z.iso.datetime(),
  answers: z.boolean(),
  report: reportSchema,
  companions: z.array(companionSchema).optional(),
});

export function openReportStore(disk: Disk): ReportStore {
  const path = (key: string) => {
    if (!isKey(key)) throw new RangeError(`not a key: ${key}`);
    return [REPORTS, `${key}${EXTENSION}`];
  };
  const keys = async () => (await disk.list([REPORTS])).map((name) => name.slice(0, -EXTENSION.length)).filter(isKey);

  async function read(key: string): Promise<StoredKeptReport | null> {
    const text = await readText(disk, path(key));
    const kept = text === null ? null : decode(text);
    return text !== null && kept?.key === key ? { ...kept, bytes: text.length } : null;
  }

  return {
    read,
    keep: (kept) => writeText(disk, path(kept.key), encode(kept)),
    async list() {
      const all = await Promise.all((await keys()).map(read));
      return all.flatMap((kept) => (kept ? line(kept) : [])).sort((a, b) => b.createdAt.localeCompare(a.createdAt));
    },
    keys,
    remove: (key) => disk.remove(path(key)),
  };
}

export function line({
  key,
  createdAt,
  bytes,
  companions = [],
  report: { model, levels, protocol },
}: StoredKeptReport): StoredReport {
  return {
    key,
    createdAt,
    bytes: companions.reduce((sum, companion) => sum + companion.bytes, bytes),
    model: { name: model.name, bytes: model.bytes },
    levels: levels.map(({ level }) => level),
    protocol: protocol && { name: protocol.name, text: protocol.text, tokens: protocol.tokens },
  };
}

/** JSON has no word for NaN and the infinities, which a broken level's figures may be. */
const NOT_FINITE = new Map<unknown, number>([
  ['\u0000NaN', NaN],
  ['\u0000Infinity', Infinity],
  ['\u0000-Infinity', -Infinity],
]);

function encode(kept: KeptReport): string {
  return JSON.stringify({ schema: 'nibble.kept-report/1', ...kept }, (_, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? `\u0000${value}` : value,
  );
}

function decode(text: string): KeptReport | null {
  try {
    const parsed = schema.safeParse(JSON.parse(text, (_, value: unknown) => NOT_FINITE.get(value) ?? value));
    if (!parsed.success) return null;
    const { key, createdAt, answers, report, companions } = parsed.data;
    return { key, createdAt, answers, report, ...(companions && { companions }) };
  } catch {
    return null;
  }
}
