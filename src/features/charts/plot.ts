/**
 * What the charts share. Recharts provides the frame, the axes and the grid; marks are SVG of the page's own, placed by
 * the same scale, so that they are typed and rendered once.
 */

/** Style of tick labels. */
export const TICK_LABEL = { fill: 'var(--muted)', fontSize: 11 };

/** Pixels that the cap of a whisker reaches to either side. */
export const CAP = 5;

export const WHISKER = { stroke: 'var(--ink)', strokeWidth: 1.4 };
