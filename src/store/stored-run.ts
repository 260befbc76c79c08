/** A stored report as a finished run, and what the list of them says. Pure. */
import type { OpenedReport, Storage, StoredReport } from '../../workers/contract/storage.ts';
import type { LevelReport, Protocol } from '../../workers/contract/report.ts';
import type { ProtocolRequest } from '../../workers/contract/job.ts';
import { formatBytes, formatCount } from '../lib/format/numbers.ts';
import { DEFAULT_PROTOCOL, PROTOCOLS } from '../features/protocols/protocols.ts';
import { normalize } from '../../workers/contract/levels/level.ts';
import { addLevel, type Level, type Origin } from './levels.ts';
import { startLive, type Live } from './live.ts';
import type { Run } from './run.ts';

/** What a tokenizer is made of, by the names it is stored under. */
const TOKENIZER: ReadonlySet<string> = new Set(['tokenizer.json', 'tokenizer_config.json']);

/** The run a stored report tells of. Its levels have identities of their own; files that are gone cannot be downloaded. */
export function storedRun({ stored, report, files, companions }: OpenedReport, origin: Origin): Run {
  const createdAt = Date.parse(stored.createdAt);
  const levels = report.levels.reduce<Level[]>((list, { id, settings }) => {
    const added = addLevel(list, id, origin).at(-1);
    return added ? [...list, { ...added, settings: normalize(id, settings), created: createdAt }] : list;
  }, []);
  const seconds = Object.values(report.seconds ?? {}).reduce((sum, stage) => sum + stage, 0);
  const { protocol } = report;
  return {
    id: origin.uid(),
    status: 'done',
    storedAt: stored.createdAt,
    levels,
    startedAt: createdAt - seconds * 1000,
    endedAt: seconds > 0 ? createdAt : null,
    model: {
      name: report.model.name,
      bytes: report.model.bytes,
      cacheBytesPerToken: report.model.cacheBytesPerToken,
      baseline: 'as-is',
    },
    subject: protocol ? 'text' : 'inputs',
    protocol: protocol ? askedFor(protocol) : DEFAULT_PROTOCOL,
    extras: {
      noiseFloor: report.noiseFloor != null,
      words: report.words != null,
      runtimeDrift: report.levels.some(({ runtimeDrift }) => runtimeDrift != null),
      speed: report.levels.some(({ speed }) => (speed ?? []).length > 0),
    },
    tokenizer: (companions ?? []).filter(({ name }) => TOKENIZER.has(name)),
    companions: companions ?? [],
    companionsStored: companions !== undefined,
    live: withFiles(startLive(levels.map(({ uid }) => uid)), levels, { report, files }),
    report: { ...report, levels: report.levels.map((line, at) => withKey(line, levels[at]?.uid)) },
    error: null,
  };
}

/** A line of a stored report under the identity of the level that was made for it. */
const withKey = (line: LevelReport, key: string | undefined): LevelReport =>
  key === undefined ? line : { ...line, key };

/** What to ask for to measure like this again: a text shorter than the protocol's window got a smaller one by itself. */
function askedFor({ name, context, stride, textTokens }: Protocol): ProtocolRequest {
  const { window } = PROTOCOLS[name];
  return {
    name,
    ...(context === window || textTokens < window ? {} : { context }),
    ...(stride === undefined ? {} : { stride }),
  };
}

function withFiles(
  live: Live,
  levels: readonly Level[],
  { report, files }: Pick<OpenedReport, 'report' | 'files'>,
): Live {
  const rows = new Map(live.rows);
  report.levels.forEach(({ file: name, bytes, weightBytes, data }, index) => {
    const uid = levels[index]?.uid;
    const row = uid === undefined ? undefined : rows.get(uid);
    const blob = files[index]?.file;
    const dataBlob = files[index]?.data;
    // One of two files is none.
    if (uid === undefined || !row || !blob || (data && !dataBlob)) return;
    rows.set(uid, {
      ...row,
      written: {
        type: 'written',
        level: uid,
        file: name,
        blob,
        bytes,
        weightBytes,
        ...(data && dataBlob ? { data: { ...data, blob: dataBlob } } : {}),
      },
    });
  });
  return { ...live, rows, done: { open: 1, quantize: 1, measure: 1, check: 1 } };
}

/** `run` without the files that cannot be read any more, as after they were deleted; its figures stay. */
export async function withoutLostFiles(run: Run): Promise<Run> {
  const rows = new Map(run.live.rows);
  for (const [uid, row] of rows) {
    if (row.written && !((await isReadable(row.written.blob)) && (await isReadable(row.written.data?.blob))))
      rows.set(uid, { ...row, written: null });
  }
  return { ...run, live: { ...run.live, rows } };
}

/** What is not there need not be read. */
const isReadable = async (blob: Blob | undefined): Promise<boolean> =>
  !blob ||
  blob
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );

/** `llama.cpp, 16,384 tokens of held-out.txt scored · 12 MB model`. */
export function storedLine({ protocol, model }: StoredReport): string {
  const measured = protocol
    ? `${protocol.name}, ${formatCount(protocol.tokens)} tokens of ${protocol.text} scored`
    : 'no text measured';
  return `${measured} · model of ${formatBytes(model.bytes)}`;
}

/** `12 MB of 2 GB used on this device, kept until you delete it.` */
export function storageSentence({ used, quota, persisted }: Storage): string {
  return `${formatBytes(used)}${quota === null ? '' : ` of ${formatBytes(quota)}`} used on this device, kept until you delete it${persisted ? '' : ' or the browser runs short of space'}.`;
}

/** Result files that only `opened` uses, of all that are kept with reports. */
export function ownResults(opened: OpenedReport, others: readonly OpenedReport[]): string[] {
  const shared = new Set(others.flatMap(({ files }) => files.map(({ result }) => result)));
  return [
    ...new Set(opened.files.flatMap(({ result, file }) => (file !== null && !shared.has(result) ? [result] : []))),
  ];
}
