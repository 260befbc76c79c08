/** The precision levels. To add one, write a file in this folder and add it here. */
import type { Scheme } from './definition.ts';
import { fp16 } from './fp16.ts';
import { int2 } from './int2.ts';
import { int4 } from './int4.ts';
import { int8 } from './int8.ts';
import { q4f16 } from './q4f16.ts';
import { uint8 } from './uint8.ts';

const LEVELS = { fp16, int8, int4, q4f16, uint8, int2 };

/** Ids of precision levels. `fp16` is the baseline that every other level is measured against. */
export type LevelId = keyof typeof LEVELS;

/** The levels by id, in the order in which lists offer them; the baseline is the first. */
export const SCHEMES: Readonly<Record<LevelId, Scheme<LevelId>>> = LEVELS;

/** All ids, in the order of `SCHEMES`. */
export const LEVEL_IDS = Object.keys(SCHEMES) as LevelId[];
