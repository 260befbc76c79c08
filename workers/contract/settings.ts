/**
 * The settings of levels, one entry each. The command line's usage and parser, spellings, names, file names, the
 * report's schema, the metadata of files and the controls on the page are derived from this table: see
 * `levels/level.ts`, `levels/words.ts`, `settings-schema.ts` and src/features/levels/settings-panel.tsx.
 */
import { METHODS, METHOD_IDS, type MethodId } from './methods.ts';
import { BLOCK_SIZES, FORMS, OVERRIDE_TARGETS, type Override, type ResolvedLevel } from './levels/scheme.ts';

/** One value of a setting that is chosen from a list. */
export interface Choice<V = ChoiceValue> {
  /** As in a level's settings, and on the command line: `key=value`; `true` is spelled by the key alone. */
  value: V;
  /** In a level's name when it is not the default: `block 128`. Levels may call it otherwise, see `Takes.words`. */
  words: string;
  /** On the control of the page; `words` when absent. */
  label?: string;
  /** In a sentence that gives all settings; empty where the sentence needs none, `words` when absent. */
  sentence?: string;
  /** What it adds to file names: `_block128`. Empty for the default. */
  suffix: string;
}

/** What a setting that a level does not take amounts to there. */
export interface FixedValue {
  /** In place of the control; null for nothing. */
  label: string | null;
  sentence: string;
}

/** Types a chosen value may have. */
export type ChoiceValue = string | number | boolean;

interface Described {
  /** Beside its control on the page. */
  label: string;
  /** One sentence: what it does, on hover. */
  help: string;
  /** Written before other settings in spellings, names and on the page. */
  leads?: true;
  /** Levels with different values of it take different times, which the page's forecast keeps apart. */
  setsPace?: true;
  /** What it amounts to at a level that does not take it; nothing when absent. */
  fixed?(level: ResolvedLevel): FixedValue | null;
}

interface ChoiceFields<V> extends Described {
  /** What an absent value means, unless a level has another default. */
  default: NoInfer<V>;
  choices: readonly Choice<V>[];
  /** Control on the page: a list, buttons side by side, or a switch between two values. Null where the page has none. */
  control: 'select' | 'segments' | { on: NoInfer<V>; off: NoInfer<V> } | null;
  /** The value that reports and metadata state; undefined where they leave it out. */
  reported(level: ResolvedLevel, value: NoInfer<V>): NoInfer<V> | undefined;
}

/** A setting whose value is one of a list. */
export interface ChoiceSetting<V = ChoiceValue> extends ChoiceFields<V> {
  kind: 'choice';
}

/** A list of names of weights and nodes, with `*` and `?`. */
export interface PatternsSetting extends Described {
  kind: 'patterns';
  /** On the page: label of the list, and what is written in the empty field. Null where the page has no control. */
  control: { list: string; placeholder: string } | null;
  /** In front of the patterns in words: `without`. */
  verb: string;
  /** What it adds to file names, before a mark that tells lists apart. */
  suffix: string;
}

/** A list of names with the integers each becomes. */
export interface OverridesSetting extends Described {
  kind: 'overrides';
  /** The page sets it by advice only. */
  control: null;
  targets: readonly Override['to'][];
  suffix: string;
}

/** An entry of the table. */
export type Setting = ChoiceSetting | PatternsSetting | OverridesSetting;

const choice = <const V extends ChoiceValue>(setting: ChoiceFields<V>): ChoiceSetting<V> => ({
  kind: 'choice',
  ...setting,
});

/** All settings, in the order in which reports and metadata state them. */
export const SETTINGS = {
  block: choice({
    label: 'Block',
    help: 'How many neighbouring weights share one scale: smaller blocks are more exact and take more bytes.',
    control: 'select',
    setsPace: true,
    default: 32,
    choices: BLOCK_SIZES.map((value) => ({
      value,
      words: `block ${value}`,
      label: `${value} weights`,
      suffix: `_block${value}`,
    })),
    reported: ({ weights }) => weights?.block,
    fixed: ({ weights, linear }) =>
      weights
        ? { label: `${weights.block} weights`, sentence: `block ${weights.block}` }
        : linear?.perChannel
          ? { label: 'a channel', sentence: 'one scale a channel' }
          : { label: 'the whole tensor', sentence: 'one scale a tensor' },
  }),
  asymmetric: choice({
    label: 'Range',
    help: 'Symmetric: zero sits at the middle code. Asymmetric: each block also stores where zero lies, which fits lopsided weights better for a few more bytes.',
    control: 'segments',
    default: false,
    choices: [
      { value: false, words: 'symmetric', suffix: '' },
      { value: true, words: 'asymmetric', suffix: '_asymmetric' },
    ],
    reported: ({ weights }) => (weights ? !weights.symmetric : undefined),
    fixed: ({ weights, linear }) => {
      const label = (weights ?? linear)?.symmetric === false ? 'asymmetric' : 'symmetric';
      return { label, sentence: label };
    },
  }),
  /** Scales of whole channels have no methods: `mode=dequantize` and `dynamic` of int8 leave it out. */
  method: choice<MethodId>({
    label: 'Method',
    help: 'How scales and codes are chosen: all methods write the same number of bytes, better ones take longer to quantize.',
    control: 'select',
    setsPace: true,
    default: 'rtn',
    choices: METHOD_IDS.map((value) => ({
      value,
      words: METHODS[value].label,
      sentence: value === 'rtn' ? '' : METHODS[value].label,
      suffix: `_${value}`,
    })),
    reported: ({ weights }) => weights?.method,
  }),
  head: choice({
    label: 'Quantize output head',
    help: 'The last layer, which turns the model’s state into a score for each token; small models are sensitive to rounding it.',
    control: { on: 'quantize', off: 'keep' },
    default: 'quantize',
    choices: [
      { value: 'quantize', words: 'head quantized', suffix: '' },
      { value: 'keep', words: 'head kept', suffix: '_head-kept' },
    ],
    reported: ({ head }) => (head ? 'quantize' : 'keep'),
  }),
  /**
   * Quantize embedding tables too (GatherBlockQuantized). `true` takes every table that rows are gathered from, positions
   * and rotary ones included, as onnxruntime's quantizer does when told to quantize Gather. `tokens` takes only tables
   * looked up by token: the file is hardly larger and the figures are a good deal better.
   */
  embedding: choice<boolean | 'tokens'>({
    label: 'Quantize embedding',
    help: 'The table that turns each token into numbers; in small models it is a large share of the file.',
    control: { on: 'tokens', off: false },
    default: false,
    choices: [
      { value: false, words: 'embedding kept', suffix: '' },
      { value: true, words: 'all tables', sentence: 'embedding and position tables quantized', suffix: '_embedding' },
      { value: 'tokens', words: 'embedding', sentence: 'embedding quantized', suffix: '_embedding-tokens' },
    ],
    reported: ({ tables }) => (tables === 'tokens' ? tables : tables === 'all'),
  }),
  /** `original` quantizes a float32 model's own weights, as onnxruntime does, instead of the fp16 baseline's. */
  source: choice({
    label: 'Source',
    help: 'The weights a level is made of: those of the fp16 baseline, or a float32 model’s own.',
    control: null,
    default: 'baseline',
    choices: [
      { value: 'baseline', words: 'from fp16', sentence: '', suffix: '' },
      {
        value: 'original',
        words: 'from float32',
        sentence: 'from the float32 weights',
        suffix: '_from-original',
      },
    ],
    reported: ({ source }) => source,
  }),
  /** int8 behind a DequantizeLinear has one scale a channel; int4 keeps its blocks, and takes operator set 21. */
  mode: choice({
    label: 'Mode',
    help: 'How the file is computed with: blocks read packed weights directly (MatMulNBits); DequantizeLinear (int8: one scale a channel) is plain ONNX that turns them back first; dynamic also rounds what flows through the model to 8 bits, while running.',
    leads: true,
    setsPace: true,
    control: 'select',
    default: FORMS[0],
    choices: [
      { value: 'blocks', words: 'blocks', sentence: '', suffix: '' },
      {
        value: 'dequantize',
        words: 'DequantizeLinear',
        sentence: 'behind DequantizeLinear',
        suffix: '_dequantize',
      },
      // Its files have another dtype, which the suffix begins with.
      { value: 'dynamic', words: 'dynamic', sentence: 'activations quantized while running', suffix: '' },
    ],
    reported: ({ form }) => (form === 'blocks' ? undefined : form),
    fixed: ({ form }) => (form === 'dynamic' ? { label: null, sentence: 'activations quantized while running' } : null),
  }),
  exclude: {
    kind: 'patterns',
    label: 'Weights or nodes',
    help: 'Comma-separated names; * matches any characters, ? one.',
    control: { list: 'Leave out by name', placeholder: 'lm_head*, model.layers.0.*' },
    verb: 'without',
    suffix: '_without',
  },
  override: {
    kind: 'overrides',
    label: 'Other integers by name',
    help: 'Weights and nodes stored as other integers than the level’s; they come before head and embedding.',
    control: null,
    targets: OVERRIDE_TARGETS,
    suffix: '_with',
  },
} as const satisfies Record<string, Setting>;

/** Key of a setting. */
export type SettingId = keyof typeof SETTINGS;

/** Type of a setting's value. */
export type ValueOf<S> = S extends ChoiceSetting<infer V> ? V : S extends { kind: 'patterns' } ? string[] : Override[];

/** What may be set on a level. An absent setting has its default. */
export type LevelSettings = { -readonly [Id in SettingId]?: ValueOf<(typeof SETTINGS)[Id]> };

/** Settings with every default filled in. */
export type FullSettings = Required<LevelSettings>;
