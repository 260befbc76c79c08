/**
 * A `tokenizer.json` at work, as Python's `tokenizers` 0.23 has it, id for id. It is written out here because
 * transformers.js 4.3 gives other ids than Python for several kinds of files: its pre-tokenizer Whitespace
 * (huggingface/transformers.js#542) takes `é` for no letter, BPE leaves `continuing_subword_prefix` out, a Precompiled
 * charsmap is approximated, and the class named in the configuration changes the pre-tokenizer
 * (huggingface/transformers.js#1612).
 */
import { createAddedVocabulary } from './added-tokens.ts';
import { createDecoder } from './decoders.ts';
import { createModel, unknownIdOf, vocabularyOf } from './models.ts';
import { createNormalizer } from './normalizers.ts';
import { createPreTokenizer } from './pre-tokenizers.ts';
import type { TokenizerFile } from './schema.ts';

export interface Encoding {
  /** Ids by token, added ones included. */
  vocabulary: ReadonlyMap<string, number>;
  /** Null where the model has no unknown token. */
  unknownId: number | null;
  /** Ids of a text without anything around it, and how many of its characters are in no token. */
  encode(text: string): { ids: Int32Array; dropped: number };
  /** Special tokens are left out. */
  decode(ids: readonly number[]): string;
}

/** Words that are kept once they have been encoded; they come again and again. */
const MOST_KEPT = 100_000;
const LONGEST_KEPT = 256;

/** Throws `UnknownPattern`, or another Error with what is wrong with the file. */
export function createEncoding(file: TokenizerFile): Encoding {
  const normalize = createNormalizer(file.normalizer);
  const preTokenize = createPreTokenizer(file.pre_tokenizer);
  const encodeWord = createModel(file.model);
  const decodeTokens = createDecoder(file.decoder);
  const ofModel = vocabularyOf(file.model);
  const added = createAddedVocabulary(file.added_tokens, ofModel, normalize);
  const kept = new Map<string, ReturnType<typeof encodeWord>>();
  let tokens: Map<number, string> | null = null;

  const word = (text: string): ReturnType<typeof encodeWord> => {
    const before = kept.get(text);
    if (before) return before;
    const encoded = encodeWord(text);
    if (text.length <= LONGEST_KEPT && kept.size < MOST_KEPT) kept.set(text, encoded);
    return encoded;
  };
  return {
    vocabulary: new Map([...ofModel, ...added.ids]),
    unknownId: unknownIdOf(file.model),
    encode(text) {
      const ids: number[] = [];
      let dropped = 0;
      for (const segment of added.split(text)) {
        if ('id' in segment) {
          ids.push(segment.id);
          continue;
        }
        for (const piece of preTokenize([segment])) {
          const encoded = word(piece.text);
          for (const id of encoded.ids) ids.push(id);
          dropped += encoded.dropped;
        }
      }
      return { ids: Int32Array.from(ids), dropped };
    },
    decode(ids) {
      tokens ??= new Map([...Array.from(ofModel, ([token, id]) => [id, token] as const), ...added.contents]);
      const names = tokens;
      return decodeTokens(ids.filter((id) => !added.special.has(id)).flatMap((id) => names.get(id) ?? []));
    },
  };
}
