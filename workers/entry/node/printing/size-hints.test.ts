import { describe, expect, test } from 'vitest';
import { tinyLanguageModel } from '../../../../models/build.ts';
import { plan } from '../../../pipeline/preview.ts';
import type { LevelRequest } from '../../../contract/job.ts';
import { parseLevel } from '../../../contract/levels/level.ts';
import { sizeHints } from './size-hints.ts';

const request = (spelling: string): LevelRequest => {
  const level = parseLevel(spelling);
  if (!level.ok) throw new Error(level.error.message);
  return { key: spelling, ...level.value };
};

async function hints(tied: boolean, hidden: number, ...spellings: string[]): Promise<string[]> {
  const levels = spellings.map(request);
  const model = new File(
    [tinyLanguageModel({ vocabulary: 256, width: 128, hidden, type: 'float16', tied })],
    'model.onnx',
  );
  return sizeHints(levels, await plan([model], levels));
}

describe('hints on sizes', () => {
  test('name what is stored twice and the level to ask for instead', async () => {
    const said = await hints(true, 16, 'int8', 'int4:block=64');
    expect(said).toHaveLength(2);
    for (const part of ['embed.weight', '65.5 kB', 'larger than fp16', '--level int4:block=64,embedding=tokens'])
      expect(said[1]).toContain(part);
    expect(said[0]).toContain('--level int8:embedding=tokens');
  });

  test('are given for an embedding that is much of the file, and not for one that is little', async () => {
    expect(await hints(false, 16, 'int4')).toHaveLength(1);
    expect(await hints(false, 4096, 'int8')).toEqual([]);
  });

  test('are silent where the setting is on, and of the baseline', async () => {
    expect(await hints(true, 16, 'fp16', 'int4:embedding', 'int4:embedding=tokens')).toEqual([]);
  });
});
