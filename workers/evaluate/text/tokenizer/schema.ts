/** What a `tokenizer.json` may say, as Python's `tokenizers` 0.23 reads it. A file with a part of another type is refused, by that part's name. */
import { z } from 'zod';

const flag = (byDefault: boolean) =>
  z
    .boolean()
    .nullish()
    .transform((value) => value ?? byDefault);
const pattern = z.union([z.strictObject({ String: z.string() }), z.strictObject({ Regex: z.string() })]);
export type PatternText = z.infer<typeof pattern>;

const behavior = z.enum(['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']);
export type Behavior = z.infer<typeof behavior>;

const addedToken = z
  .looseObject({
    id: z.int().nonnegative(),
    content: z.string(),
    single_word: flag(false),
    lstrip: flag(false),
    rstrip: flag(false),
    special: flag(false),
    normalized: z.boolean().nullish(),
  })
  .transform(({ normalized, ...token }) => ({ ...token, normalized: normalized ?? !token.special }));
export type AddedToken = z.infer<typeof addedToken>;

const typed = <Name extends string, Shape extends z.ZodRawShape>(name: Name, shape: Shape) =>
  z.object({ type: z.literal(name), ...shape });

const simpleNormalizer = z.discriminatedUnion('type', [
  typed('NFC', {}),
  typed('NFD', {}),
  typed('NFKC', {}),
  typed('NFKD', {}),
  typed('Nmt', {}),
  typed('Lowercase', {}),
  typed('StripAccents', {}),
  typed('ByteLevel', {}),
  typed('Strip', { strip_left: flag(true), strip_right: flag(true) }),
  typed('Prepend', { prepend: z.string() }),
  typed('Replace', { pattern, content: z.string() }),
  typed('Precompiled', { precompiled_charsmap: z.string().nullish() }),
  typed('BertNormalizer', {
    clean_text: flag(true),
    handle_chinese_chars: flag(true),
    strip_accents: z.boolean().nullish(),
    lowercase: flag(true),
  }),
]);
export type Normalizer = z.infer<typeof simpleNormalizer>;

const metaspace = {
  replacement: z.string(),
  prepend_scheme: z.enum(['always', 'first', 'never']).nullish(),
  add_prefix_space: z.boolean().nullish(),
  split: flag(true),
};

const simplePreTokenizer = z.discriminatedUnion('type', [
  typed('BertPreTokenizer', {}),
  typed('Whitespace', {}),
  typed('WhitespaceSplit', {}),
  typed('ByteLevel', { add_prefix_space: flag(true), use_regex: flag(true) }),
  typed('Metaspace', metaspace),
  typed('Split', { pattern, behavior, invert: flag(false) }),
  typed('Punctuation', { behavior: behavior.nullish().transform((value) => value ?? ('Isolated' as const)) }),
  typed('Digits', { individual_digits: flag(false) }),
  typed('CharDelimiterSplit', { delimiter: z.string() }),
  typed('FixedLength', {
    length: z
      .int()
      .positive()
      .nullish()
      .transform((value) => value ?? 5),
  }),
]);
export type PreTokenizer = z.infer<typeof simplePreTokenizer>;

const simpleDecoder = z.discriminatedUnion('type', [
  typed('ByteLevel', {}),
  typed('ByteFallback', {}),
  typed('Fuse', {}),
  typed('WordPiece', {
    prefix: z
      .string()
      .nullish()
      .transform((value) => value ?? '##'),
    cleanup: flag(true),
  }),
  typed('Metaspace', metaspace),
  typed('BPEDecoder', {
    suffix: z
      .string()
      .nullish()
      .transform((value) => value ?? '</w>'),
  }),
  typed('Strip', { content: z.string(), start: z.int().nonnegative(), stop: z.int().nonnegative() }),
  typed('Replace', { pattern, content: z.string() }),
  typed('CTC', { pad_token: z.string(), word_delimiter_token: z.string(), cleanup: flag(true) }),
]);
export type Decoder = z.infer<typeof simpleDecoder>;

/** Parts one after the other; sequences in sequences are laid out. */
function steps<Step>(step: z.ZodType<Step>, list: string): z.ZodType<Step[]> {
  const read = (part: unknown, context: z.RefinementCtx): Step[] => {
    if (part === null || part === undefined) return [];
    const sequence = z.looseObject({ type: z.literal('Sequence') }).safeParse(part);
    const parts = sequence.success ? sequence.data[list] : null;
    if (Array.isArray(parts)) return parts.flatMap((inner) => read(inner, context));
    const found = step.safeParse(part);
    if (found.success) return [found.data];
    const type = z.looseObject({ type: z.string() }).safeParse(part);
    context.addIssue({
      code: 'custom',
      message: `${type.success ? `"${type.data.type}" ` : ''}is not one that is understood here: ${found.error.issues.map(({ message }) => message).join('; ')}`,
    });
    return z.NEVER;
  };
  return z.unknown().transform(read);
}

const vocabulary = z.record(z.string(), z.int().nonnegative());
const merges = z.array(z.union([z.string(), z.tuple([z.string(), z.string()])]));
const score = z.tuple([z.string(), z.number()]);

const model = z.discriminatedUnion('type', [
  typed('BPE', {
    vocab: vocabulary,
    merges,
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    fuse_unk: flag(false),
    byte_fallback: flag(false),
    ignore_merges: flag(false),
    dropout: z.number().nullish(),
  }),
  typed('WordPiece', {
    vocab: vocabulary,
    unk_token: z
      .string()
      .nullish()
      .transform((value) => value ?? '[UNK]'),
    continuing_subword_prefix: z
      .string()
      .nullish()
      .transform((value) => value ?? '##'),
    max_input_chars_per_word: z
      .int()
      .nonnegative()
      .nullish()
      .transform((value) => value ?? 100),
  }),
  typed('WordLevel', {
    vocab: vocabulary,
    unk_token: z
      .string()
      .nullish()
      .transform((value) => value ?? '<unk>'),
  }),
  typed('Unigram', {
    vocab: z.array(score).min(1),
    unk_id: z.int().nonnegative().nullish(),
    byte_fallback: flag(false),
  }),
]);
export type Model = z.infer<typeof model>;

/** Files of old versions do not say what their model is; it is told by what only one has. */
function withType(value: unknown): unknown {
  if (
    typeof value !== 'object' ||
    value === null ||
    ('type' in value && value.type !== null && value.type !== undefined)
  )
    return value;
  const type =
    'merges' in value
      ? 'BPE'
      : 'vocab' in value && Array.isArray(value.vocab)
        ? 'Unigram'
        : 'max_input_chars_per_word' in value
          ? 'WordPiece'
          : 'WordLevel';
  return { ...value, type };
}

export const tokenizerFile = z.looseObject({
  version: z.string().nullish(),
  added_tokens: z
    .array(addedToken)
    .nullish()
    .transform((tokens) => tokens ?? []),
  normalizer: steps(simpleNormalizer, 'normalizers'),
  pre_tokenizer: steps(simplePreTokenizer, 'pretokenizers'),
  post_processor: z
    .looseObject({})
    .nullish()
    .transform((value) => value ?? null),
  decoder: steps(simpleDecoder, 'decoders'),
  model: z.preprocess(withType, model),
});
export type TokenizerFile = z.infer<typeof tokenizerFile>;
