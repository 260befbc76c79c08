/** What a precision level is: how its weights are stored, which settings it takes and what its file is called. */
import type { BlockSize, LevelId, LevelSettings, Override } from '../level-settings.ts';

/** Blocked integer weights: codes of `bits`, one scale (and zero point) for `block` consecutive inputs. */
export interface BlockedWeights {
  bits: 4 | 8;
  block: BlockSize;
  symmetric: boolean;
}

/** Integer weights with one scale (and zero point) for a whole channel or tensor. */
export interface LinearWeights {
  type: 'int8' | 'uint8';
  symmetric: boolean;
  /** One scale for each output channel; else one for the tensor. */
  perChannel: boolean;
}

/**
 * How quantized weights are multiplied with:
 * `blocks` by the contrib operators that take them as they are (MatMulNBits, GatherBlockQuantized); `dequantize` after a
 * DequantizeLinear; `dynamic` as integers, with activations quantized while running, as onnxruntime's quantize_dynamic
 * has it.
 */
export type Form = 'blocks' | 'dequantize' | 'dynamic';

/** A level's settings in full: what a `LevelSettings` means once defaults are filled in. */
export interface ResolvedLevel {
  id: LevelId;
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
  /** What weights and nodes of such names become instead; the first that fits counts. */
  override: readonly Override[];
}

export interface Scheme {
  id: LevelId;
  /** What the ledger calls a weight of this level. */
  element: string;
  /** Settings that may be given. */
  keys: readonly (keyof LevelSettings)[];
  /** Modes that may be given; none when absent. */
  modes?: readonly NonNullable<LevelSettings['mode']>[];
  resolve(settings: LevelSettings): ResolvedLevel;
  /** End of the file's name, as transformers.js looks for it, with what differs from the default behind it. */
  suffix(settings: LevelSettings): string;
  /** The suffix transformers.js looks for, which `suffix` begins with. */
  dtypeSuffix(settings: LevelSettings): string;
}

/** What all levels but the baseline take from their settings alike. */
export function commonSettings(
  settings: LevelSettings,
): Pick<ResolvedLevel, 'baseline' | 'head' | 'tables' | 'source' | 'exclude' | 'override'> {
  const { embedding } = settings;
  return {
    baseline: false,
    head: settings.head !== 'keep',
    tables: embedding === 'tokens' ? 'tokens' : embedding ? 'all' : 'none',
    source: settings.source ?? 'baseline',
    exclude: settings.exclude ?? [],
    override: settings.override ?? [],
  };
}

/** One scale for each output channel, as int8 has them. */
export const PER_CHANNEL: LinearWeights = { type: 'int8', symmetric: true, perChannel: true };

/** A level as it is for a weight that is to have other integers. How they are computed with stays, where they can be. */
export function overridden(level: ResolvedLevel, to: Override['to']): ResolvedLevel {
  if (to === 'int8')
    return {
      ...level,
      id: to,
      weights: level.form === 'blocks' ? { bits: 8, block: 32, symmetric: true } : null,
      linear: PER_CHANNEL,
    };
  const form = level.form === 'dynamic' ? 'blocks' : level.form;
  return {
    ...level,
    id: to,
    form,
    weights: { block: level.weights?.block ?? 32, symmetric: level.weights?.symmetric ?? true, bits: 4 },
    linear: null,
  };
}

/** The parts of a file name that tell settings apart: `_block128_asymmetric`. */
export function settingsSuffix(settings: LevelSettings, defaultBlock: BlockSize): string {
  return [
    settings.block !== undefined && settings.block !== defaultBlock ? `_block${settings.block}` : '',
    settings.asymmetric ? '_asymmetric' : '',
    settings.head === 'keep' ? '_head-kept' : '',
    settings.embedding === 'tokens' ? '_embedding-tokens' : settings.embedding ? '_embedding' : '',
    settings.source === 'original' ? '_from-original' : '',
    settings.exclude && settings.exclude.length > 0 ? `_without-${fingerprint(settings.exclude)}` : '',
    settings.override && settings.override.length > 0
      ? `_with-${fingerprint(settings.override.map(({ name, to }) => `${name}=${to}`))}`
      : '',
  ].join('');
}

/** A short mark that tells lists of patterns apart (FNV-1a): names may hold what file names may not. */
function fingerprint(patterns: readonly string[]): string {
  let hash = 0x811c9dc5;
  for (const character of patterns.join('|')) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
