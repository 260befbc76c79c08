/**
 * Protocols for perplexity as plans: which tokens are run together, and which of them are scored. A number means
 * something only beside others of the same protocol.
 *
 * - `llama.cpp`: perplexity.ts.
 * - `gptq`: disjoint windows of 2048, each token but a window's first scored, windows not filled left out; the text is
 *   tokenized once, BOS only where the tokenizer puts it (IST-DASLab/gptq, llama.py; mit-han-lab/llm-awq, entry.py).
 * - `huggingface`: a window that moves on by `stride`; scored is what no window before had, so that each token has at
 *   least `context − stride` before it (Hugging Face, "Perplexity of fixed-length models"). All scored tokens weigh
 *   the same; the guide's own loop counts one fewer for every window, which matters only to the first and the last.
 * - `lm-eval`: every token is scored, the first after the BOS or else EOS token; windows carry one token of context,
 *   and the last is filled up with what comes before it (EleutherAI/lm-evaluation-harness,
 *   `get_rolling_token_windows` and `make_disjoint_window`). The text counts as one document.
 */
import type { ProtocolName, ProtocolRequest } from '../../contract/job.ts';
import type { Result } from '../../contract/errors.ts';
import { failure, type Failure } from '../errors.ts';
import { DEFAULT_CONTEXT, planWindows, SMALLEST_CONTEXT, type TokenizedText } from './perplexity.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** One run: tokens [start, end) with nothing before them; [from, to) are scored, each by the logits of the one before it. */
export interface Span {
  start: number;
  end: number;
  /** start < from < to ≤ end + 1. */
  from: number;
  to: number;
}

export interface WindowPlan {
  name: ProtocolName;
  /** Tokens in a window. */
  context: number;
  /** Null where windows do not overlap. */
  stride: number | null;
  unit: 'token' | 'word';
  /** What spans count in: the text's tokens, with what the protocol puts in front. */
  sequence: Int32Array;
  /** Takes the place of every window's first token; null for none. */
  bos: number | null;
  spans: Span[];
  /** Sentences on what is not as usual. */
  notes: string[];
}

/** A window ready to run. */
export interface Window {
  ids: Int32Array;
  /** Position of the logits that score the first target. */
  first: number;
  targets: Int32Array;
}

const DEFAULT_CONTEXTS: Record<ProtocolName, number> = {
  'llama.cpp': DEFAULT_CONTEXT,
  gptq: 2048,
  // The guide's: GPT-2's, and what it takes.
  huggingface: 1024,
  // What lm-evaluation-harness takes for a model that names no limit.
  'lm-eval': 2048,
};
/** At most; half of a smaller window, so that windows go on overlapping. */
const DEFAULT_STRIDE = 512;

/**
 * @param maxTokens Tokens of the text to run at most, one window at least; null for all.
 * @param longest Tokens the model takes at once; null when it sets no limit.
 * Errors: `usage` for settings that make no sense, `text-too-short`.
 */
export function planProtocol(
  request: ProtocolRequest,
  text: TokenizedText,
  tokenizer: Pick<Tokenizer, 'bosId' | 'eosId'>,
  maxTokens: number | null,
  longest: number | null,
): Result<WindowPlan> {
  const wrong = unusable(request);
  if (wrong) return wrong;
  const wanted = request.context ?? DEFAULT_CONTEXTS[request.name];
  if (request.name === 'llama.cpp') return planLlama(text, maxTokens, longest, wanted);

  const length = text.tokens.length;
  const enough = planWindows(length, null, null, SMALLEST_CONTEXT);
  if (!enough.ok) return enough;
  const notes: string[] = [];
  let context = wanted;
  if (longest !== null && longest < wanted) {
    context = longest;
    notes.push(
      `The model takes at most ${longest} tokens at once, so windows of ${longest} were used instead of ${wanted}; figures from other windows are not comparable.`,
    );
  }
  const plan = { name: request.name, stride: null, unit: 'token', sequence: text.tokens, bos: null, notes } as const;
  switch (request.name) {
    case 'gptq': {
      if (length < context) {
        const smaller = 2 ** Math.floor(Math.log2(length));
        notes.push(
          `The text has ${length} tokens, fewer than a window of ${context}, so windows of ${smaller} were used; figures from other windows are not comparable.`,
        );
        context = smaller;
      }
      return { ok: true, value: { ...plan, context, spans: atMost(disjointSpans(length, context), maxTokens) } };
    }
    case 'huggingface': {
      const stride = Math.min(request.stride ?? Math.min(DEFAULT_STRIDE, context >> 1), context);
      return {
        ok: true,
        value: { ...plan, context, stride, spans: atMost(slidingSpans(length, context, stride), maxTokens) },
      };
    }
    case 'lm-eval': {
      const sequence = afterPrefix(text, tokenizer.bosId ?? tokenizer.eosId);
      if (!sequence)
        notes.push(
          'The tokenizer has neither a BOS nor an EOS token to begin with, so the first token of the text was not scored.',
        );
      const tokens = sequence ?? text.tokens;
      return {
        ok: true,
        value: {
          ...plan,
          unit: 'word',
          context,
          sequence: tokens,
          spans: atMost(rollingSpans(tokens.length, context), maxTokens),
        },
      };
    }
  }
}

/** Token ids of a window, where its scores start, and what they are of. */
export function windowOf({ sequence, bos, spans }: WindowPlan, index: number): Window {
  const { start, end, from, to } = spans[index]!;
  const ids = sequence.slice(start, end);
  if (bos !== null) ids[0] = bos;
  return { ids, first: from - 1 - start, targets: sequence.slice(from, to) };
}

/** Tokens scored in the first `windows` windows. */
export function tokensScored({ spans }: WindowPlan, windows: number): number {
  return spans.slice(0, windows).reduce((sum, { from, to }) => sum + to - from, 0);
}

/** Tokens of the sequence that the first `windows` windows reach; what is beyond plays no part. */
export function tokensReached({ spans }: WindowPlan, windows: number): number {
  const last = spans[windows - 1];
  return last ? Math.max(last.end, last.to) : 0;
}

function planLlama(
  text: TokenizedText,
  maxTokens: number | null,
  longest: number | null,
  wanted: number,
): Result<WindowPlan> {
  const planned = planWindows(text.tokens.length, maxTokens, longest, wanted);
  if (!planned.ok) return planned;
  const { context, count, firstScored, notes } = planned.value;
  const spans = Array.from({ length: count }, (_, index): Span => {
    const start = index * context;
    return { start, end: start + context, from: start + firstScored + 1, to: start + context };
  });
  return {
    ok: true,
    value: {
      name: 'llama.cpp',
      context,
      stride: null,
      unit: 'token',
      sequence: text.tokens,
      bos: text.bos,
      spans,
      notes,
    },
  };
}

function disjointSpans(length: number, context: number): Span[] {
  return Array.from({ length: Math.floor(length / context) }, (_, index) => ({
    start: index * context,
    end: (index + 1) * context,
    from: index * context + 1,
    to: (index + 1) * context,
  }));
}

function slidingSpans(length: number, context: number, stride: number): Span[] {
  const spans: Span[] = [];
  let scored = 0;
  for (let start = 0; scored < length; start += stride) {
    const end = Math.min(start + context, length);
    // A window's first token has nothing before it to be scored by.
    const from = Math.max(start + 1, scored);
    if (from < end) spans.push({ start, end, from, to: end });
    scored = end;
  }
  return spans;
}

/** All but the first of `length` tokens, `context` at a time. */
function rollingSpans(length: number, context: number): Span[] {
  const spans: Span[] = [];
  for (let from = 1; from < length; from += context) {
    const to = Math.min(from + context, length);
    spans.push({ start: Math.min(from - 1, Math.max(0, to - 1 - context)), end: to - 1, from, to });
  }
  return spans;
}

function atMost(spans: Span[], maxTokens: number | null): Span[] {
  return maxTokens === null ? spans : spans.filter(({ end }, index) => index === 0 || end <= maxTokens);
}

/** The text behind a token to begin with; as it is where the tokenizer has put one there. */
function afterPrefix(text: TokenizedText, prefix: number | null): Int32Array | null {
  if (text.bos !== null) return text.tokens;
  if (prefix === null) return null;
  const sequence = new Int32Array(text.tokens.length + 1);
  sequence[0] = prefix;
  sequence.set(text.tokens, 1);
  return sequence;
}

function unusable({ name, context, stride }: ProtocolRequest): Failure | null {
  const refuse = (message: string, action: string) => failure('usage', message, action);
  if (context !== undefined && !(Number.isInteger(context) && context >= SMALLEST_CONTEXT)) {
    return refuse(
      `A window of ${context} tokens leaves too little context for a perplexity to mean anything.`,
      `Take ${SMALLEST_CONTEXT} or more.`,
    );
  }
  if (stride === undefined) return null;
  if (name !== 'huggingface')
    return refuse(`The protocol ${name} has no stride.`, 'Leave it out, or measure by the protocol huggingface.');
  const most = context ?? DEFAULT_CONTEXTS[name];
  if (Number.isInteger(stride) && stride >= 1 && stride <= most) return null;
  return refuse(
    `A stride of ${stride} does not fit windows of ${most}: it would leave out text.`,
    `Take one from 1 to ${most}.`,
  );
}
