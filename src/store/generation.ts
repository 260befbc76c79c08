/**
 * Several models continuing one prompt. Outside React; what generates is handed in, and its events are applied in
 * batches so that fast models do not draw the page more often than one can read.
 */
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { EngineError, Result } from '../../workers/contract/errors.ts';
import type { Generated, GenerationJob } from '../../workers/contract/generation.ts';
import { createBatch } from './batch.ts';

export type Generate = (
  job: GenerationJob,
  onEvent: (event: Generated) => void,
) => { done: Promise<Result<null>>; cancel(): void };

/** What one model has written so far. */
export interface Continuation {
  text: string;
  /** Where each piece that came ends, in characters of `text`, and at how many tokens: as a rule one more than before. */
  ends: readonly { at: number; tokens: number }[];
  tokens: number;
  tokensPerSecond: number | null;
  cached: boolean;
  final: boolean;
  problem: EngineError | null;
}

export interface GenerationState {
  status: 'idle' | 'running' | 'cancelling';
  /** What was asked for last; null before the first time. */
  job: GenerationJob | null;
  continuations: ReadonlyMap<string, Continuation>;
  problem: EngineError | null;

  /** Does nothing while another is under way. */
  generate(job: GenerationJob): Promise<void>;
  cancel(): void;
  /** Forgets everything, and ends what is under way. */
  clear(): void;
}

const SHOW_EVERY_MS = 60;

export function createGeneration(generate: Generate): StoreApi<GenerationState> {
  return createStore<GenerationState>()((set, get) => {
    let underWay: { cancel(): void } | null = null;
    return {
      status: 'idle',
      job: null,
      continuations: new Map(),
      problem: null,

      async generate(job) {
        if (get().status !== 'idle' || underWay) return;
        set({ status: 'running', job, continuations: new Map(), problem: null });
        const mine = () => get().job === job;
        const events = createBatch<Generated>(SHOW_EVERY_MS, (items) => {
          if (mine()) set(({ continuations }) => ({ continuations: items.reduce(applyGenerated, continuations) }));
        });
        const task = generate(job, (event) => {
          events.add(event);
        });
        underWay = task;
        const result = await task.done;
        events.flush();
        underWay = null;
        if (mine())
          set({ status: 'idle', problem: result.ok || result.error.code === 'cancelled' ? null : result.error });
      },

      cancel() {
        if (get().status !== 'running') return;
        set({ status: 'cancelling' });
        underWay?.cancel();
      },

      clear() {
        underWay?.cancel();
        set({ status: 'idle', job: null, continuations: new Map(), problem: null });
      },
    };
  });
}

export function applyGenerated(
  continuations: ReadonlyMap<string, Continuation>,
  event: Generated,
): ReadonlyMap<string, Continuation> {
  const { text, tokens, tokensPerSecond, cached, final, problem } = event;
  const before = continuations.get(event.key)?.ends ?? [];
  // Half a character may be taken back when its other half comes.
  const ends = before.filter(({ at }) => at < text.length);
  return new Map(continuations).set(event.key, {
    text,
    ends: text.length > 0 ? [...ends, { at: text.length, tokens }] : ends,
    tokens,
    tokensPerSecond,
    cached,
    final,
    problem,
  });
}

/** Where a continuation parts from the baseline's. */
export interface Parting {
  /** Characters that both begin with, up to the token that differs. */
  same: number;
  /** Characters up to the end of the first token that differs; as `same` where it has ended earlier. */
  until: number;
  /** Tokens before it; `exact` where they came one by one. */
  tokens: number;
  exact: boolean;
}

/**
 * The first token of `text` that differs from the baseline's text. Null while nothing differs: one that is only shorter
 * differs when it has ended. Of several tokens that came together the word that differs stands for the token.
 */
export function partingOf(
  continuation: Pick<Continuation, 'text' | 'ends' | 'final'>,
  baseline: Pick<Continuation, 'text' | 'ends' | 'final'>,
): Parting | null {
  const shorter = Math.min(continuation.text.length, baseline.text.length);
  let at = 0;
  while (at < shorter && continuation.text[at] === baseline.text[at]) at++;
  const ended = (one: typeof baseline) => one.final && one.text.length === at;
  if (
    at === shorter &&
    !(continuation.text.length !== baseline.text.length && (ended(continuation) || ended(baseline)))
  )
    return null;
  const before = continuation.ends.findLast((end) => end.at <= at) ?? { at: 0, tokens: 0 };
  const after = continuation.ends.find((end) => end.at > at) ?? before;
  if (after.tokens - before.tokens <= 1)
    return { same: before.at, until: after.at, tokens: before.tokens, exact: true };
  const { text } = continuation;
  const spaces = Array.from(text.slice(before.at, after.at).matchAll(/\s+/gu), ({ index }) => before.at + index);
  return {
    same: spaces.findLast((space) => space <= at) ?? before.at,
    until: spaces.find((space) => space > at) ?? after.at,
    tokens: before.tokens,
    exact: false,
  };
}
