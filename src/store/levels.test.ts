import { beforeEach, describe, expect, it } from 'vitest';
import { addLevel, defaultLevels, duplicateLevel, editLevel, removeLevel, type Level, type Origin } from './levels.ts';

let origin: Origin;
let levels: Level[];
const at = (index: number): Level => {
  const level = levels[index];
  if (!level) throw new Error(`no level ${index}`);
  return level;
};

beforeEach(() => {
  let count = 0;
  origin = { uid: () => `u${++count}`, now: () => 1000 + count };
  levels = defaultLevels(origin);
});

describe('levels', () => {
  it('start as fp16, int8, int4, each in its own colour', () => {
    expect(levels.map(({ id, slot }) => [id, slot])).toEqual([
      ['fp16', 0],
      ['int8', 1],
      ['int4', 2],
    ]);
    expect(new Set(levels.map((level) => level.uid)).size).toBe(3);
  });

  it('duplicate into a new object with its own id, time, colour and settings', () => {
    levels = editLevel(levels, at(2).uid, { block: 128 });
    levels = duplicateLevel(levels, at(2).uid, origin);
    expect(levels).toHaveLength(4);
    expect(at(3)).toMatchObject({ id: 'int4', settings: { block: 128 } });
    expect(at(3).uid).not.toBe(at(2).uid);
    expect(at(3).created).toBeGreaterThan(at(2).created);
    expect(at(3).slot).not.toBe(at(2).slot);
    levels = editLevel(levels, at(3).uid, { block: 64 });
    expect(at(2).settings).toEqual({ block: 128 });
    levels = editLevel(levels, at(1).uid, { mode: 'dynamic', exclude: ['lm_head*'] });
    levels = duplicateLevel(levels, at(1).uid, origin);
    expect(at(2)).toMatchObject({ id: 'int8', settings: { mode: 'dynamic', exclude: ['lm_head*'] } });
    expect(new Set(levels.map(({ uid }) => uid)).size).toBe(5);
    // Nothing is shared that one could change for the other.
    expect(at(2).settings).not.toBe(at(1).settings);
    expect(at(2).settings.exclude).not.toBe(at(1).settings.exclude);
  });

  it('keep the baseline pinned', () => {
    expect(removeLevel(levels, at(0).uid)).toHaveLength(3);
    expect(editLevel(levels, at(0).uid, { block: 64 })[0]?.settings).toEqual({});
    expect(duplicateLevel(levels, at(0).uid, origin)).toHaveLength(3);
    expect(removeLevel(levels, at(1).uid).map((level) => level.id)).toEqual(['fp16', 'int4']);
  });

  it('give a freed colour to the next level and never one in use while any is free', () => {
    levels = removeLevel(levels, at(1).uid);
    levels = addLevel(levels, 'int8', origin);
    expect(at(2).slot).toBe(1);
    for (let i = 0; i < 4; i++) levels = addLevel(levels, 'int4', origin);
    expect(new Set(levels.map((level) => level.slot)).size).toBe(levels.length);
  });

  it('keep settings that the level takes, and drop defaults and others', () => {
    levels = editLevel(levels, at(1).uid, { mode: 'dequantize', exclude: ['lm_head*', 'a.b'], source: 'original' });
    expect(at(1).settings).toEqual({ mode: 'dequantize', exclude: ['lm_head*', 'a.b'], source: 'original' });
    levels = editLevel(levels, at(2).uid, { block: 32, asymmetric: false, mode: 'dynamic' });
    expect(at(2).settings).toEqual({});
  });
});
