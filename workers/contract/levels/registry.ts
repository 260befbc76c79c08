/** The precision levels there are. Adding one is a file beside this and a line here. */
import type { LevelId } from '../level-settings.ts';
import { fp16 } from './fp16.ts';
import { int4 } from './int4.ts';
import { int8 } from './int8.ts';
import { q4f16 } from './q4f16.ts';
import type { Scheme } from './scheme.ts';
import { uint8 } from './uint8.ts';

export const SCHEMES: Readonly<Record<LevelId, Scheme>> = { fp16, int8, int4, q4f16, uint8 };

export const LEVEL_IDS = Object.keys(SCHEMES) as LevelId[];
