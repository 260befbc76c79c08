/** Rows of text as a table for a terminal. */
import { greatest } from '../../../contract/extremes.ts';

/** Columns as wide as their widest cell, text on the left, numbers on the right; columns with a head only are left out. */
export function alignColumns(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => greatest(rows.map((row) => (row[column] ?? '').length)));
  const used = widths.map((_, column) => rows.slice(1).some((row) => row[column] !== ''));
  const text = (column: number) =>
    column === 0 || rows[0]?.[column] === 'output' || rows[0]?.[column] === 'file' || rows[0]?.[column] === 'provider';
  return rows.map((row) =>
    row
      .map((cell, column) => (text(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .filter((_, column) => used[column])
      .join('  ')
      .trimEnd(),
  );
}
