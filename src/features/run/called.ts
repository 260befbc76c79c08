/** What buttons call a level. Pure. */
import { levelName } from '../../../workers/contract/levels/words.ts';
import type { Level } from '../../store/levels.ts';

/**
 * The level's name without its embedding, which the page chooses by itself, as long as no other level of the run is
 * called so: `int4` where there is one, `int4 embedding` beside another int4.
 */
export function calledInRun(level: Level, levels: readonly Level[]): string {
  const short = (each: Level): string => {
    const settings = { ...each.settings };
    delete settings.embedding;
    return levelName({ id: each.id, settings });
  };
  return levels.some((other) => other.uid !== level.uid && short(other) === short(level))
    ? levelName(level)
    : short(level);
}
