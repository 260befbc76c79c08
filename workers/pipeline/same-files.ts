/** Levels whose files have the same content are measured once, and share the figures. */
import { formatLevel } from '../contract/levels/level.ts';
import type { LevelJob } from './measure.ts';
import { sameAsEarlier } from '../plan/sizes/same-content.ts';

export interface DistinctLevels {
  /** What is to be measured: one level for each content, which answers the requests of all levels that have it. */
  levels: LevelJob[];
  /** Gives the other levels the figures that were measured. */
  shareFigures(): void;
  /** Sentences a reader must know. */
  notes: string[];
}

/** Sets `sameFileAs` of levels whose content an earlier level has. */
export function distinctLevels(levels: readonly LevelJob[]): DistinctLevels {
  const firsts = sameAsEarlier(levels.map(({ plan }) => plan));
  const twins = levels.flatMap((level, at) => {
    const first = levels[firsts[at] ?? -1];
    return first ? [{ level, first }] : [];
  });
  for (const { level, first } of twins) level.sameFileAs = formatLevel(first);
  const measured = new Map(
    levels
      .filter((_, at) => firsts[at] === null)
      .map((level) => [
        level,
        {
          ...level,
          keys: [...level.keys, ...twins.filter(({ first }) => first === level).flatMap((twin) => twin.level.keys)],
        },
      ]),
  );
  return {
    levels: [...measured.values()],
    shareFigures() {
      for (const level of levels) {
        const { perplexity, drift, activationRanges, outputs, runtimeDrift, speed } =
          measured.get(twins.find((twin) => twin.level === level)?.first ?? level) ?? level;
        Object.assign(level, {
          perplexity,
          drift,
          outputs,
          runtimeDrift,
          ...(activationRanges && { activationRanges }),
          ...(speed && { speed }),
        });
      }
    },
    notes: twins.map(
      ({ level, first }) =>
        `${formatLevel(level)}: the same file as ${formatLevel(first)} but for its metadata, so it was measured once, and the figures are the same.`,
    ),
  };
}
