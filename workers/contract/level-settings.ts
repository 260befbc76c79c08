/** Levels and their settings, as they are asked for. */

/** Precision levels the engine knows. `fp16` is the baseline everything is measured against. */
export type LevelId = 'fp16' | 'int8' | 'int4' | 'q4f16' | 'uint8';

export type BlockSize = 16 | 32 | 64 | 128 | 256;

/** What a person may set on a level. Absent means the level's default (block 32, symmetric, head quantized, embedding kept). */
export interface LevelSettings {
  block?: BlockSize;
  asymmetric?: boolean;
  /** `keep` leaves the output projection as it is. */
  head?: 'keep';
  /**
   * Quantize embedding tables too (GatherBlockQuantized): every table rows are gathered from, positions and rotary ones
   * included, as onnxruntime's quantizer does when told to quantize Gather. `tokens` takes only those looked up by token:
   * hardly larger and a good deal better.
   */
  embedding?: boolean | 'tokens';
  /** `original` quantizes a float32 model's own weights, as onnxruntime would, instead of the fp16 baseline's. */
  source?: 'original';
  /**
   * Another way of computing with the weights: `dequantize` stores them behind ONNX's own DequantizeLinear (int8: one
   * scale a channel; int4: blocks, operator set 21); `dynamic` quantizes activations too, while running (int8 only).
   */
  mode?: 'dequantize' | 'dynamic';
  /** Weights and nodes to leave as they are, by name; `*` stands for any characters, `?` for one. */
  exclude?: string[];
  /** Weights and nodes to have in other integers, by name as in `exclude`; the first that fits counts, before `head` and `embedding`. */
  override?: Override[];
}

/** What weights of a name become instead. */
export interface Override {
  name: string;
  to: 'int4' | 'int8';
}
