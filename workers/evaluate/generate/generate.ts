/** Continues a prompt with several models, one after the other: each is opened, goes on from the prompt, and is released. */
import type { ModelFiles } from '../../contract/files.ts';
import { classifyFiles } from '../../io/classify-files.ts';
import type { Generated, GenerationJob } from '../../contract/generation.ts';
import type { Result } from '../../contract/errors.ts';
import { openDecoder } from './decoder.ts';
import { failure } from '../errors.ts';
import type { GraphRuntime } from '../sessions/graph-session.ts';
import { chooser } from './sampling.ts';
import { continueText } from './text-stream.ts';
import { openTokenizer, type Tokenizer } from '../text/tokenizer/tokenizer.ts';

/** More text is told at most this often, and when a model is through. */
export const GENERATED_EVERY_MS = 100;

/**
 * What is wrong with one model only is its `problem`.
 * @param now Milliseconds; another clock in tests.
 * Errors: `no-tokenizer`, `tokenizer-invalid`, `no-text` for an empty prompt, `usage`.
 */
export async function generate(
  runtime: GraphRuntime,
  job: GenerationJob,
  onEvent: (event: Generated) => void,
  now: () => number = () => performance.now(),
): Promise<Result<null>> {
  const { tokenizer: file, tokenizerConfig } = await classifyFiles(job.files);
  if (!file)
    return failure(
      'no-tokenizer',
      'There is no tokenizer, so a prompt cannot be read.',
      'Add the tokenizer.json that came with the model.',
    );
  const tokenizer = await openTokenizer(file.json, tokenizerConfig);
  if (!tokenizer.ok) return tokenizer;
  if (!Number.isInteger(job.maxTokens) || job.maxTokens < 1)
    return failure(
      'usage',
      'The continuation must have a whole number of tokens, 1 at least.',
      'Ask for 50 tokens, for example.',
    );
  const sampling = chooser(job.sampling);
  if (!sampling.ok) return sampling;
  const prompt = promptTokens(tokenizer.value, job.prompt);
  if (prompt.length === 0) return failure('no-text', 'There is nothing to continue.', 'Write the beginning of a text.');

  for (const { key, model } of job.models)
    await continueWith({ key, model, runtime, job, tokenizer: tokenizer.value, prompt, onEvent, now });
  return { ok: true, value: null };
}

function promptTokens({ addsBos, bosId, encode }: Tokenizer, text: string): Int32Array {
  const ids = encode(text);
  return addsBos && bosId !== null ? Int32Array.from([bosId, ...ids]) : ids;
}

interface Continuation {
  key: string;
  model: ModelFiles;
  runtime: GraphRuntime;
  job: GenerationJob;
  tokenizer: Tokenizer;
  prompt: Int32Array;
  onEvent: (event: Generated) => void;
  now: () => number;
}

async function continueWith({
  key,
  model,
  runtime,
  job,
  tokenizer,
  prompt,
  onEvent,
  now,
}: Continuation): Promise<void> {
  const state: Omit<Generated, 'final' | 'problem'> = {
    type: 'generated',
    key,
    text: '',
    tokens: 0,
    tokensPerSecond: null,
    cached: false,
  };
  const end = (result: Result<unknown>) => {
    onEvent({ ...state, final: true, problem: result.ok ? null : result.error });
  };
  const decoder = await openDecoder(runtime, model);
  if (!decoder.ok) {
    end(decoder);
    return;
  }
  const { cached, vocabulary, longest, next, release } = decoder.value;
  state.cached = cached;
  const choose = chooser(job.sampling);
  const room = Math.min(longest ?? Infinity, tokenizer.maxLength ?? Infinity) - prompt.length;

  const run = async (): Promise<Result<null>> => {
    if (!choose.ok) return choose;
    if (prompt.some((id) => id >= vocabulary)) {
      return failure(
        'tokenizer-mismatch',
        `The tokenizer gives tokens the model does not know: it has ${vocabulary.toLocaleString('en')}.`,
        'Use the tokenizer.json that came with this model.',
      );
    }
    if (room < 0) {
      return failure(
        'usage',
        `The prompt has ${prompt.length.toLocaleString('en')} tokens, ${(-room).toLocaleString('en')} more than the model takes.`,
        'Use a shorter prompt.',
      );
    }
    const text = continueText(tokenizer, [...prompt]);
    let ids = prompt;
    let firstAt = 0;
    let toldAt = -Infinity;
    for (let count = 1; ; count++) {
      const logits = await next(ids);
      if (!logits.ok) return logits;
      const id = choose.value(logits.value);
      if (id === null)
        return failure(
          'session-failed',
          'The model gives logits that are not numbers.',
          'Choose another level or provider.',
        );
      const time = now();
      if (count === 1) firstAt = time;
      else if (time > firstAt) state.tokensPerSecond = ((count - 1) * 1000) / (time - firstAt);
      if (id === tokenizer.eosId) return { ok: true, value: null };
      state.text = text.add(id);
      state.tokens = count;
      // The last token is not run, so there may be one more than there is room for.
      if (count >= job.maxTokens || count > room) return { ok: true, value: null };
      if (time - toldAt >= GENERATED_EVERY_MS) {
        toldAt = time;
        onEvent({ ...state, final: false, problem: null });
      }
      ids = Int32Array.of(id);
    }
  };
  const result = await run();
  await release();
  end(result);
}
