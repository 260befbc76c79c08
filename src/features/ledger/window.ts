/** Which rows of a long table are drawn: those in view and some on either side. Pure. */

/** Height of a row in pixels, as in ledger.module.css. */
export const ROW = 34;
/** Rows drawn beyond the view, for a scroll or a reading cursor to move into. */
const AROUND = 12;
/** The first row moves on by so many at a time: scrolling within them draws nothing anew. */
const STEP = 8;

export interface Window {
  first: number;
  last: number;
}

/** Rows `first` up to and without `last`, of `count`. */
export function windowOf(scrolled: number, height: number, count: number): Window {
  const top = Math.max(0, Math.floor(scrolled / ROW) - AROUND);
  const first = Math.min(top - (top % STEP), Math.max(0, count - 1));
  return { first, last: Math.min(count, first + Math.ceil(height / ROW) + 2 * AROUND + STEP) };
}

/** Width of a column, in characters: the longest entry, so that it stays while rows come and go. */
export function widest(texts: Iterable<string>, least: number, most: number): number {
  let width = least;
  for (const text of texts) width = Math.max(width, Math.min(most, text.length));
  return width;
}
