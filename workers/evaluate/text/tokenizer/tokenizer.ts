/** Text to token ids, with the tokenizer files that came with the model and nothing from the network. */
import { z } from 'zod';
import type { Result } from '../../../contract/errors.ts';
import { failure } from '../../errors.ts';
import { bytesOfPiece, nameOf, textsOf, type TokenSpelling } from './token-text.ts';
import { createEncoding } from './encoding.ts';
import { UnknownPattern } from './pattern.ts';
import { tokenizerFile, type TokenizerFile } from './schema.ts';

export interface Tokenizer {
  /** Entries of the vocabulary, added tokens included. */
  vocabulary: number;
  /** Whether a text begins with the BOS token; see `startToken` for how that is decided. */
  addsBos: boolean;
  /** Null when the tokenizer has no BOS token. */
  bosId: number | null;
  /** Longest sequence the tokenizer's configuration allows the model, in tokens; null when it names none. */
  maxLength: number | null;
  /** Ids of the whole text, without BOS or any other token around it. Pieces the vocabulary cannot spell are left out. */
  encode(text: string): Int32Array;
  /** How many characters of a text are in no token, not even an unknown one. */
  charactersLeftOut(text: string): number;
  /** Null where the model has no token for what it does not know. */
  unknownId: number | null;
  /** Text of tokens side by side, special ones left out; U+FFFD where the bytes of a character are not all there. */
  decode(ids: readonly number[]): string;
  /** Null when the configuration names none. */
  eosId: number | null;
  /** Bytes of UTF-8 each token stands for, by id; null where that depends on its neighbours or is not kept (WordPiece). */
  byteLengths(): Uint16Array | null;
  /** The text of each token where they follow one another, as `textsOf` has it; added tokens by their names. */
  pieces(ids: Iterable<number>): string[];
  /** A token by itself; bytes that are no whole characters as `<0xE2>`, an id nothing uses as `[4096]`. */
  piece(id: number): string;
}

const tokenText = z
  .union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)])
  .nullish();

/** What of a `tokenizer_config.json` has a part in encoding; chat templates and the like do not. */
const configFile = z.object({
  tokenizer_class: z.string().nullish(),
  add_bos_token: z.boolean().nullish(),
  bos_token: tokenText,
  eos_token: tokenText,
  model_max_length: z.number().nullish(),
});

type ConfigFile = z.infer<typeof configFile>;

/**
 * Reads a Hugging Face `tokenizer.json` and, when there is one, the `tokenizer_config.json` beside it.
 * Errors: `tokenizer-invalid`.
 */
export async function openTokenizer(json: string, config: string | null): Promise<Result<Tokenizer>> {
  const file = parse(json, tokenizerFile, 'tokenizer.json');
  if (!file.ok) return file;
  const settings =
    config === null ? { ok: true as const, value: {} } : parse(config, configFile, 'tokenizer_config.json');
  if (!settings.ok) return settings;

  try {
    const encoding = createEncoding(file.value);
    const { vocabulary, unknownId } = encoding;
    const encodeOnce = rememberLast(encoding.encode);
    const spelling = spellingOf(file.value);
    const bytes = tokenBytes(vocabulary, spelling);
    const bos = startToken(file.value, settings.value, (token) => vocabulary.get(token) ?? null);
    return {
      ok: true,
      value: {
        vocabulary: vocabulary.size,
        ...bos,
        eosId: settings.value.eos_token == null ? null : (vocabulary.get(settings.value.eos_token) ?? null),
        unknownId,
        byteLengths: () => byteLengths(vocabulary, spelling),
        pieces: (ids) => textsOf(Array.from(ids, bytes)),
        piece: (id) => nameOf(bytes(id)),
        maxLength: plausibleLength(settings.value.model_max_length),
        decode: (ids) => (ids.length === 0 ? '' : encoding.decode(ids)),
        encode: (text) => encodeOnce(text).ids,
        charactersLeftOut: (text) => encodeOnce(text).dropped,
      },
    };
  } catch (thrown) {
    return thrown instanceof UnknownPattern
      ? failure(
          'tokenizer-invalid',
          `The tokenizer.json has a pattern with ${thrown.message}, which is not understood here, so its tokens would not be those of the model.`,
          'Export the tokenizer with a simpler pattern, or compare sizes only.',
          thrown,
        )
      : failure(
          'tokenizer-invalid',
          'The tokenizer.json contradicts itself.',
          'Take the tokenizer.json that was published with the model.',
          thrown,
        );
  }
}

/** A long text is asked about more than once. */
function rememberLast<T>(of: (text: string) => T): (text: string) => T {
  let last: { text: string; value: T } | null = null;
  return (text) => {
    if (last?.text !== text) last = { text, value: of(text) };
    return last.value;
  };
}

function parse<T>(json: string, schema: z.ZodType<T>, name: string): Result<T> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (thrown) {
    return failure(
      'tokenizer-invalid',
      `The ${name} is not valid JSON.`,
      'Download it again from where the model comes from; it may have been cut off.',
      thrown,
    );
  }
  const read = schema.safeParse(value);
  return read.success
    ? { ok: true, value: read.data }
    : failure(
        'tokenizer-invalid',
        `The ${name} is not the file a Hugging Face tokenizer is saved in.`,
        `Take the ${name} that was published with the model.`,
        z.prettifyError(read.error),
      );
}

function spellingOf({ model, added_tokens, decoder, pre_tokenizer, normalizer }: TokenizerFile): TokenSpelling {
  return {
    model: model.type,
    byteLevel: [...decoder, ...pre_tokenizer, ...normalizer].some(({ type }) => type === 'ByteLevel'),
    byteFallback: 'byte_fallback' in model && model.byte_fallback,
    continuation: ('continuing_subword_prefix' in model ? model.continuing_subword_prefix : null) ?? '',
    wordEnd: (model.type === 'BPE' ? model.end_of_word_suffix : null) ?? '',
    added: new Set(added_tokens.map(({ content }) => content)),
  };
}

/** Bytes by id; the vocabulary is turned round when they are first asked for. */
function tokenBytes(vocabulary: ReadonlyMap<string, number>, spelling: TokenSpelling): (id: number) => Uint8Array {
  let pieces: Map<number, string> | null = null;
  return (id) => {
    pieces ??= new Map(Array.from(vocabulary, ([piece, of]) => [of, piece]));
    const piece = pieces.get(id);
    return piece === undefined ? new TextEncoder().encode(`[${id}]`) : bytesOfPiece(piece, spelling);
  };
}

function byteLengths(vocabulary: ReadonlyMap<string, number>, spelling: TokenSpelling): Uint16Array | null {
  if (spelling.model === 'WordPiece' || spelling.model === 'WordLevel') return null;
  let size = 0;
  for (const id of vocabulary.values()) size = Math.max(size, id + 1);
  const lengths = new Uint16Array(size);
  for (const [piece, id] of vocabulary) lengths[id] = bytesOfPiece(piece, spelling).length;
  return lengths;
}

/** Configurations write "no limit" as a very large number. */
function plausibleLength(length: number | null | undefined): number | null {
  return length !== null && length !== undefined && Number.isInteger(length) && length > 0 && length < 2 ** 24
    ? length
    : null;
}

/** Classes of Hugging Face transformers whose `add_bos_token` is on unless the configuration turns it off. */
const CLASSES_WITH_BOS = /^(Code)?Llama|^Gemma|^Baichuan|^InternLM/;
const BOS_NAMES = ['<s>', '<bos>', '<|begin_of_text|>', '<|startoftext|>', '<|endoftext|>', '[BOS]'];

/**
 * The BOS token and whether a text begins with it. In this order, as the converter of llama.cpp decides:
 * `add_bos_token` of the configuration; else the first special token of the post-processor's template for one
 * sequence, which says no when there is a post-processor without one; else, without a post-processor, the
 * tokenizer class; else, without a class, yes for SentencePiece vocabularies (byte fallback and a BOS token),
 * as llama.cpp has it.
 */
function startToken(
  file: TokenizerFile,
  config: ConfigFile,
  idOf: (token: string) => number | null,
): { addsBos: boolean; bosId: number | null } {
  const template = templateStart(file.post_processor);
  const special = new Set(file.added_tokens.filter((token) => token.special).map((token) => token.content));
  const known = BOS_NAMES.find((name) => special.has(name));
  const told = typeof config.add_bos_token === 'boolean' ? config.add_bos_token : null;
  const start = (told === null ? template : null) ?? config.bos_token ?? template ?? known;
  const bosId = start === undefined ? null : idOf(start);
  if (bosId === null) return { addsBos: false, bosId: null };

  const decide = (): boolean => {
    if (told !== null) return told;
    if (file.post_processor !== null) return template !== null;
    if (config.tokenizer_class) return CLASSES_WITH_BOS.test(config.tokenizer_class);
    return 'byte_fallback' in file.model && file.model.byte_fallback;
  };
  return { addsBos: decide(), bosId };
}

const templateProcessing = z.looseObject({
  type: z.literal('TemplateProcessing'),
  single: z.array(z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }).optional() })),
});
const classifierProcessing = z.looseObject({
  type: z.enum(['BertProcessing', 'RobertaProcessing']),
  cls: z.tuple([z.string(), z.number()]),
});
const sequence = z.looseObject({ type: z.literal('Sequence'), processors: z.array(z.unknown()) });

/** The special token a post-processor puts in front of a single sequence. */
function templateStart(processor: unknown): string | null {
  const template = templateProcessing.safeParse(processor);
  if (template.success) return template.data.single[0]?.SpecialToken?.id ?? null;
  const classifier = classifierProcessing.safeParse(processor);
  if (classifier.success) return classifier.data.cls[0];
  const several = sequence.safeParse(processor);
  if (!several.success) return null;
  return several.data.processors.map(templateStart).find((token) => token !== null) ?? null;
}
