/** Multiples of a unit: the size of a block, of a cache line, of what a GPU copies. */

/** The least multiple of `unit` that is not below `value`. */
export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** The largest multiple of `unit` within `limit` that `whole` needs, but at least one `unit`. It may exceed `whole` by less than a unit. */
export function multipleWithin(unit: number, whole: number, limit: number): number {
  return Math.max(1, Math.min(Math.floor(limit / unit), Math.ceil(whole / unit))) * unit;
}
