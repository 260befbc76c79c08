/** onnxruntime 1.30's own quantizers on small matrices: what `golden/onnxruntime-1.30.json` holds. */
import golden from './golden/onnxruntime-1.30.json';
import type { BlockSize } from '../contract/levels/scheme.ts';

/** A matrix and what MatMulNBits' quantizer makes of it. */
export interface GoldenVector {
  name: string;
  type: 'float32' | 'float16';
  bits: 2 | 4 | 8;
  block: BlockSize;
  symmetric: boolean;
  k: number;
  n: number;
  /** [K, N], little-endian. */
  weights: Uint8Array;
  codes: Uint8Array;
  scales: Uint8Array;
  /** Meaningful only when asymmetric. */
  zeroPoints: Uint8Array;
}

const decode = (base64: string) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** The vectors of blocks. */
export const goldenVectors: GoldenVector[] = golden.matmulnbits.map((vector) => ({
  name: `${vector.dtype} int${vector.bits} block ${vector.block} ${vector.sym ? 'symmetric' : 'asymmetric'} ${vector.K}×${vector.N} ${vector.kind}`,
  type: vector.dtype as 'float32' | 'float16',
  bits: vector.bits as 2 | 4 | 8,
  block: vector.block as BlockSize,
  symmetric: vector.sym,
  k: vector.K,
  n: vector.N,
  weights: decode(vector.W),
  codes: decode(vector.B),
  scales: decode(vector.scales),
  zeroPoints: decode(vector.zp),
}));

/** A tensor and what the int8 quantizer makes of it. */
export interface LinearVector {
  name: string;
  type: 'int8' | 'uint8';
  symmetric: boolean;
  /** float32, little-endian. */
  weights: Uint8Array;
  outer: number;
  channels: number;
  inner: number;
  codes: Uint8Array;
  scales: Uint8Array;
  zeroPoints: Uint8Array;
}

/** The vectors with one scale a channel. */
export const linearVectors: LinearVector[] = golden.int8_weights.map(
  ({ type, sym, axis, kind, shape, W, q, scales, zp }) => {
    const product = (dimensions: number[]) => dimensions.reduce((so, by) => so * by, 1);
    return {
      name: `${type} ${sym ? 'symmetric' : 'asymmetric'} ${axis === null ? 'per tensor' : `axis ${axis}`} ${shape.join('×')} ${kind}`,
      type: type as 'int8' | 'uint8',
      symmetric: sym,
      weights: decode(W),
      outer: axis === null ? 1 : product(shape.slice(0, axis)),
      channels: axis === null ? 1 : shape[axis]!,
      inner: product(axis === null ? shape : shape.slice(axis + 1)),
      codes: decode(q),
      scales: decode(scales),
      zeroPoints: Uint8Array.from(zp),
    };
  },
);
