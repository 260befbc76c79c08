/**
 * The protocols perplexity is measured by, in words and in the lengths the page needs to say what an amount of text
 * costs. Windows are those a protocol takes by itself; a model that takes fewer tokens at once gets smaller ones.
 */
import type { Protocol } from '../../../workers/contract/report.ts';
import type { ProtocolName, ProtocolRequest } from '../../../workers/contract/job.ts';
import { formatCount, formatShareOf, plural } from '../../lib/format/numbers.ts';

export interface ProtocolFacts {
  name: ProtocolName;
  /** As it stands in the list to choose from. */
  label: string;
  /** One sentence: what it does and whose figures it makes comparable. */
  about(lengths: Pick<ProtocolLengths, 'window' | 'step'>): string;
  /** Goes after `Measured `. */
  as: string;
  /** Which tokens count, between commas. */
  scores: string;
  unit: 'token' | 'word';
  /** Tokens in one window, when no other number is asked for. */
  window: number;
  /** Windows overlap, by a stride that can be set. */
  slides: boolean;
}

/** Of a protocol with the window and stride asked for. */
export interface ProtocolLengths {
  /** Tokens in one window. */
  window: number;
  /** Tokens by which an amount of text can grow: the stride where windows overlap. */
  step: number;
  /** Whether the end of a text that does not fill a window is measured too. */
  takesRest: boolean;
  /** Tokens run through a model to measure on `tokens` of text. */
  run(tokens: number): number;
  /** Tokens scored on `tokens` of text. */
  scored(tokens: number): number;
}

const wholeWindows = (tokens: number, window: number): number => Math.floor(tokens / window);

export const PROTOCOLS: Readonly<Record<ProtocolName, ProtocolFacts>> = {
  'llama.cpp': {
    name: 'llama.cpp',
    label: 'llama.cpp (default)',
    unit: 'token',
    window: 512,
    slides: false,
    about: ({ window }) =>
      `Windows of ${formatCount(window)} tokens, the second half of each scored: comparable with what llama.cpp prints${window === 512 ? '' : ` with -c ${window}`}.`,
    as: 'as llama.cpp does',
    scores: 'the second half of each scored',
  },
  gptq: {
    name: 'gptq',
    label: 'GPTQ and AWQ papers',
    unit: 'token',
    window: 2048,
    slides: false,
    about: ({ window }) =>
      `Windows of ${formatCount(window)} tokens side by side, all of each scored: ${window === 2048 ? 'comparable with the tables in papers on quantization' : 'as in papers on quantization, which take 2,048'}.`,
    as: 'as the GPTQ and AWQ papers do',
    scores: 'all but the first token of each scored',
  },
  huggingface: {
    name: 'huggingface',
    label: 'Hugging Face, sliding window',
    unit: 'token',
    window: 1024,
    slides: true,
    about: ({ window, step }) =>
      `A window of ${formatCount(window)} tokens moves on by ${formatCount(step)} and what is new is scored: every token has context${step < window ? ', and most text is run more than once' : ''}.`,
    as: 'as in Hugging Face’s guide',
    scores: 'what is new in each scored',
  },
  'lm-eval': {
    name: 'lm-eval',
    label: 'lm-eval, by word',
    unit: 'word',
    window: 2048,
    slides: false,
    about: () =>
      'Every token is scored and the sum shared out over words: comparable between models with different tokenizers.',
    as: 'as lm-eval does, by word',
    scores: 'every token scored',
  },
};

/** At most; half of a smaller window, so that windows go on overlapping. */
const DEFAULT_STRIDE = 512;
/** Windows to choose from, tokens. */
export const WINDOWS: readonly number[] = [128, 256, 512, 1024, 2048, 4096];

/** The window and stride that a request comes down to, and what they make of an amount of text. */
export function lengthsOf({ name, context, stride }: ProtocolRequest): ProtocolLengths {
  const window = context ?? PROTOCOLS[name].window;
  switch (name) {
    case 'llama.cpp':
      return {
        window,
        step: window,
        takesRest: false,
        run: (tokens) => tokens,
        scored: (tokens) =>
          tokens < window
            ? Math.max(1, Math.floor(tokens / 2))
            : wholeWindows(tokens, window) * (window - Math.floor(window / 2) - 1),
      };
    case 'gptq':
      return {
        window,
        step: window,
        takesRest: false,
        run: (tokens) => tokens,
        scored: (tokens) => (tokens < window ? Math.max(1, tokens - 1) : wholeWindows(tokens, window) * (window - 1)),
      };
    case 'huggingface': {
      const step = Math.min(stride ?? Math.min(DEFAULT_STRIDE, window / 2), window);
      return {
        window,
        step,
        takesRest: true,
        run: (tokens) => (tokens <= window ? tokens : (Math.ceil((tokens - window) / step) + 1) * window),
        scored: (tokens) => Math.max(1, tokens - 1),
      };
    }
    case 'lm-eval':
      return {
        window,
        step: window,
        takesRest: true,
        run: (tokens) => tokens,
        scored: (tokens) => Math.max(1, tokens),
      };
  }
}

/** Strides that overlap a window by whole fractions, tokens; ascending. */
export const stridesFor = (window: number): number[] => [8, 4, 2, 1].map((parts) => window / parts);

/** Whether figures by the two compare: the same protocol with the same lengths. */
export function sameProtocol(a: ProtocolRequest, b: ProtocolRequest): boolean {
  const [one, other] = [lengthsOf(a), lengthsOf(b)];
  return a.name === b.name && one.window === other.window && one.step === other.step;
}

export const PROTOCOL_NAMES: readonly ProtocolName[] = ['llama.cpp', 'gptq', 'huggingface', 'lm-eval'];
export const DEFAULT_PROTOCOL: ProtocolRequest = { name: 'llama.cpp' };

/** A known protocol by what a form control gives back. */
export const protocolNamed = (value: string): ProtocolName =>
  PROTOCOL_NAMES.find((name) => name === value) ?? DEFAULT_PROTOCOL.name;

/** How numbers on show were measured: a few words to stand beside them, and the whole for their hover. */
export interface Provenance {
  tag: string;
  sentence: string;
}

/** `llama.cpp, windows of 512`: numbers with different tags do not compare. */
export function protocolTag({ name, context, stride }: Pick<Protocol, 'name' | 'context' | 'stride'>): string {
  return `${name}, windows of ${formatCount(context)}${stride === undefined ? '' : ` every ${formatCount(stride)}`}`;
}

/** How a number was measured, for its hover. */
export function protocolSentence(protocol: Protocol): string {
  const { as, scores } = PROTOCOLS[protocol.name];
  const provider = protocol.provider === 'wasm' ? `WASM on ${plural(protocol.threads, 'thread')}` : 'WebGPU';
  const stride = protocol.stride === undefined ? '' : `, a new one every ${formatCount(protocol.stride)},`;
  const words = protocol.words === undefined ? '' : ` and ${formatCount(protocol.words)} words`;
  const stopped = stoppedSentence(protocol);
  return (
    `Measured ${as}: ${plural(protocol.chunks, 'window')} of ${formatCount(protocol.context)} tokens${stride} from ${protocol.text}, ` +
    `${scores}, ${formatCount(protocol.tokens)} tokens${words} in all; run by onnxruntime-web, ${provider}. ` +
    `${stopped ? `${stopped} ` : ''}± is one standard error.`
  );
}

/** `Stopped early, after 12 of 240 windows (5.0 % of the text asked for).`; null for what ran to its end. */
export function stoppedSentence({ stoppedEarly, chunks, plannedChunks }: Protocol): string | null {
  if (!stoppedEarly) return null;
  if (plannedChunks === undefined) return `Stopped early, after ${plural(chunks, 'window')}.`;
  return `Stopped early, after ${formatCount(chunks)} of ${plural(plannedChunks, 'window')} (${formatShareOf(chunks, plannedChunks)} of the text asked for).`;
}

/** Of figures without a report: not through yet, or broken off. */
export function unfinishedProvenance(request: ProtocolRequest, active: boolean): Provenance {
  const state = active ? 'Still being measured' : 'Broken off while being measured';
  const { window, step } = lengthsOf(request);
  const tag = protocolTag({
    name: request.name,
    context: window,
    ...(PROTOCOLS[request.name].slides ? { stride: step } : {}),
  });
  return { tag, sentence: `${state}, ${PROTOCOLS[request.name].as}. ± is one standard error.` };
}

export const provenanceOf = (protocol: Protocol): Provenance => ({
  tag: protocolTag(protocol),
  sentence: protocolSentence(protocol),
});
