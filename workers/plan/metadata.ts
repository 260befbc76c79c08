/** What a written model says of where it comes from, in `metadata_props`: for whoever finds it years later. */
import { version } from '../../package.json';
import { encodeMetadata } from '../onnx/writing/encode.ts';
import type { Model } from '../onnx/model.ts';
import type { Edit } from '../onnx/writing/splice.ts';
import { formatLevel, type Level } from '../contract/levels/level.ts';
import { reportedSettings } from '../contract/levels/reported.ts';
import type { QuantizeTask } from './quantize-task.ts';

export interface MetadataEntry {
  key: string;
  value: string;
}

const PREFIX = 'nibble.';

/** @param fingerprint Of the model it is made of, see hash.ts. */
export function describeOrigin(level: Level, fingerprint: string): MetadataEntry[] {
  return Object.entries({
    version,
    level: formatLevel(level),
    settings: JSON.stringify(reportedSettings(level)),
    source_fingerprint: fingerprint,
  }).map(([key, value]) => ({ key: `${PREFIX}${key}`, value }));
}

/** Adds entries at the end of the model; those of an earlier run go, as a key may be there once. */
export function metadataEdits(model: Model, entries: readonly MetadataEntry[]): Edit<QuantizeTask>[] {
  if (entries.length === 0) return [];
  const { size } = model.source;
  return [
    ...model.metadata
      .filter(({ key }) => key.startsWith(PREFIX))
      .map(({ span: { start, end } }) => ({ start, end, within: [], pieces: [] })),
    {
      start: size,
      end: size,
      within: [],
      pieces: entries.map(({ key, value }) => ({ kind: 'bytes' as const, bytes: encodeMetadata(key, value) })),
    },
  ];
}
