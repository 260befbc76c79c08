import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { axisOf, fittingTicks, frontierOf, niceAxis, scaleOf, spreadLabels } from './domain.ts';

describe('axes', () => {
  it('start at zero for lengths and hold the stacked part', () => {
    expect(axisOf([{ value: 5, more: 3 }, { value: null }], { fromZero: true, count: 4 })).toEqual({
      domain: [0, 8],
      ticks: [0, 2, 4, 6, 8],
    });
  });
  it('close in on positions with their whiskers, within the limit', () => {
    const {
      domain: [low, high],
      ticks,
    } = axisOf([{ value: 0.91, error: 0.011 }, { value: 1 }], { fromZero: false, limit: 1, count: 4 });
    expect(low).toBeLessThan(0.9);
    expect(high).toBe(1);
    expect(ticks.every((tick) => tick <= 1)).toBe(true);
  });
  it('have room when all there is lies on the limit', () => {
    expect(axisOf([{ value: 1 }], { fromZero: false, limit: 1, count: 3 }).domain).toEqual([0.9, 1]);
  });
  it('exist even without numbers', () => {
    expect(axisOf([], { fromZero: false, count: 4 }).domain).toEqual([0, 1]);
    const [low, high] = axisOf([{ value: 3 }], { fromZero: false, count: 4 }).domain;
    expect(high).toBeGreaterThan(low);
  });
  it('hold what they are asked to hold, in few round steps', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -1e9, max: 1e9, noNaN: true }),
        fc.double({ min: 1e-6, max: 1e9, noNaN: true }),
        (low, span) => {
          fc.pre(low + span > low && span > Math.abs(low) * 1e-6);
          const { domain, ticks } = niceAxis(low, low + span, 4);
          const slack = span * 1e-6;
          expect(domain[0]).toBeLessThanOrEqual(low + slack);
          expect(domain[1]).toBeGreaterThanOrEqual(low + span - slack);
          expect(ticks.length).toBeGreaterThanOrEqual(2);
          expect(ticks.length).toBeLessThanOrEqual(7);
        },
      ),
    );
  });
});

describe('scales and ticks', () => {
  it('place values along an axis, upwards too', () => {
    expect(scaleOf([0, 10], 84, 200)(5)).toBe(184);
    expect(scaleOf([0, 10], 300, -200)(10)).toBe(100);
  });
  it('keep evenly spaced ticks whose labels do not touch', () => {
    const axis = niceAxis(0, 15, 3);
    expect(axis.ticks).toEqual([0, 5, 10, 15]);
    const format = (value: number) => `${value} MB`;
    expect(fittingTicks(axis, format, 400)).toEqual([0, 5, 10, 15]);
    expect(fittingTicks(axis, format, 110)).toEqual([0, 10]);
    expect(fittingTicks(axis, format, 1)).toEqual([0]);
    expect(fittingTicks({ domain: [0, 1], ticks: [] }, format, 100)).toEqual([]);
  });
});

describe('frontier', () => {
  it('keeps exactly the points that none beats', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ x: fc.integer({ min: 0, max: 9 }), y: fc.integer({ min: 0, max: 9 }) })),
        (points) => {
          const frontier = frontierOf(points);
          const beaten = (a: { x: number; y: number }) =>
            points.some((b) => b.x <= a.x && b.y <= a.y && (b.x < a.x || b.y < a.y));
          expect(frontier.every((point) => !beaten(point))).toBe(true);
          expect(
            points
              .filter((point) => !beaten(point))
              .every((point) => frontier.some(({ x, y }) => x === point.x && y === point.y)),
          ).toBe(true);
        },
      ),
    );
  });
});

describe('labels', () => {
  it('never cover each other', () => {
    const boxes = fc.array(
      fc.record({
        left: fc.integer({ min: 0, max: 50 }),
        width: fc.integer({ min: 5, max: 60 }),
        y: fc.integer({ min: 0, max: 40 }),
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(boxes, (wanted) => {
        const placed = spreadLabels(wanted, 14);
        placed.forEach((a, i) => {
          placed.slice(i + 1).forEach((b) => {
            expect(a.left < b.left + b.width && b.left < a.left + a.width && Math.abs(a.y - b.y) < 14).toBe(false);
          });
        });
      }),
    );
  });
});
