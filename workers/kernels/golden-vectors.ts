/** onnxruntime 1.30's own MatMulNBits quantizer on small matrices: what `golden/onnxruntime-1.30.json` holds. */
import golden from './golden/onnxruntime-1.30.json';
import type { BlockSize } from '../protocol.ts';

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
