/** Views of raw bytes as numbers. Model files and this machine are both little-endian. */

/** The values in place, or copied when they do not start on a multiple of four. */
export function asFloat32(bytes: Uint8Array): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

/** As `asFloat32`, for two-byte numbers. */
export function asUint16(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2);
}

/**
 * Gives the memory of bytes, and of all others in the same buffer, back at once, rather than whenever garbage is next
 * collected: by the megabyte that adds up.
 */
export function releaseMemory({ buffer }: Uint8Array): void {
  // Handed to a port nobody listens to, and that is gone at once: `transfer(0)` leaves the memory with Blink.
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(null, [buffer as ArrayBuffer]);
  port1.close();
  port2.close();
}
