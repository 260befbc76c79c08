/** How a level looks everywhere: a colour with a shape for points and a pattern for bars, so that neither carries it alone. */
import type { ReactNode } from 'react';

export const tone = (slot: number): string => `var(--tone-${slot % 8})`;

interface ShapeProps {
  slot: number;
  x: number;
  y: number;
  size: number;
}

/** The level's shape centred on a point, as SVG. */
export function Shape({ slot, x, y, size }: ShapeProps) {
  const r = size / 2;
  const fill = tone(slot);
  const polygon = (points: [number, number][]) => (
    <polygon points={points.map(([px, py]) => `${x + px * r},${y + py * r}`).join(' ')} fill={fill} />
  );
  switch (slot % 8) {
    case 0:
      return <circle cx={x} cy={y} r={r * 0.95} fill={fill} />;
    case 1:
      return <rect x={x - r * 0.88} y={y - r * 0.88} width={r * 1.76} height={r * 1.76} rx={1} fill={fill} />;
    case 2:
      return polygon([
        [0, -1.1],
        [1.05, 0.85],
        [-1.05, 0.85],
      ]);
    case 3:
      return polygon([
        [0, -1.2],
        [1.2, 0],
        [0, 1.2],
        [-1.2, 0],
      ]);
    case 4:
      return polygon([
        [0, 1.1],
        [1.05, -0.85],
        [-1.05, -0.85],
      ]);
    case 5:
      return polygon([
        [-0.35, -1],
        [0.35, -1],
        [0.35, -0.35],
        [1, -0.35],
        [1, 0.35],
        [0.35, 0.35],
        [0.35, 1],
        [-0.35, 1],
        [-0.35, 0.35],
        [-1, 0.35],
        [-1, -0.35],
        [-0.35, -0.35],
      ]);
    case 6:
      return polygon([
        [0, -1.15],
        [1.1, -0.35],
        [0.68, 0.95],
        [-0.68, 0.95],
        [-1.1, -0.35],
      ]);
    default:
      return <circle cx={x} cy={y} r={r * 0.72} fill="none" stroke={fill} strokeWidth={r * 0.5} />;
  }
}

/** The shape as an icon in running text. */
export function Mark({ slot, size = 12 }: { slot: number; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="-8 -8 16 16" aria-hidden="true" focusable="false">
      <Shape slot={slot} x={0} y={0} size={13} />
    </svg>
  );
}

const STROKES: readonly ReactNode[] = [
  null,
  <path key="1" d="M-1 1l2-2M0 8l8-8M7 9l2-2" />,
  <circle key="2" cx="4" cy="4" r="1.1" stroke="none" fill="var(--raised)" />,
  <path key="3" d="M-1 7l2 2M0 0l8 8M7-1l2 2" />,
  <path key="4" d="M0 4h8M4 0v8" />,
  <path key="5" d="M0 4h8" />,
  <path key="6" d="M4 0v8" />,
  <path key="7" d="M0 0l8 8M8 0l-8 8" />,
];

/** Fill patterns for the slots in use. `prefix` keeps ids of several charts apart. */
export function Patterns({ slots, prefix }: { slots: readonly number[]; prefix: string }) {
  return (
    <defs>
      {[...new Set(slots)].map((slot) => (
        <pattern key={slot} id={patternId(prefix, slot)} width="8" height="8" patternUnits="userSpaceOnUse">
          <rect width="8" height="8" fill={tone(slot)} />
          <g stroke="var(--raised)" strokeWidth="1.2" strokeOpacity="0.55" fill="none">
            {STROKES[slot % 8]}
          </g>
        </pattern>
      ))}
    </defs>
  );
}

export const patternId = (prefix: string, slot: number): string => `${prefix}-pattern-${slot}`;
