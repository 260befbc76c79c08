/** Views of raw bytes as numbers. Model files and this machine are both little-endian. */

/** The values in place, or copied when they do not start on a multiple of four. */
export function asFloat32(bytes: Uint8Array): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
