/** What the command line says of sizes before anything is run: constants stored twice, and settings that make a file smaller. */
import { bytesInWords } from '../../../lib/bytes-in-words.ts';
import type { LevelPlan } from '../../../contract/level-plan.ts';
import type { LevelRequest } from '../../../contract/job.ts';
import { formatLevel } from '../../../contract/levels/level.ts';

/** Less than this share of the file is not worth a word. */
const WORTH = 0.05;

/** A sentence for each level that other settings would make notably smaller, with the level to ask for. Plans in the order of the levels. */
export function sizeHints(levels: readonly LevelRequest[], plans: readonly LevelPlan[]): string[] {
  return levels.flatMap((level, at) => {
    const { bytes, baselineBytes, storedTwice, alternatives = [], problem } = plans[at] ?? { bytes: 0, problem: null };
    const way = alternatives.find(
      ({ settings, bytes: smaller }) => settings.embedding && bytes - smaller >= WORTH * bytes,
    );
    if (problem || !way) return [];
    const larger =
      baselineBytes !== undefined && bytes > baselineBytes
        ? `the file is larger than fp16 (${bytesInWords(bytes)} and ${bytesInWords(baselineBytes)})`
        : null;
    const twice =
      storedTwice && storedTwice.bytes >= WORTH * bytes
        ? `${storedTwice.tensors
            .map(({ tensor }) => tensor)
            .slice(0, 2)
            .join(
              ', ',
            )}${storedTwice.tensors.length > 2 ? ' and more' : ''} ${storedTwice.tensors.length === 1 ? 'is' : 'are'} stored twice, which costs ${bytesInWords(storedTwice.bytes)}`
        : null;
    const why = [twice, larger].filter((part) => part !== null).join('; ') || `the token embedding is not quantized`;
    return [
      `${formatLevel(level)}: ${why}. --level ${formatLevel({ id: level.id, settings: way.settings })} takes ${bytesInWords(way.bytes)} instead of ${bytesInWords(bytes)}.`,
    ];
  });
}
