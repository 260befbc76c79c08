import { expect, test } from 'vitest';
import type { LevelSettings } from '../../../workers/contract/settings.ts';
import type { Level } from '../../store/levels.ts';
import { calledInRun } from './called.ts';

const level = (uid: string, settings: LevelSettings): Level => ({ uid, id: 'int4', settings, created: 0, slot: 2 });

test('a level is called by what a person chose, unless two would be called alike', () => {
  const [plain, table, block] = [
    level('a', {}),
    level('b', { embedding: 'tokens' }),
    level('c', { embedding: 'tokens', block: 128 }),
  ];
  expect(calledInRun(table, [table, block])).toBe('int4');
  expect(calledInRun(block, [table, block])).toBe('int4 block 128');
  expect([plain, table].map((each) => calledInRun(each, [plain, table]))).toEqual(['int4', 'int4 embedding']);
});
