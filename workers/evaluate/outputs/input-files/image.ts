/** Images as inputs: decoded by the browser, resized, red green blue from 0 to 1 (bytes for models that take bytes). */
import { toFloat16Bits } from '../../../onnx/numbers/float16.ts';
import type { Result } from '../../../contract/errors.ts';
import { failure } from '../../errors.ts';
import type { HostTensor } from '../../sessions/graph-session.ts';
import type { ImageLayout } from '../input-shapes.ts';
import { invalid } from './file-tensor.ts';

/** `head`: the first bytes of a file, twelve at least: PNG, JPEG or WebP. */
export function isImage(head: Uint8Array): boolean {
  const ascii = (at: number, length: number) =>
    Array.from(head.subarray(at, at + length), (byte) => String.fromCharCode(byte)).join('');
  return (
    (head[0] === 0x89 && ascii(1, 3) === 'PNG') ||
    (head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff) ||
    (ascii(0, 4) === 'RIFF' && ascii(8, 4) === 'WEBP')
  );
}

/** What an input takes. */
export interface ImageTarget {
  /** The input's shape, rank 4; its first dimension is 1. */
  dims: readonly number[];
  layout: ImageLayout;
  type: string;
}

/** Errors: `input-invalid` when it cannot be decoded, or there is nothing here to decode it with. */
export async function readImage(file: File, target: ImageTarget): Promise<Result<HostTensor>> {
  const { width, height, channels } = planesOf(target);
  if (channels !== 1 && channels !== 3)
    return invalid(file.name, `is an image, and the model takes ${channels} channels`, 'Give the input as .npy.');
  if (typeof createImageBitmap === 'undefined' || typeof OffscreenCanvas === 'undefined') {
    return failure(
      'input-invalid',
      `${file.name} is an image, and only a browser decodes images here.`,
      'Use the page, or save the pixels as .npy.',
    );
  }
  let pixels: ImageData;
  try {
    // Stretched to the model's shape in one step; the colours as they are in the file.
    const bitmap = await createImageBitmap(file, {
      resizeWidth: width,
      resizeHeight: height,
      resizeQuality: 'high',
      colorSpaceConversion: 'none',
    });
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    if (!context) return invalid(file.name, 'cannot be drawn', 'Save the pixels as .npy.');
    // What is transparent shows white.
    context.fillStyle = 'white';
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    pixels = context.getImageData(0, 0, width, height);
  } catch (thrown) {
    return invalid(file.name, 'cannot be decoded as an image', 'Save it again as PNG or JPEG.', String(thrown));
  }
  return { ok: true, value: imageTensor(pixels.data, target) };
}

/** In words, what `readImage` makes of an image. */
export function describeImage(target: ImageTarget): string {
  const { width, height, channels } = planesOf(target);
  const colours = channels === 1 ? 'grey' : 'red, green, blue';
  return `resized to ${width} × ${height}, ${colours} from 0 to ${target.type === 'uint8' ? '255' : '1, not normalized further'}`;
}

/** @param rgba [height, width, 4] bytes; the last of four is left out. One channel is their luma (ITU-R BT.601). */
export function imageTensor(rgba: Uint8ClampedArray | Uint8Array, target: ImageTarget): HostTensor {
  const { width, height, channels } = planesOf(target);
  const size = width * height;
  const data =
    target.type === 'uint8'
      ? new Uint8Array(size * channels)
      : target.type === 'float16'
        ? new Uint16Array(size * channels)
        : target.type === 'float64'
          ? new Float64Array(size * channels)
          : new Float32Array(size * channels);
  const store =
    target.type === 'uint8'
      ? (value: number) => Math.round(value)
      : target.type === 'float16'
        ? (value: number) => toFloat16Bits(value / 255)
        : (value: number) => value / 255;
  for (let pixel = 0; pixel < size; pixel++) {
    const [red, green, blue] = [rgba[4 * pixel]!, rgba[4 * pixel + 1]!, rgba[4 * pixel + 2]!];
    const values = channels === 1 ? [0.299 * red + 0.587 * green + 0.114 * blue] : [red, green, blue];
    for (const [channel, value] of values.entries()) {
      data[target.layout === 'NCHW' ? channel * size + pixel : pixel * channels + channel] = store(value);
    }
  }
  return { type: target.type, dims: target.dims, data };
}

function planesOf({ dims, layout }: ImageTarget): { width: number; height: number; channels: number } {
  const [, second = 0, third = 0, fourth = 0] = dims;
  return layout === 'NCHW'
    ? { channels: second, height: third, width: fourth }
    : { channels: fourth, height: second, width: third };
}
