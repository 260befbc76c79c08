/**
 * Dense algebra on square matrices of float64, row-major, that GPTQ needs. Inner loops run over rows in memory order.
 * A matrix is symmetric positive definite where it is factored.
 */

/** U, upper triangular, with UᵀU = H⁻¹ (what GPTQ propagates errors through); null when H is not positive definite. */
export function inverseFactor(h: Float64Array, size: number): Float64Array | null {
  const r = upperFactor(h, size);
  return r && invertUpper(r, size);
}

/** R, upper triangular, with R·Rᵀ = H; null when H is not positive definite. */
export function upperFactor(h: Float64Array, size: number): Float64Array | null {
  const r = new Float64Array(size * size);
  for (let j = size - 1; j >= 0; j--) {
    const atJ = j * size;
    const pivot = h[atJ + j]! - dot(r, atJ + j + 1, r, atJ + j + 1, size - j - 1);
    if (!(pivot > 0) || !Number.isFinite(pivot)) return null;
    const diagonal = Math.sqrt(pivot);
    r[atJ + j] = diagonal;
    for (let i = 0; i < j; i++) {
      const atI = i * size;
      r[atI + j] = (h[atI + j]! - dot(r, atI + j + 1, r, atJ + j + 1, size - j - 1)) / diagonal;
    }
  }
  return r;
}

/** R⁻¹ of an upper triangular matrix. */
export function invertUpper(r: Float64Array, size: number): Float64Array {
  const u = new Float64Array(size * size);
  for (let i = size - 1; i >= 0; i--) {
    const at = i * size;
    const scale = 1 / r[at + i]!;
    for (let m = i + 1; m < size; m++) addScaled(u, at + m, -r[at + m]! * scale, u, m * size + m, size - m);
    u[at + i] = scale;
  }
  return u;
}

/** UᵀU·B for an upper triangular U and a matrix B [size, columns]: H⁻¹B where U is H's `inverseFactor`. */
export function applyInverse(u: Float64Array, size: number, b: Float64Array, columns: number): Float64Array {
  const y = new Float64Array(size * columns);
  for (let i = 0; i < size; i++)
    for (let m = i; m < size; m++) addScaled(y, i * columns, u[i * size + m]!, b, m * columns, columns);
  const z = new Float64Array(size * columns);
  for (let i = 0; i < size; i++)
    for (let j = i; j < size; j++) addScaled(z, j * columns, u[i * size + j]!, y, i * columns, columns);
  return z;
}

/** A·x for each row vector x of `rows` [count, size], as rows: rows · Aᵀ. */
export function applyToRows(a: Float64Array, size: number, rows: Float64Array, count: number): Float64Array {
  const result = new Float64Array(count * size);
  for (let row = 0; row < count; row++)
    for (let i = 0; i < size; i++) result[row * size + i] = dot(a, i * size, rows, row * size, size);
  return result;
}

/** Σ a[i]·b[i] over `count` elements. */
export function dot(a: Float64Array, atA: number, b: Float64Array, atB: number, count: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < count; i += 4) {
    s0 += a[atA + i]! * b[atB + i]!;
    s1 += a[atA + i + 1]! * b[atB + i + 1]!;
    s2 += a[atA + i + 2]! * b[atB + i + 2]!;
    s3 += a[atA + i + 3]! * b[atB + i + 3]!;
  }
  for (; i < count; i++) s0 += a[atA + i]! * b[atB + i]!;
  return s0 + s1 + (s2 + s3);
}

/** target += factor · source over `count` elements. */
export function addScaled(
  target: Float64Array,
  atTarget: number,
  factor: number,
  source: Float64Array,
  atSource: number,
  count: number,
): void {
  if (factor === 0) return;
  for (let i = 0; i < count; i++) target[atTarget + i] = target[atTarget + i]! + factor * source[atSource + i]!;
}
