/** SentencePiece's unigram model, as in the `tokenizers` crate (src/models/unigram): the tokens whose scores add up to the most. */
import type { EncodeWord } from './encode-word.ts';
import type { Model } from './schema.ts';

/** How much less likely than the least likely token an unknown character is. */
const UNKNOWN_PENALTY = 10;

/** Throws an Error for an `unk_id` that is no token. */
export function createUnigram({
  vocab,
  unk_id,
  byte_fallback: fallsBack,
}: Extract<Model, { type: 'Unigram' }>): EncodeWord {
  const unknownId = unk_id ?? null;
  if (unknownId !== null && unknownId >= vocab.length)
    throw new RangeError('the unknown token is not in the vocabulary');
  const idOf = new Map(vocab.map(([token], id) => [token, id]));
  const trie = createTrie(idOf);
  const unknownScore = vocab.reduce((least, [, score]) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY;

  return (word) => {
    const ids: number[] = [];
    let dropped = 0;
    for (const piece of bestPieces(word, { trie, scoreOf: (id) => vocab[id]![1], unknownId, unknownScore })) {
      const id = idOf.get(piece);
      const bytes =
        id === undefined && fallsBack
          ? Array.from(new TextEncoder().encode(piece), (byte) =>
              idOf.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
            )
          : [];
      if (id !== undefined) ids.push(id);
      else if (bytes.length > 0 && bytes.every((byte) => byte !== undefined)) for (const byte of bytes) ids.push(byte);
      else if (unknownId !== null) ids.push(unknownId);
      else dropped += Array.from(piece).length;
    }
    return { ids, dropped };
  };
}

interface Search {
  trie: Trie;
  scoreOf: (id: number) => number;
  unknownId: number | null;
  unknownScore: number;
}

const UNKNOWN = -1;

/** Unknown characters side by side come as one piece. */
function bestPieces(word: string, { trie, scoreOf, unknownId, unknownScore }: Search): string[] {
  const size = word.length;
  const score = new Float64Array(size + 1);
  const from = new Int32Array(size + 1).fill(-1);
  const token = new Int32Array(size + 1);
  const offer = (start: number, end: number, id: number, of: number) => {
    const candidate = of + score[start]!;
    if (from[end] !== -1 && candidate <= score[end]!) return;
    score[end] = candidate;
    from[end] = start;
    token[end] = id;
  };
  for (let start = 0; start < size;) {
    const character = word.codePointAt(start)! > 0xffff ? 2 : 1;
    const ends = new Set<number>();
    trie.prefixes(word, start, (end, id) => {
      offer(start, end, id, scoreOf(id));
      ends.add(end);
    });
    if (!ends.has(start + character)) offer(start, start + character, UNKNOWN, unknownScore);
    start += character;
  }
  const pieces: string[] = [];
  let unknown = '';
  for (let end = size; end > 0; end = from[end]!) {
    const text = word.slice(from[end], end);
    if (token[end] === UNKNOWN || token[end] === unknownId) {
      unknown = text + unknown;
      continue;
    }
    if (unknown !== '') pieces.push(unknown);
    unknown = '';
    pieces.push(text);
  }
  if (unknown !== '') pieces.push(unknown);
  return pieces.reverse();
}

interface Trie {
  /** Tokens that a text has at `start`, shorter ones first. */
  prefixes(text: string, start: number, found: (end: number, id: number) => void): void;
}

/** Nodes are numbers; the one a UTF-16 unit leads to is kept under node · 2¹⁶ + unit. */
function createTrie(idOf: ReadonlyMap<string, number>): Trie {
  const edges = new Map<number, number>();
  const ends = new Map<number, number>();
  let nodes = 1;
  for (const [piece, id] of idOf) {
    let node = 0;
    for (let at = 0; at < piece.length; at++) {
      const edge = node * 65536 + piece.charCodeAt(at);
      node = edges.get(edge) ?? nodes;
      if (node === nodes) edges.set(edge, nodes++);
    }
    if (node > 0) ends.set(node, id);
  }
  return {
    prefixes(text, start, found) {
      let node = 0;
      for (let at = start; at < text.length; at++) {
        const next = edges.get(node * 65536 + text.charCodeAt(at));
        if (next === undefined) return;
        node = next;
        const id = ends.get(node);
        if (id !== undefined) found(at + 1, id);
      }
    },
  };
}
