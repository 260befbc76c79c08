/** How a level stores weights: integer formats, the form they are computed with, and a level's settings resolved to them. */

import type { MethodId } from '../methods.ts';

/** Sizes of blocks that MatMulNBits takes: consecutive inputs that share a scale. */
export const BLOCK_SIZES = [16, 32, 64, 128, 256] as const;

/** Consecutive inputs of a weight that share one scale. */
export type BlockSize = (typeof BLOCK_SIZES)[number];

/** Integers that single weights may be stored as, whatever their level stores. */
export const OVERRIDE_TARGETS = ['int4', 'int8'] as const;

/** What weights of a name become instead; the first pattern that matches counts. */
export interface Override {
  /** Name of weights or nodes; `*` matches any characters, `?` one. */
  name: string;
  to: (typeof OVERRIDE_TARGETS)[number];
}

/** Blocked integer weights: codes of `bits`, one scale (and zero point) for `block` consecutive inputs. */
export interface BlockedWeights {
  bits: 2 | 4 | 8;
  block: BlockSize;
  symmetric: boolean;
  /** How codes and scales are chosen; round to nearest when absent. */
  method?: Exclude<MethodId, 'rtn'>;
}

/** Blocked weights as settings have them. */
export function blockedWeights(
  bits: BlockedWeights['bits'],
  { block, asymmetric, method }: { block: BlockSize; asymmetric: boolean; method: MethodId },
): BlockedWeights {
  return { bits, block, symmetric: !asymmetric, ...(method !== 'rtn' && { method }) };
}

/** Integer weights with one scale (and zero point) for a whole channel or tensor. */
export interface LinearWeights {
  type: 'int8' | 'uint8';
  symmetric: boolean;
  /** One scale for each output channel; else one for the tensor. */
  perChannel: boolean;
}

/** Ways of computing with quantized weights. The first is the default. */
export const FORMS = ['blocks', 'dequantize', 'dynamic'] as const;

/**
 * How a runtime multiplies with quantized weights: `blocks` by the contrib operators that take them packed (MatMulNBits,
 * GatherBlockQuantized); `dequantize` after a DequantizeLinear; `dynamic` as integers, with activations quantized while
 * running, as onnxruntime's quantize_dynamic writes it.
 */
export type Form = (typeof FORMS)[number];

/** A level with its settings resolved: the formats that planning reads. */
export interface ResolvedLevel {
  /** Id of the level, or of the one that an override names. */
  id: string;
  baseline: boolean;
  form: Form;
  /** Blocked weights of MatMul, Gemm and tables; null for levels that have none. */
  weights: BlockedWeights | null;
  /** Weights by channel: of convolutions and recurrent layers, and of MatMul and Gemm where `weights` is null. */
  linear: LinearWeights | null;
  /** Activations are fp16: a float32 model's graph is turned to fp16 for it. */
  halfActivations?: boolean;
  /** Quantize the output projection. */
  head: boolean;
  /** Which tables that Gather takes rows of are quantized: none, those looked up by token, or positions and rotary ones too. */
  tables: 'none' | 'tokens' | 'all';
  /** Whether levels are made of the fp16 baseline's weights or of the model's own. */
  source: 'baseline' | 'original';
  /** Weights and nodes that stay as they are: names, with `*` for any characters and `?` for one. */
  exclude: readonly string[];
  /** What weights and nodes of such names become instead; the first that matches counts. */
  override: readonly Override[];
}

/** One scale for each output channel, as int8 has them. */
export const PER_CHANNEL: LinearWeights = { type: 'int8', symmetric: true, perChannel: true };

/** A level for a weight that is stored as other integers. It keeps its form where the other integers have it. */
export function overridden(level: ResolvedLevel, to: Override['to']): ResolvedLevel {
  if (to === 'int8')
    return {
      ...level,
      id: to,
      weights: level.form === 'blocks' ? { ...methodOf(level), bits: 8, block: 32, symmetric: true } : null,
      linear: PER_CHANNEL,
    };
  const form = level.form === 'dynamic' ? 'blocks' : level.form;
  return {
    ...level,
    id: to,
    form,
    weights: {
      ...methodOf(level),
      block: level.weights?.block ?? 32,
      symmetric: level.weights?.symmetric ?? true,
      bits: 4,
    },
    linear: null,
  };
}

function methodOf({ weights }: ResolvedLevel): Pick<BlockedWeights, 'method'> {
  return weights?.method ? { method: weights.method } : {};
}
