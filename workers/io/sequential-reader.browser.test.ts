import { expect, it } from 'vitest';
import { readSequentially } from './sequential-reader.ts';

const MEGABYTE = 1 << 20;

/** There with `--js-flags=--expose-gc`. */
const { gc } = globalThis as { gc?: () => void };

/** As many bytes as asked for, each of its place. */
function numbered(size: number): Blob {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 7 + (i >> 13)) & 255;
  return new Blob([bytes]);
}

it('goes on reading when garbage is collected in between', async () => {
  expect(gc).toBeTypeOf('function');
  const blob = numbered(16 * MEGABYTE);
  const collecting = setInterval(() => gc?.(), 0);
  try {
    for (let round = 0; round < 8; round++) {
      const reader = readSequentially('a', blob)!;
      let buffer = new ArrayBuffer(4 * MEGABYTE);
      for (let at = 0; at < blob.size; at += buffer.byteLength)
        ({ buffer } = await reader.read(at, buffer.byteLength, buffer));
      reader.close();
    }
  } finally {
    clearInterval(collecting);
  }
});
