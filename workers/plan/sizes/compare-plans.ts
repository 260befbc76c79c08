/** How the size of a level compares: with the file it is made of, with the fp16 baseline, and with other settings for its tables. */
import type { LevelAlternative, LevelPlan } from '../../contract/level-plan.ts';
import { SCHEMES, type LevelId } from '../../contract/levels/registry.ts';
import type { LevelSettings } from '../../contract/settings.ts';
import { planAnyLevel } from '../half/plan-half.ts';
import { modelBytes, type Plan, type PlanInput, type PlanOptions } from '../plan.ts';
import type { Misfits } from '../precision/fits.ts';

/** The bytes of the fp16 baseline, planned once for all levels of a model. */
export async function baselineBytes(input: PlanInput, misfits: Misfits, options: PlanOptions): Promise<number> {
  return (await planAnyLevel(input, SCHEMES.fp16, {}, misfits, options)).bytes;
}

/** What `LevelPlan` says of the size of a level beside the sizes of others. */
export async function compareSizes(
  input: PlanInput,
  level: { id: LevelId; settings: LevelSettings },
  planned: Plan,
  baseline: number,
  misfits: Misfits,
  options: PlanOptions,
): Promise<Pick<LevelPlan, 'sourceBytes' | 'baselineBytes' | 'storedTwice' | 'alternatives'>> {
  const { storedTwice } = planned;
  const alternatives: LevelAlternative[] = [];
  for (const settings of planned.problem ? [] : otherSettings(input, level, planned)) {
    const other = await planAnyLevel(input, SCHEMES[level.id], settings, misfits, options);
    if (!other.problem) alternatives.push({ settings, bytes: other.bytes, storedTwiceBytes: extraBytes(other) });
  }
  return {
    sourceBytes: modelBytes(input.model),
    baselineBytes: baseline,
    ...(storedTwice.length > 0 && { storedTwice: { tensors: storedTwice, bytes: extraBytes(planned) } }),
    ...(alternatives.length > 0 && { alternatives: alternatives.sort((a, b) => a.bytes - b.bytes) }),
  };
}

const extraBytes = ({ storedTwice }: Plan): number => storedTwice.reduce((sum, { extra }) => sum + extra, 0);

/**
 * Settings that treat the token embedding otherwise: quantized with the level's own integers, quantized to 8 bits at a
 * 4-bit level, and, where a product shares the table, left in floating point for both.
 */
function otherSettings(
  input: PlanInput,
  { id, settings }: { id: LevelId; settings: LevelSettings },
  { storedTwice }: Plan,
): LevelSettings[] {
  const { settings: taken, resolve } = SCHEMES[id];
  const { weights, baseline } = resolve(settings);
  const tables = new Set(input.candidates.flatMap(({ role, seen }) => (role === 'tokens' ? [seen.constant.name] : [])));
  if (baseline || tables.size === 0) return [];
  const shared = storedTwice.filter(({ tensor }) => tables.has(tensor));
  const others: LevelSettings[] = [];
  if (taken.embedding && !settings.embedding) others.push({ ...settings, embedding: 'tokens' });
  if (taken.override && weights?.bits === 4) {
    const known = new Set(settings.override?.map(({ name }) => name));
    const added = [...tables].filter((name) => !known.has(name)).map((name) => ({ name, to: 'int8' as const }));
    if (added.length > 0) others.push({ ...settings, override: [...(settings.override ?? []), ...added] });
  }
  if (taken.head && shared.length > 0 && settings.head !== 'keep') others.push({ ...settings, head: 'keep' });
  return others;
}
