/** Levels whose files have the same content are measured once, and share the figures. */
import { formatLevel } from '../contract/levels/level.ts';
import { firstWithSameContent } from '../plan/sizes/same-content.ts';
import type { LevelJob } from './job-context.ts';

export interface DistinctLevels<Level extends LevelJob = LevelJob> {
  /** What is to be measured: one level for each content, with the keys of all levels that have it. */
  readonly levels: readonly Level[];
  /** For each level given, the place in `levels` of the one that is measured for it. */
  readonly measuredAs: readonly number[];
  /** For each level given, the spelling of an earlier level with the same content; null where there is none. */
  readonly sameFileAs: readonly (string | null)[];
  /** Sentences for the report. */
  readonly notes: readonly string[];
}

/** Finds levels with the same content. `apart` leaves every level to itself. */
export function distinctLevels<Level extends LevelJob>(
  levels: readonly Level[],
  apart: boolean,
): DistinctLevels<Level> {
  const firsts = apart ? levels.map(() => null) : firstWithSameContent(levels.map(({ plan }) => plan));
  const originals = levels.flatMap((_, at) => (firsts[at] === null ? [at] : []));
  const sameFileAs = firsts.map((first) => (first === null ? null : formatLevel(levels[first]!)));
  return {
    levels: originals.map((at) => ({
      ...levels[at]!,
      keys: levels.flatMap(({ keys }, other) => (other === at || firsts[other] === at ? keys : [])),
    })),
    measuredAs: firsts.map((first, at) => originals.indexOf(first ?? at)),
    sameFileAs,
    notes: levels.flatMap((level, at) => {
      const same = sameFileAs[at];
      return typeof same === 'string'
        ? [
            `${formatLevel(level)}: the same file as ${same} but for its metadata, so it was measured once, and the figures are the same.`,
          ]
        : [];
    }),
  };
}
