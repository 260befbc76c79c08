/** What transformers.js calls the precision of a file, and the end of the file's name it looks for (its utils/dtypes.js). */
export const DTYPE_SUFFIXES = {
  fp32: '',
  fp16: '_fp16',
  int8: '_int8',
  uint8: '_uint8',
  q8: '_quantized',
  q4: '_q4',
  q4f16: '_q4f16',
  q2: '_q2',
  q2f16: '_q2f16',
  q1: '_q1',
  q1f16: '_q1f16',
  bnb4: '_bnb4',
} as const;

/** A `dtype` of transformers.js. */
export type Dtype = keyof typeof DTYPE_SUFFIXES;
