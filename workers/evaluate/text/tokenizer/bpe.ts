/** Byte pair encoding, as in the `tokenizers` crate (src/models/bpe): the merge of lowest rank first, the leftmost of equals. */
import type { EncodeWord } from './encode-word.ts';
import type { Model } from './schema.ts';

interface Merge {
  rank: number;
  id: number;
}

/** Throws an Error for a merge whose parts or result are no tokens. */
export function createBpe(model: Extract<Model, { type: 'BPE' }>): EncodeWord {
  const vocabulary = new Map(Object.entries(model.vocab));
  const {
    unk_token: unknown,
    continuing_subword_prefix: prefix,
    end_of_word_suffix: suffix,
    fuse_unk: fuses,
    byte_fallback: fallsBack,
  } = model;
  const merges = readMerges(model, vocabulary);
  const unknownId = unknown == null ? null : (vocabulary.get(unknown) ?? null);
  const bytes = fallsBack
    ? Array.from({ length: 256 }, (_, byte) =>
        vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
      )
    : [];

  const idsOf = (word: string): { ids: number[]; dropped: number } => {
    const ids: number[] = [];
    let waiting: number | null = null;
    let dropped = 0;
    const flush = () => {
      if (waiting !== null) ids.push(waiting);
      waiting = null;
    };
    const characters = Array.from(word);
    for (const [index, character] of characters.entries()) {
      const piece = `${index > 0 && prefix != null ? prefix : ''}${character}${index === characters.length - 1 && suffix != null ? suffix : ''}`;
      const id = vocabulary.get(piece);
      if (id !== undefined) {
        flush();
        ids.push(id);
        continue;
      }
      if (fallsBack) {
        const codes = Array.from(new TextEncoder().encode(piece), (byte) => bytes[byte]);
        if (codes.every((code) => code !== undefined)) {
          // An unknown character before them comes after them: so does the crate.
          for (const code of codes) ids.push(code);
          continue;
        }
      }
      if (unknownId === null) dropped++;
      else {
        if (!fuses) flush();
        waiting = unknownId;
      }
    }
    flush();
    return { ids, dropped };
  };
  return (word) => {
    const whole = model.ignore_merges ? vocabulary.get(word) : undefined;
    if (whole !== undefined) return { ids: [whole], dropped: 0 };
    const { ids, dropped } = idsOf(word);
    return { ids: mergeAll(ids, merges), dropped };
  };
}

interface Merges {
  width: number;
  byPair: ReadonlyMap<number, Merge>;
}

function readMerges(
  { merges, continuing_subword_prefix: prefix }: Extract<Model, { type: 'BPE' }>,
  vocabulary: ReadonlyMap<string, number>,
): Merges {
  let width = 1;
  for (const id of vocabulary.values()) width = Math.max(width, id + 1);
  const byPair = new Map<number, Merge>();
  const idOf = (token: string): number => {
    const id = vocabulary.get(token);
    if (id === undefined) throw new RangeError(`the merge token "${token}" is not in the vocabulary`);
    return id;
  };
  let rank = 0;
  for (const merge of merges) {
    // Of lists from files the first line says which version they are.
    if (typeof merge === 'string' && merge.startsWith('#version')) continue;
    const [left, right, ...more] = typeof merge === 'string' ? merge.split(' ') : merge;
    if (left === undefined || right === undefined || more.length > 0)
      throw new RangeError(`the merge "${String(merge)}" does not have two parts`);
    byPair.set(idOf(left) * width + idOf(right), { rank: rank++, id: idOf(left + right.slice(prefix?.length ?? 0)) });
  }
  return { width, byPair };
}

/** A merge that may be due: `symbol` and the one behind it become `id`. */
interface Due {
  rank: number;
  symbol: number;
  id: number;
}

function mergeAll(ids: number[], { width, byPair }: Merges): number[] {
  if (ids.length < 2) return ids;
  const symbols = ids.slice();
  const next = Int32Array.from(ids, (_, index) => (index + 1 < ids.length ? index + 1 : -1));
  const previous = Int32Array.from(ids, (_, index) => index - 1);
  const gone = new Uint8Array(ids.length);
  const queue: Due[] = [];
  const consider = (symbol: number) => {
    const behind = symbol < 0 ? -1 : next[symbol]!;
    const merge = behind < 0 ? undefined : byPair.get(symbols[symbol]! * width + symbols[behind]!);
    if (merge) push(queue, { rank: merge.rank, symbol, id: merge.id });
  };
  for (let symbol = 0; symbol < ids.length - 1; symbol++) consider(symbol);

  for (let due = pop(queue); due; due = pop(queue)) {
    const { symbol, id } = due;
    const behind = next[symbol]!;
    // What was due may have been merged with something else since.
    if (gone[symbol] || behind < 0 || byPair.get(symbols[symbol]! * width + symbols[behind]!)?.id !== id) continue;
    symbols[symbol] = id;
    gone[behind] = 1;
    const after = next[behind]!;
    next[symbol] = after;
    if (after >= 0) previous[after] = symbol;
    consider(previous[symbol]!);
    consider(symbol);
  }
  return symbols.filter((_, index) => !gone[index]);
}

const before = (a: Due, b: Due): boolean => (a.rank === b.rank ? a.symbol < b.symbol : a.rank < b.rank);

/** A binary heap: each entry is due before the two below it. */
function push(heap: Due[], due: Due): void {
  let at = heap.push(due) - 1;
  while (at > 0) {
    const above = (at - 1) >> 1;
    if (!before(due, heap[above]!)) break;
    heap[at] = heap[above]!;
    at = above;
  }
  heap[at] = due;
}

function pop(heap: Due[]): Due | undefined {
  const [first] = heap;
  const last = heap.pop();
  if (!first || !last || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    const left = 2 * at + 1;
    if (left >= heap.length) break;
    const below = left + 1 < heap.length && before(heap[left + 1]!, heap[left]!) ? left + 1 : left;
    if (!before(heap[below]!, last)) break;
    heap[at] = heap[below]!;
    at = below;
  }
  heap[at] = last;
  return first;
}
