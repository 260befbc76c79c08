/**
 * The protocols perplexity is measured by, in words and in the lengths the page needs to say what an amount of text
 * costs. Windows are those a protocol takes by itself; a model that takes fewer tokens at once gets smaller ones.
 */
import type { Protocol, ProtocolName } from '../../workers/protocol.ts';
import { formatCount, formatShareOf, plural } from '../format/numbers.ts';

export interface ProtocolFacts {
  name: ProtocolName;
  /** As it stands in the list to choose from. */
  label: string;
  /** One sentence: what it does and whose figures it makes comparable. */
  about: string;
  /** Goes after `Measured `. */
  as: string;
  /** Which tokens count, between commas. */
  scores: string;
  unit: 'token' | 'word';
  /** Tokens in one window. */
  window: number;
  /** Tokens by which an amount of text can grow. */
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
    name: 'llama.cpp', label: 'llama.cpp (default)',
    about: 'Windows of 512 tokens, the second half of each scored: comparable with what llama.cpp prints.',
    as: 'as llama.cpp does', scores: 'the second half of each scored', unit: 'token',
    window: 512, step: 512, takesRest: false,
    run: (tokens) => tokens,
    scored: (tokens) => tokens < 512 ? Math.max(1, Math.floor(tokens / 2)) : wholeWindows(tokens, 512) * 255,
  },
  'gptq': {
    name: 'gptq', label: 'GPTQ and AWQ papers',
    about: 'Windows of 2,048 tokens side by side, all of each scored: comparable with the tables in papers on quantization.',
    as: 'as the GPTQ and AWQ papers do', scores: 'all but the first token of each scored', unit: 'token',
    window: 2048, step: 2048, takesRest: false,
    run: (tokens) => tokens,
    scored: (tokens) => tokens < 2048 ? Math.max(1, tokens - 1) : wholeWindows(tokens, 2048) * 2047,
  },
  'huggingface': {
    name: 'huggingface', label: 'Hugging Face, sliding window',
    about: 'A window of 1,024 tokens moves on by 512 and what is new is scored: every token has context, and most text is run twice.',
    as: 'as in Hugging Face’s guide', scores: 'what is new in each scored', unit: 'token',
    window: 1024, step: 512, takesRest: true,
    run: (tokens) => tokens <= 1024 ? tokens : (Math.ceil((tokens - 1024) / 512) + 1) * 1024,
    scored: (tokens) => Math.max(1, tokens - 1),
  },
  'lm-eval': {
    name: 'lm-eval', label: 'lm-eval, by word',
    about: 'Every token is scored and the sum shared out over words: comparable between models with different tokenizers.',
    as: 'as lm-eval does, by word', scores: 'every token scored', unit: 'word',
    window: 2048, step: 2048, takesRest: true,
    run: (tokens) => tokens,
    scored: (tokens) => Math.max(1, tokens),
  },
};

export const PROTOCOL_NAMES: readonly ProtocolName[] = ['llama.cpp', 'gptq', 'huggingface', 'lm-eval'];
export const DEFAULT_PROTOCOL: ProtocolName = 'llama.cpp';

/** A known protocol by what a form control gives back. */
export const protocolNamed = (value: string): ProtocolName => PROTOCOL_NAMES.find((name) => name === value) ?? DEFAULT_PROTOCOL;

/** How numbers on show were measured: a few words to stand beside them, and the whole for their hover. */
export interface Provenance { tag: string; sentence: string }

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
  return `Measured ${as}: ${plural(protocol.chunks, 'window')} of ${formatCount(protocol.context)} tokens${stride} from ${protocol.text}, `
    + `${scores}, ${formatCount(protocol.tokens)} tokens${words} in all; run by onnxruntime-web, ${provider}. `
    + `${stopped ? `${stopped} ` : ''}± is one standard error.`;
}

/** `Stopped early, after 12 of 240 windows (5.0 % of the text asked for).`; null for what ran to its end. */
export function stoppedSentence({ stoppedEarly, chunks, plannedChunks }: Protocol): string | null {
  if (!stoppedEarly) return null;
  if (plannedChunks === undefined) return `Stopped early, after ${plural(chunks, 'window')}.`;
  return `Stopped early, after ${formatCount(chunks)} of ${plural(plannedChunks, 'window')} (${formatShareOf(chunks, plannedChunks)} of the text asked for).`;
}

/** Of figures without a report: not through yet, or broken off. */
export function unfinishedProvenance(name: ProtocolName, active: boolean): Provenance {
  const state = active ? 'Still being measured' : 'Broken off while being measured';
  return { tag: name, sentence: `${state}, ${PROTOCOLS[name].as}. ± is one standard error.` };
}

export const provenanceOf = (protocol: Protocol): Provenance => ({ tag: protocolTag(protocol), sentence: protocolSentence(protocol) });
