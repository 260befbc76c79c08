/**
 * Where the drift is: the text's first passages with every token's change of loss, and the tokens of all the text that
 * lose most. Collected while windows run; what is kept does not grow with the text, and becomes words at the end.
 */
import { greatest } from '../../contract/extremes.ts';
import type { DriftInWords, Guess, Passage, WorstToken } from '../../contract/report.ts';
import type { Window } from './protocols.ts';
import type { Scores } from '../statistics/statistics.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** Scored tokens in all passages together. */
export const PASSAGE_TOKENS = 2000;
/** Context shown before a passage's scored tokens, at most. */
const CONTEXT_SHOWN = 512;
/** Tokens kept for each level: those whose −ln p rose most. */
export const WORST_PER_LEVEL = 12;
/** Tokens before a worst token, for its `before`. */
const TOKENS_BEFORE = 32;

/** Collects for one pass over the windows: each window's baseline, then each level, then `windowDone`. */
export interface WordsCollector {
  /** @param logits [rows, vocabulary], which gave the scores; neither is kept. */
  baseline(window: Window, logits: Float32Array, scores: Scores): void;
  /** A level without figures for a window is left out there. */
  level(key: string, logits: Float32Array, scores: Scores): void;
  windowDone(): void;
  /** @param measured Keys of the levels that have figures over all windows. */
  collected(measured: readonly string[]): CollectedWords;
}

/** What a pass keeps, as token ids. */
export interface CollectedWords {
  passages: PassageOfIds[];
  worst: WorstId[];
}

interface PassageOfIds extends Omit<Passage, 'tokens'> {
  ids: Int32Array;
}

interface GuessedId {
  id: number;
  probability: number;
}

interface WorstId {
  /** Which scored token of the text, from 0; windows may overlap, scored tokens do not. */
  place: number;
  before: Int32Array;
  id: number;
  baseline: { probability: number; guess: GuessedId };
  levels: { level: string; probability: number; change: number; guess: GuessedId }[];
}

/** A model's figures over the window in hand. */
interface Figures {
  nll: Float64Array;
  top: Int32Array;
  /** ln p of the most likely token. */
  topLogP: Float64Array;
}

export function collectWords(): WordsCollector {
  const passages: PassageOfIds[] = [];
  const worst = new Map<string, Worst>();
  let left = PASSAGE_TOKENS;
  let place = 0;
  let window: Window = { ids: new Int32Array(0), first: 0, targets: new Int32Array(0) };
  let base: Figures = { nll: new Float64Array(0), top: new Int32Array(0), topLogP: new Float64Array(0) };
  const levels = new Map<string, Figures>();

  const keepWorst = () => {
    const { ids, first, targets } = window;
    const entries = new Map<number, WorstId>();
    const entryOf = (row: number): WorstId => {
      const known = entries.get(row);
      if (known) return known;
      const entry: WorstId = {
        place: place + row,
        before: ids.slice(Math.max(0, first + row + 1 - TOKENS_BEFORE), first + row + 1),
        id: targets[row]!,
        baseline: { probability: Math.exp(-base.nll[row]!), guess: guessOf(base, row) },
        levels: Array.from(levels, ([level, figures]) => ({
          level,
          probability: Math.exp(-figures.nll[row]!),
          change: figures.nll[row]! - base.nll[row]!,
          guess: guessOf(figures, row),
        })),
      };
      entries.set(row, entry);
      return entry;
    };
    for (const [key, { nll }] of levels) {
      let kept = worst.get(key);
      if (!kept) worst.set(key, (kept = keepLargest(WORST_PER_LEVEL)));
      for (let row = 0; row < nll.length; row++) {
        const change = nll[row]! - base.nll[row]!;
        if (change > kept.least()) kept.add(change, entryOf(row));
      }
    }
  };

  const keepPassage = () => {
    const { ids, first, targets } = window;
    const scored = Math.min(targets.length, left);
    if (scored === 0) return;
    left -= scored;
    const context = ids.subarray(Math.max(0, first + 1 - CONTEXT_SHOWN), first + 1);
    const all = new Int32Array(context.length + scored);
    all.set(context);
    all.set(targets.subarray(0, scored), context.length);
    passages.push({
      ids: all,
      scoredFrom: context.length,
      baseline: [...base.nll.subarray(0, scored)],
      levels: Array.from(levels, ([level, { nll }]) => ({
        level,
        change: Array.from(nll.subarray(0, scored), (value, row) => value - base.nll[row]!),
      })),
    });
  };

  return {
    baseline(next, logits, scores) {
      window = next;
      levels.clear();
      base = figuresOf(next.targets, logits, scores);
    },
    level(key, logits, scores) {
      levels.set(key, figuresOf(window.targets, logits, scores));
    },
    windowDone() {
      keepWorst();
      keepPassage();
      place += window.targets.length;
    },
    collected(measured) {
      const isMeasured = ({ level }: { level: string }) => measured.includes(level);
      return {
        passages: passages.map((passage) => ({ ...passage, levels: passage.levels.filter(isMeasured) })),
        worst: measured
          .flatMap((key) => worst.get(key)?.values() ?? [])
          .map((entry) => ({ ...entry, levels: entry.levels.filter(isMeasured) })),
      };
    },
  };
}

function figuresOf(targets: Int32Array, logits: Float32Array, scores: Scores): Figures {
  const rows = targets.length;
  const vocabulary = logits.length / rows;
  const { nll, top } = scores;
  return {
    nll: nll.slice(),
    top: top.slice(),
    topLogP: Float64Array.from(
      { length: rows },
      (_, row) => logits[row * vocabulary + top[row]!]! - logits[row * vocabulary + targets[row]!]! - nll[row]!,
    ),
  };
}

function guessOf({ top, topLogP }: Figures, row: number): GuessedId {
  return { id: top[row]!, probability: Math.exp(topLogP[row]!) };
}

type Worst = ReturnType<typeof keepLargest<WorstId>>;

/** The `room` entries of the largest amounts above 0; of equal ones the first. */
function keepLargest<Entry>(room: number) {
  /** Falling amounts; so few that inserting into a list is as good as a heap. */
  const kept: { amount: number; entry: Entry }[] = [];
  return {
    /** What an amount must exceed to be kept. */
    least: (): number => (kept.length < room ? 0 : (kept.at(-1)?.amount ?? 0)),
    add(amount: number, entry: Entry): void {
      const at = kept.findLastIndex((other) => other.amount >= amount) + 1;
      kept.splice(at, 0, { amount, entry });
      if (kept.length > room) kept.pop();
    },
    values: (): Entry[] => kept.map(({ entry }) => entry),
  };
}

/**
 * In words what one or more passes over the same windows have collected, each for levels of its own. A token that is
 * among the worst of one pass has the figures of that pass's levels.
 * @param text The text measured on, to tell a space the tokenizer puts in front of it from one of its own.
 */
export function inWords(
  passes: readonly CollectedWords[],
  tokenizer: Pick<Tokenizer, 'pieces' | 'piece'>,
  text: string,
): DriftInWords {
  const passages = (passes[0]?.passages ?? []).map(({ ids, ...figures }, index): Passage => {
    const tokens = tokenizer.pieces(ids);
    return {
      tokens: index === 0 ? withoutAddedSpace(tokens, text) : tokens,
      ...figures,
      levels: passes.flatMap((pass) => pass.passages[index]?.levels ?? []),
    };
  });
  const byPlace = new Map<number, WorstId>();
  for (const entry of passes.flatMap(({ worst }) => worst)) {
    const known = byPlace.get(entry.place);
    const others = known?.levels.filter(({ level }) => entry.levels.every((own) => own.level !== level)) ?? [];
    byPlace.set(entry.place, { ...entry, levels: [...others, ...entry.levels] });
  }
  const largest = ({ levels }: WorstId) => greatest(levels.map(({ change }) => change));
  const worst = [...byPlace.values()].sort((a, b) => largest(b) - largest(a) || a.place - b.place);
  return { passages, worst: worst.map((entry) => worstInWords(entry, tokenizer)) };
}

function worstInWords(
  { before, id, baseline, levels }: WorstId,
  tokenizer: Pick<Tokenizer, 'pieces' | 'piece'>,
): WorstToken {
  /** Its text after what is before it, or by itself where it only begins or goes on a character. */
  const textOf = (token: number): string => {
    const inPlace = tokenizer.pieces([...before, token]).at(-1) ?? '';
    return inPlace === '' || inPlace.includes(BROKEN) ? tokenizer.piece(token) : inPlace;
  };
  const guess = ({ id: token, probability }: GuessedId): Guess => ({ token: textOf(token), probability });
  return {
    // The cut may go through characters, at either end.
    before: tokenizer
      .pieces(before)
      .join('')
      .replace(/^\uFFFD+|\uFFFD+$/g, ''),
    token: textOf(id),
    baseline: { probability: baseline.probability, guess: guess(baseline.guess) },
    levels: levels.map((level) => ({ ...level, guess: guess(level.guess) })),
  };
}

/** Stands for bytes that make no character. */
const BROKEN = '\uFFFD';

/** Enough of a text's beginning to tell it by. */
const BEGINNING = 16;

/** SentencePiece vocabularies begin words with a space, and so the text's first; it may follow a BOS token. */
function withoutAddedSpace(tokens: string[], text: string): string[] {
  for (const first of [0, 1]) {
    const joined = tokens
      .slice(first, first + BEGINNING)
      .join('')
      .slice(0, BEGINNING);
    if (joined === '' || text.startsWith(joined)) return tokens;
    if (joined.startsWith(' ') && text.startsWith(joined.slice(1))) return tokens.with(first, tokens[first]!.slice(1));
  }
  return tokens;
}
