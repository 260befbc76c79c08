import { render } from '@testing-library/react';
import { expect, it } from 'vitest';
import { LevelBarsPlot, type Bar } from './level-bars.tsx';

const bar = (change: Partial<Bar>): Bar => ({
  uid: 'a',
  slot: 1,
  id: 'int8',
  detail: '',
  value: 5,
  text: '5',
  ...change,
});

const plot = (bars: Bar[], dots = false) =>
  render(<LevelBarsPlot name="Size" width={400} tick={String} bars={bars} dots={dots} />).container;

it('has ticks and grid lines on an axis without data of the library', () => {
  const chart = plot([bar({ value: 14 })]);
  const ticks = [...chart.querySelectorAll('.recharts-cartesian-axis-tick-value')].map((tick) => tick.textContent);
  expect(ticks).toEqual(['0', '5', '10', '15']);
  expect(chart.querySelectorAll('.recharts-cartesian-grid-vertical line').length).toBeGreaterThanOrEqual(4);
});

it('draws bars from zero to their values, in proportion', () => {
  const chart = plot([
    bar({ uid: 'a', value: 5 }),
    bar({ uid: 'b', value: 10 }),
    bar({ uid: 'c', value: null, text: '' }),
  ]);
  const widths = [...chart.querySelectorAll('rect[fill^="url"]')].map((rect) => Number(rect.getAttribute('width')));
  expect(widths.length).toBe(2);
  expect((widths[1] ?? 0) / (widths[0] ?? 1)).toBeCloseTo(2);
});

it('draws whiskers of errors and extremes, and none where there is no error', () => {
  expect(
    plot([bar({ error: 1 }), bar({ uid: 'b', spread: [4, 8] }), bar({ uid: 'c' })], true).querySelectorAll(
      'path[d^="M"][stroke="var(--ink)"]',
    ).length,
  ).toBe(2);
});
