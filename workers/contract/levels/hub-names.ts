/** Names of written models in a folder for the Hugging Face Hub, where transformers.js finds them by name. */
import { failure } from '../errors.ts';
import type { LevelReport } from '../report.ts';
import { parseLevel } from './level.ts';
import { DTYPE_SUFFIXES } from './dtypes.ts';
import { dtypeSuffix, levelSuffix } from './file-name.ts';

/** What a level's name follows from. */
export interface NamedLevel {
  /** End of its file names, with what differs from the default settings. */
  suffix: string;
  /** The suffix transformers.js looks for. */
  dtypeSuffix: string;
}

/** Stems of the file names that transformers.js looks for (its session_config.js), and those of Optimum's exports. */
const STEMS: ReadonlySet<string> = new Set([
  'model',
  'encoder_model',
  'decoder_model',
  'decoder_model_merged',
  'decoder_with_past_model',
  'language_model',
  'text_model',
  'vision_model',
  'text_encoder',
  'vision_encoder',
  'audio_encoder',
  'speech_encoder',
  'embed_tokens',
  'prepare_inputs_embeds',
  'lm_head',
  'gen_head',
  'gen_img_embeds',
  'image_decode',
  'prompt_encoder_mask_decoder',
  'conditional_decoder',
  'voice_decoder',
  'latent_denoiser',
  'encodec_decode',
  'audio_model',
]);

/** What exporters and transformers.js put behind a stem to say which precision a file has. */
const PRECISIONS: ReadonlySet<string> = new Set([
  ...Object.keys(DTYPE_SUFFIXES),
  ...Object.values(DTYPE_SUFFIXES).map((suffix) => suffix.slice(1)),
  'float32',
  'float16',
  'bf16',
  'int4',
  'uint4',
]);

/** The stem that names in the folder begin with: the source's own where transformers.js knows it, else `model`. */
export function hubStem(source: string): string {
  const base = (source.split(/[/\\]/).at(-1) ?? source).replace(/\.onnx$/i, '').toLowerCase();
  const words = base.split('_');
  // The longest first: `decoder_model_merged_q4` is not a `decoder_model`.
  for (let length = words.length; length > 0; length--) {
    const stem = words.slice(0, length).join('_');
    const next = words[length];
    if (STEMS.has(stem) && (next === undefined || PRECISIONS.has(next))) return stem;
  }
  return 'model';
}

/**
 * A name for each level, in their order. Of the levels that transformers.js calls by one dtype, one has the plain name
 * that is looked for: the one with default settings, else the first. The others keep their settings in the name.
 */
export function hubNames(source: string, levels: readonly NamedLevel[]): string[] {
  const stem = hubStem(source);
  const plain = new Map<string, number>();
  levels.forEach(({ suffix, dtypeSuffix }, i) => {
    if (suffix === dtypeSuffix || !plain.has(dtypeSuffix)) plain.set(dtypeSuffix, i);
  });
  return levels.map(
    ({ suffix, dtypeSuffix }, i) => `${stem}${plain.get(dtypeSuffix) === i ? dtypeSuffix : suffix}.onnx`,
  );
}

/**
 * A level by its spelling, and the report's line on it. The suffix of a level is in its line: a spelling leaves out
 * characters of names. Reports of version 0.1.0 have none, and there the spelling has to do.
 * Errors: `level-unknown`, `level-invalid`.
 */
export function namedLevel(level: string, line: Pick<LevelReport, 'suffix'> | undefined): NamedLevel {
  const spelled = parseLevel(level);
  if (!spelled.ok) throw failure(spelled.error);
  return { suffix: line?.suffix ?? levelSuffix(spelled.value), dtypeSuffix: dtypeSuffix(spelled.value) };
}
