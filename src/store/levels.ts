/** The list of levels that a person has set up: plain values, each with an identity of its own. */
import type { LevelRequest } from '../../workers/contract/job.ts';
import { DEFAULT_IDS, normalize, type Level as LevelWithSettings } from '../../workers/contract/levels/level.ts';
import { LEVEL_IDS, SCHEMES, type LevelId } from '../../workers/contract/levels/registry.ts';
import type { LevelSettings } from '../../workers/contract/settings.ts';

export interface Level extends LevelWithSettings {
  /** Identity within this tab; a duplicate gets its own. */
  uid: string;
  /** Milliseconds since the epoch. */
  created: number;
  /** Which colour, shape and pattern it wears everywhere; 0 is the baseline's grey. */
  slot: number;
}

/** Where new identities and times come from. */
export interface Origin {
  uid(): string;
  now(): number;
}

/** The level's own slot while it is free, so that a level looks the same in every comparison; else another. */
function freeSlot(id: LevelId, taken: readonly number[]): number {
  const { slot: own } = SCHEMES[id];
  if (!taken.includes(own)) return own;
  // The slots of the levels that are compared by default are taken last.
  const others = [3, 4, 5, 6, 7, 1, 2];
  return others.find((slot) => !taken.includes(slot)) ?? others[taken.length % others.length] ?? 3;
}

export function defaultLevels(origin: Origin): Level[] {
  return LEVEL_IDS.filter((id) => id === 'fp16' || DEFAULT_IDS.includes(id)).map((id) => ({
    uid: origin.uid(),
    id,
    settings: {},
    created: origin.now(),
    slot: SCHEMES[id].slot,
  }));
}

export function addLevel(levels: readonly Level[], id: LevelId, origin: Origin): Level[] {
  const slot = freeSlot(
    id,
    levels.map((level) => level.slot),
  );
  return [...levels, { uid: origin.uid(), id, settings: {}, created: origin.now(), slot }];
}

/** The duplicate stands right behind its original. */
export function duplicateLevel(levels: readonly Level[], uid: string, origin: Origin): Level[] {
  const slot = freeSlot(
    levels.find((level) => level.uid === uid)?.id ?? 'int4',
    levels.map((level) => level.slot),
  );
  return levels.flatMap((level) =>
    level.uid === uid && level.id !== 'fp16'
      ? [level, { ...level, settings: structuredClone(level.settings), uid: origin.uid(), created: origin.now(), slot }]
      : [level],
  );
}

/** The baseline stays. */
export function removeLevel(levels: readonly Level[], uid: string): Level[] {
  return levels.filter((level) => level.uid !== uid || level.id === 'fp16');
}

/** Another level where one stood, with the identity and the colour of that one. */
export function replaceLevel(levels: readonly Level[], uid: string, { id, settings }: LevelWithSettings): Level[] {
  return levels.map((level) =>
    level.uid === uid && level.id !== 'fp16' ? { ...level, id, settings: normalize(id, settings) } : level,
  );
}

/** Replaces settings; defaults are left out, so that equal levels compare equal. */
export function editLevel(levels: readonly Level[], uid: string, settings: LevelSettings): Level[] {
  return levels.map((level) =>
    level.uid === uid && level.id !== 'fp16' ? { ...level, settings: normalize(level.id, settings) } : level,
  );
}

/** The levels as a job asks for them, each under its identity. */
export const toRequests = (levels: readonly Level[]): LevelRequest[] =>
  levels.map(({ uid, id, settings }) => ({ key: uid, id, settings }));
