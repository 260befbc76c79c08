/** Tells files apart by their content without reading gigabytes. */

const PIECE = 1 << 20;
const PIECES = 64;

/** SHA-256, hexadecimal, of the whole file up to 64 MiB; of larger ones of their size and 64 pieces of 1 MiB spread over it. */
export async function contentHash(file: Blob): Promise<string> {
  const whole = file.size <= PIECE * PIECES;
  const step = (file.size - PIECE) / (PIECES - 1);
  const content = whole
    ? file
    : new Blob([
        `${file.size} `,
        ...Array.from({ length: PIECES }, (_, i) => file.slice(Math.round(i * step), Math.round(i * step) + PIECE)),
      ]);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await content.arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
