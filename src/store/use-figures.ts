/** A run's figures, the same objects as long as nothing they are made of has changed: progress alone redraws nothing. */
import { useState } from 'react';
import { figuresOf, type Figure, type Run } from './run.ts';

/** What figures are made of, in order. */
const partsOf = (run: Run): readonly unknown[] => [
  run.id,
  run.levels,
  run.report,
  ...run.levels.flatMap(({ uid }) => {
    const row = run.live.rows.get(uid);
    return [row?.written, row?.measured];
  }),
];

export function useFigures(run: Run): Figure[] {
  const parts = partsOf(run);
  const [kept, setKept] = useState(() => ({ parts, figures: figuresOf(run) }));
  if (parts.length === kept.parts.length && parts.every((part, index) => part === kept.parts[index]))
    return kept.figures;
  const figures = figuresOf(run);
  setKept({ parts, figures });
  return figures;
}
