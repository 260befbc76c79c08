/** What a precision level is: how its weights are stored, which settings it takes and what its file is called. */
import type { BlockSize, LevelId, LevelSettings } from '../protocol.ts';

/** Blocked integer weights: codes of `bits`, one scale (and zero point) for `block` consecutive inputs. */
export interface BlockedWeights {
  bits: 4 | 8;
  block: BlockSize;
  symmetric: boolean;
}

/** A level's settings in full: what a `LevelSettings` means once defaults are filled in. */
export interface ResolvedLevel {
  id: LevelId;
  baseline: boolean;
  /** Null for levels that keep floating-point weights. */
  weights: BlockedWeights | null;
  /** Quantize the output projection. */
  head: boolean;
  /** Which tables that Gather takes rows of are quantized: none, those looked up by token, or positions and rotary ones too. */
  tables: 'none' | 'tokens' | 'all';
  /** Whether levels are made of the fp16 baseline's weights or of the model's own. */
  source: 'baseline' | 'original';
}

export interface Scheme {
  id: LevelId;
  /** What the ledger calls a weight of this level. */
  element: string;
  /** Settings that may be given. */
  keys: readonly (keyof LevelSettings)[];
  resolve(settings: LevelSettings): ResolvedLevel;
  /** End of the file's name, as transformers.js looks for it, with what differs from the default behind it. */
  suffix(settings: LevelSettings): string;
}

export function tablesOf({ embedding }: LevelSettings): ResolvedLevel['tables'] {
  return embedding === 'tokens' ? 'tokens' : embedding ? 'all' : 'none';
}

/** The parts of a file name that tell settings apart: `_block128_asymmetric`. */
export function settingsSuffix(settings: LevelSettings, defaultBlock: BlockSize): string {
  return [
    settings.block !== undefined && settings.block !== defaultBlock ? `_block${settings.block}` : '',
    settings.asymmetric ? '_asymmetric' : '',
    settings.head === 'keep' ? '_head-kept' : '',
    settings.embedding === 'tokens' ? '_embedding-tokens' : settings.embedding ? '_embedding' : '',
    settings.source === 'original' ? '_from-original' : '',
  ].join('');
}
