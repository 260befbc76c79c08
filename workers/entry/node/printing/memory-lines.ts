/** Predicted memory as a table for a terminal: the parts of the one model of memory, beside what was measured. */
import { partsFor, totalOf } from '../../../evaluate/speed/predict-memory.ts';
import type { LevelReport } from '../../../contract/report.ts';
import type { Provider } from '../../../contract/capabilities.ts';
import { alignColumns } from './align-columns.ts';

/** Tokens the prediction is for where none were run while memory was measured. */
const TOKENS = 256;

/** A line for each level; none where nothing is known. */
export function memoryLines(levels: readonly LevelReport[], provider: Provider): string[] {
  const measured = levels.flatMap(({ speed }) =>
    (speed ?? []).filter((line) => line.provider === provider && line.memory),
  );
  const tokens = measured[0]?.memory?.parts?.tokens ?? TOKENS;
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  const rows = levels.flatMap(({ level, memory, speed }) => {
    if (!memory) return [];
    const parts = partsFor(memory[provider], tokens);
    const seen = (speed ?? []).find((line) => line.provider === provider)?.memory;
    return [
      [
        level,
        megabytes(totalOf(parts)),
        ...[parts.weights, parts.cache, parts.activations, parts.runtime].map(megabytes),
        ...(measured.length > 0 ? [seen ? megabytes(seen.gpu?.peak ?? seen.heap) : ''] : []),
      ],
    ];
  });
  if (rows.length === 0) return [];
  return [
    '',
    ...alignColumns([
      [
        'level',
        `predicted memory, MB`,
        'weights',
        'cache',
        'logits',
        'runtime',
        ...(measured.length > 0 ? ['measured'] : []),
      ],
      ...rows,
    ]),
    '',
    `Memory on ${provider} for ${tokens.toLocaleString('en')} tokens at once. Activations other than logits are not predicted.`,
  ];
}
