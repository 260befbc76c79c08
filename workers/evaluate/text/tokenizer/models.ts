/** Models of a `tokenizer.json`: a piece of text to token ids. As in the `tokenizers` crate (src/models). */
import { createBpe } from './bpe.ts';
import type { EncodeWord } from './encode-word.ts';
import type { Model } from './schema.ts';
import { createUnigram } from './unigram.ts';

/** Tokens by id and ids by token, of the model alone. */
export function vocabularyOf(model: Model): Map<string, number> {
  return model.type === 'Unigram'
    ? new Map(model.vocab.map(([token], id) => [token, id]))
    : new Map(Object.entries(model.vocab));
}

/** The id of the unknown token; null where there is none. */
export function unknownIdOf(model: Model): number | null {
  if (model.type === 'Unigram') return model.unk_id ?? null;
  return model.unk_token == null
    ? null
    : Object.hasOwn(model.vocab, model.unk_token)
      ? (model.vocab[model.unk_token] ?? null)
      : null;
}

/** Throws an Error for a model that contradicts itself. */
export function createModel(model: Model): EncodeWord {
  switch (model.type) {
    case 'BPE':
      return createBpe(model);
    case 'Unigram':
      return createUnigram(model);
    case 'WordPiece':
      return wordPiece(model);
    case 'WordLevel': {
      const vocabulary = vocabularyOf(model);
      const unknown = unknownIdOf(model);
      return (word) => known(vocabulary.get(word) ?? unknown, word);
    }
  }
}

const known = (id: number | null, word: string): ReturnType<EncodeWord> =>
  id === null ? { ids: [], dropped: Array.from(word).length } : { ids: [id], dropped: 0 };

/** The longest token from the left, again and again; a word that is not used up is unknown as a whole. */
function wordPiece(model: Extract<Model, { type: 'WordPiece' }>): EncodeWord {
  const vocabulary = vocabularyOf(model);
  const unknown = unknownIdOf(model);
  const { continuing_subword_prefix: prefix, max_input_chars_per_word: most } = model;
  return (word) => {
    const characters = Array.from(word);
    const ids: number[] = [];
    if (characters.length > most) return known(unknown, word);
    for (let start = 0; start < characters.length;) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start; end--) {
        id = vocabulary.get((start > 0 ? prefix : '') + characters.slice(start, end).join(''));
        if (id !== undefined) break;
      }
      if (id === undefined) return known(unknown, word);
      ids.push(id);
      start = end;
    }
    return { ids, dropped: 0 };
  };
}
