/**
 * The identity of finished work: the hash of all that determines it, and of nothing else. Two jobs with the same key
 * have the same result, so it is made once. Keys are hexadecimal; they are the only names that reach the disk.
 */
import { sha256 as hash } from 'hash-wasm';
import { version } from '../../package.json';
import type { Extras, Job, ProtocolRequest } from '../contract/job.ts';

/**
 * To be raised whenever the same job gives other bytes or figures than before, so that stored results of an older
 * engine are not taken for its own. `job-key.test.ts` notices when written files change.
 */
export const RESULT_FORMAT = 4;

export const ENGINE_VERSION = `${version}/${RESULT_FORMAT}`;

export function isKey(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** Of a level's file: the fingerprint of the model it is made of (hash.ts), the level as `formatLevel` spells it. */
export function levelKey(fingerprint: string, level: string): Promise<string> {
  return keyOf(['level', fingerprint, level]);
}

/**
 * What the files of a level too large for one go by, in place of the level's spelling. The name of the data file is part
 * of both: the model refers to it, so the same model under another name has other bytes.
 */
export function splitSpellings(level: string, dataFile: string): { model: string; data: string } {
  return { model: `${level} (with ${dataFile})`, data: `${level} (data, ${dataFile})` };
}

export interface MeasurementIdentity {
  model: { name: string; fingerprint: string };
  /** As spelled, in the order of the report. */
  levels: readonly string[];
  text: { name: string; content: string } | null;
  /** Contents of tokenizer.json and tokenizer_config.json. */
  tokenizer: { json: string; config: string | null } | null;
  /** Files with inputs for models of other kinds. */
  inputs: readonly { name: string; fingerprint: string }[];
  protocol: ProtocolRequest | undefined;
  maxTokens: number | null;
  extras: Extras | undefined;
  /** Asked for; nothing means WASM. */
  provider: Job['provider'];
  /** Threads decide in which order floats are added. */
  threads: number;
}

/** Of a report. Names are part of it: they appear there. */
export async function measurementKey({
  model,
  levels,
  text,
  tokenizer,
  inputs,
  protocol,
  maxTokens,
  extras,
  provider,
  threads,
}: MeasurementIdentity): Promise<string> {
  return keyOf([
    'measurement',
    model.name,
    model.fingerprint,
    levels,
    text && [text.name, await hash(text.content)],
    tokenizer && [await hash(tokenizer.json), tokenizer.config === null ? null : await hash(tokenizer.config)],
    inputs.map(({ name, fingerprint }) => [name, fingerprint]),
    protocol ? [protocol.name, protocol.context ?? null, protocol.stride ?? null] : ['llama.cpp', null, null],
    maxTokens,
    Object.entries(extras ?? {})
      .filter(([, wanted]) => wanted === true)
      .map(([extra]) => extra)
      .sort(),
    provider ?? 'wasm',
    threads,
  ]);
}

/** Of a report that does not answer the job again: stopped early, or something went wrong. It lies beside one that does. */
export function incompleteKey(measurement: string): Promise<string> {
  return keyOf(['incomplete', measurement]);
}

function keyOf(parts: readonly unknown[]): Promise<string> {
  return hash(JSON.stringify([ENGINE_VERSION, ...parts]));
}
