/**
 * Paces that are assumed before anything was measured on a machine: those of the sample model on two cores of a shared
 * x86 server, as `npm run bench:forecast -- --paces` prints them. On another machine they are scaled by its pace.
 */
import type { Pace } from './pace.ts';

/** `Capabilities.pace` of the machine these are of. */
export const ASSUMED_MACHINE_PACE = 3e8;

export const ASSUMED: readonly Pace[] = [
  { step: 'open', provider: null, kind: '', size: 5_770_496, amount: 11_733_455, seconds: 0.11 },
  { step: 'quantize', provider: null, kind: 'int8', size: 5_770_496, amount: 8_432_036, seconds: 0.43 },
  { step: 'quantize', provider: null, kind: 'int4', size: 5_770_496, amount: 5_548_452, seconds: 0.22 },
  { step: 'quantize', provider: null, kind: 'fp16', size: 5_770_496, amount: 11_733_455, seconds: 0.2 },
  { step: 'start', provider: 'wasm', kind: '', size: 5_770_496, amount: 1, seconds: 0.5 },
  { step: 'start', provider: 'webgpu', kind: '', size: 5_770_496, amount: 1, seconds: 3 },
  { step: 'tokenize', provider: null, kind: '', size: 5_770_496, amount: 513_995, seconds: 0.7 },
  { step: 'load', provider: 'wasm', kind: 'fp16', size: 5_770_496, amount: 11_733_455, seconds: 1.3 },
  { step: 'load', provider: 'wasm', kind: 'int8', size: 5_770_496, amount: 8_432_036, seconds: 0.9 },
  { step: 'load', provider: 'wasm', kind: 'int4', size: 5_770_496, amount: 5_548_452, seconds: 0.9 },
  { step: 'load', provider: 'wasm', kind: 'float32', size: 5_770_496, amount: 23_398_869, seconds: 0.6 },
  { step: 'load', provider: 'webgpu', kind: 'fp16', size: 5_770_496, amount: 11_733_455, seconds: 2 },
  { step: 'run', provider: 'wasm', kind: 'fp16', size: 5_770_496, amount: 16_384, seconds: 20 },
  { step: 'run', provider: 'wasm', kind: 'float32', size: 5_770_496, amount: 8_192, seconds: 8.3 },
  { step: 'run', provider: 'wasm', kind: 'int8', size: 5_770_496, amount: 16_384, seconds: 21.5 },
  { step: 'run', provider: 'wasm', kind: 'int4', size: 5_770_496, amount: 16_384, seconds: 21.5 },
  { step: 'run', provider: 'wasm', kind: 'uint8', size: 5_770_496, amount: 16_384, seconds: 24 },
  { step: 'run', provider: 'wasm', kind: 'int8 dynamic', size: 5_770_496, amount: 16_384, seconds: 24 },
  { step: 'run', provider: 'webgpu', kind: 'fp16', size: 5_770_496, amount: 16_384, seconds: 20 },
  { step: 'overflow', provider: 'wasm', kind: '', size: 5_770_496, amount: 1, seconds: 5.2 },
  { step: 'runtime-drift', provider: 'webgpu', kind: '', size: 5_770_496, amount: 1, seconds: 6 },
  { step: 'speed', provider: 'wasm', kind: 'fp16', size: 5_770_496, amount: 1, seconds: 5.5 },
  { step: 'speed', provider: 'wasm', kind: 'int8', size: 5_770_496, amount: 1, seconds: 5.5 },
  { step: 'speed', provider: 'wasm', kind: 'int4', size: 5_770_496, amount: 1, seconds: 5.5 },
  { step: 'speed', provider: 'webgpu', kind: 'fp16', size: 5_770_496, amount: 1, seconds: 7 },
];
