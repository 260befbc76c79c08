/**
 * The ranges of a weight's channels, for weights of which only a slab is in memory at a time: found slab by slab, put
 * together, and told to the kernel with each slab by two more weights a channel, which are the least and the greatest.
 */
import { asUint16 } from '../lib/bytes.ts';
import type { LinearScheme, LinearTensor, WeightTensor } from '../kernels/kernel.ts';
import { elementBytes, parametersOf, storeParameters, weightOfKey } from '../kernels/linear.ts';

/** Keys (see kernels/linear.ts) of the least and the greatest weight of each channel, and of 0. */
export function rangesOf({ data, type, outer, channels, inner }: WeightTensor): Int32Array<ArrayBuffer> {
  const bits = type === 'float16' ? signed16(data) : signed32(data);
  const turned = type === 'float16' ? 0x7fff : 0x7fffffff;
  const ranges = new Int32Array(channels * 2);
  let at = 0;
  for (let index = 0; index < outer; index++) {
    for (let channel = 0; channel < channels; channel++) {
      let least = ranges[channel * 2]!;
      let greatest = ranges[channel * 2 + 1]!;
      for (const end = at + inner; at < end; at++) {
        const value = bits[at]!;
        const key = value < 0 ? value ^ turned : value;
        if (key < least) least = key;
        if (key > greatest) greatest = key;
      }
      ranges[channel * 2] = least;
      ranges[channel * 2 + 1] = greatest;
    }
  }
  return ranges;
}

/** Widens `ranges` by those of some of the channels, from `channel` on. */
export function addRanges(ranges: Int32Array, part: Int32Array, channel: number): void {
  for (let i = 0; i < part.length; i += 2) {
    const at = channel * 2 + i;
    ranges[at] = Math.min(ranges[at]!, part[i]!);
    ranges[at + 1] = Math.max(ranges[at + 1]!, part[i + 1]!);
  }
}

/** Scales and zero points of channels with these ranges. A scale that is not finite stands for a weight that is not. */
export function gridsOf(
  ranges: Int32Array,
  type: WeightTensor['type'],
  scheme: LinearScheme,
): Pick<LinearTensor, 'scales' | 'zeroPoints'> {
  const channels = ranges.length / 2;
  const made: LinearTensor = {
    codes: new Uint8Array(0),
    scales: new Uint8Array(channels * 4),
    zeroPoints: new Uint8Array(channels),
  };
  for (let channel = 0; channel < channels; channel++) {
    storeParameters(
      made,
      channel,
      parametersOf(weightOfKey(ranges[channel * 2]!, type), weightOfKey(ranges[channel * 2 + 1]!, type), scheme),
    );
  }
  return made;
}

/**
 * A tensor with two more weights a channel, so that each has the range it has in the whole weight.
 * @returns It, and how to take the tensor's own codes from those of all.
 */
export function withExtremes(
  tensor: WeightTensor,
  ranges: Int32Array,
): { tensor: WeightTensor; codesOf(codes: Uint8Array): Uint8Array } {
  const { data, type, outer, channels, inner } = tensor;
  const size = elementBytes(type);
  const extreme = (channel: number, which: number) => {
    const key = ranges[channel * 2 + which]!;
    return key < 0 ? key ^ (type === 'float16' ? 0x7fff : 0x7fffffff) : key;
  };
  const store = (view: DataView, element: number, bits: number) => {
    if (size === 2) view.setUint16(element * 2, bits & 0xffff, true);
    else view.setInt32(element * 4, bits, true);
  };
  if (outer > 1) {
    // Two more indices in front.
    const line = channels * inner;
    const more = new Uint8Array((outer + 2) * line * size);
    const view = new DataView(more.buffer);
    for (let which = 0; which < 2; which++) {
      for (let channel = 0; channel < channels; channel++) {
        for (let i = 0; i < inner; i++) store(view, which * line + channel * inner + i, extreme(channel, which));
      }
    }
    more.set(data, 2 * line * size);
    return { tensor: { ...tensor, data: more, outer: outer + 2 }, codesOf: (codes) => codes.slice(2 * line) };
  }
  // Two more elements in front of each channel's.
  const wide = inner + 2;
  const more = new Uint8Array(channels * wide * size);
  const view = new DataView(more.buffer);
  for (let channel = 0; channel < channels; channel++) {
    for (let which = 0; which < 2; which++) store(view, channel * wide + which, extreme(channel, which));
    more.set(data.subarray(channel * inner * size, (channel + 1) * inner * size), (channel * wide + 2) * size);
  }
  return {
    tensor: { ...tensor, data: more, inner: wide },
    codesOf(codes) {
      const own = new Uint8Array(channels * inner);
      for (let channel = 0; channel < channels; channel++)
        own.set(codes.subarray(channel * wide + 2, (channel + 1) * wide), channel * inner);
      return own;
    },
  };
}

function signed16(data: Uint8Array): Int16Array {
  const halves = asUint16(data);
  return new Int16Array(halves.buffer, halves.byteOffset, halves.length);
}

function signed32(data: Uint8Array): Int32Array {
  const aligned = data.byteOffset % 4 === 0 ? data : new Uint8Array(data);
  return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
