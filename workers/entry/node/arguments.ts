/** What the command line says, checked before anything runs. */
import { parseArgs } from 'node:util';
import { engineError } from '../../contract/errors.ts';
import type { EngineError } from '../../contract/errors.ts';
import { PROTOCOL_NAMES, type Extras, type LevelRequest, type ProtocolRequest } from '../../contract/job.ts';
import type { Target } from '../../contract/level-plan.ts';
import { TARGETS } from '../../plan/targets.ts';
import { DEFAULT_IDS, formatLevel, parseLevel } from '../../contract/levels/level.ts';
import { SCHEMES } from '../../contract/levels/registry.ts';
import { METHODS } from '../../contract/methods.ts';
import { levelLines } from './printing/level-lines.ts';
import { shown, shownText } from '../../lib/shown.ts';

export const USAGE = `Usage: npm run -s nibble -- compare MODEL.onnx [options]
       npm run -s nibble -- quantize MODEL.onnx --out DIR [options]

  compare writes the fp16 baseline and every level, and measures them. quantize writes the same files and
  measures nothing: of the options it takes those about levels, targets, the tokenizer and output.

  --tokenizer FILE         tokenizer.json; tokenizer_config.json beside it is read too
  --tokenizer-config FILE  tokenizer_config.json, when it is somewhere else
  --text FILE              text to measure perplexity on, whatever the file is called; UTF-8, UTF-16 or Windows-1252
  --input FILE             what to run a model on that is not a language model, may be repeated: .npy named
                           as an input, input_0.pb of an ONNX test data set, JSON {"input": [[…]]}; random
                           inputs are made up when there is none
  --level LEVEL            id[:setting[=value],…], may be repeated (default: ${DEFAULT_IDS.join(' and ')})
${levelLines()
  .map((line) => `                             ${line}`)
  .join('\n')}
  --calibrate FILE         text that the methods wsearch and gptq measure activations on; text that the model
                           writes itself when there is none
  --target TARGET          leave out levels that are nothing for wasm, webgpu, both of them, onnxruntime on
                           cpu or cuda, or transformers.js, and say why
  --out DIR                write the model of every level there
  --zip FILE               write all of it there as the folder of a model on the Hub: models under onnx/, the
                           configuration and tokenizer files beside the model, and a card with the figures
  --json FILE              write the report there; - for standard output; that of quantize has each file's SHA-256
  --no-measure             write files and compare sizes only
  --tokens N               measure on the first N tokens only
  --protocol NAME          how perplexity is measured (default: llama.cpp)
                             llama.cpp    second half of windows of 512 tokens
                             gptq         all of disjoint windows of 2048
                             huggingface  what is new in a sliding window of 1024
                             lm-eval      every token, by word; windows of 2048
  --context N              tokens in a window, instead of the protocol's own
  --stride N               huggingface: tokens from one window to the next (default: 512,
                           at most half a window)
  --words                  where the drift is: the text's first tokens with each one's change of loss,
                           and the tokens that lose most; goes into the report of --json
  --noise-floor            how far fp16 itself is from float32, and a warning where it is no fair baseline
  --speed                  load time, tokens per second and memory of every level
  --threads N              threads for measuring (default: all cores, at most 8)
  --quiet                  no progress on standard error

A level that cannot be made is skipped; the others are made, and the report says why. No file that is read is
written over. A file appears under its name when it is whole.

Ctrl-C while measuring finishes with what has been measured; a second one aborts.

Exit status: 0 all that was asked for is done; 1 something asked for could not be done, a skipped level
included; 2 wrong arguments; 130 aborted.`;

export interface Arguments {
  model: string;
  tokenizer: string | null;
  tokenizerConfig: string | null;
  text: string | null;
  /** Calibration text; null for one that the model writes. */
  calibrate: string | null;
  inputs: string[];
  levels: LevelRequest[];
  /** Null for any. */
  target: Target | null;
  out: string | null;
  zip: string | null;
  json: string | null;
  tokens: number | null;
  /** Null for the default. */
  protocol: ProtocolRequest | null;
  /** False to write files and measure nothing. */
  measure: boolean;
  /** What is measured beside quantization drift. */
  extras: Extras;
  threads: number | null;
  quiet: boolean;
}

export type Command = 'compare' | 'quantize';

export type Parsed = { kind: Command; arguments: Arguments } | { kind: 'help' } | { kind: 'wrong'; error: EngineError };

export function readArguments(argv: readonly string[]): Parsed {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      strict: true,
      options: {
        tokenizer: { type: 'string' },
        'tokenizer-config': { type: 'string' },
        text: { type: 'string' },
        calibrate: { type: 'string' },
        input: { type: 'string', multiple: true },
        level: { type: 'string', multiple: true },
        out: { type: 'string' },
        zip: { type: 'string' },
        json: { type: 'string' },
        target: { type: 'string' },
        protocol: { type: 'string' },
        context: { type: 'string' },
        stride: { type: 'string' },
        tokens: { type: 'string' },
        threads: { type: 'string' },
        words: { type: 'boolean' },
        'noise-floor': { type: 'boolean' },
        speed: { type: 'boolean' },
        'no-measure': { type: 'boolean' },
        quiet: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (thrown) {
    return wrong(shownText(thrown instanceof Error ? thrown.message : String(thrown)));
  }
  const { values, positionals } = parsed;
  if (values.help || positionals.length === 0) return { kind: 'help' };
  const [word = '', model, ...rest] = positionals;
  const command = COMMANDS.find((known) => known === word);
  if (command === undefined) return wrong(`There is no command "${shown(word)}"; there are ${COMMANDS.join(' and ')}.`);
  if (model === undefined || model === '') return wrong(`${command} needs a model file.`);
  if (rest.length > 0) return wrong(`${command} takes one model; "${shown(rest.join(' '))}" is left over.`);
  const empty = Object.entries(values).find(
    ([, value]) => value === '' || (Array.isArray(value) && value.includes('')),
  );
  if (empty) return wrong(`--${empty[0]} takes a value that is not empty.`);
  const measuring = command === 'quantize' ? ABOUT_MEASURING.find((name) => values[name] !== undefined) : undefined;
  if (measuring) return wrong(`quantize measures nothing; --${measuring} is an option of compare.`);
  if (command === 'quantize' && values.out === undefined && values.zip === undefined)
    return wrong('quantize needs --out or --zip to write to.');
  const unmeasured = values['no-measure'] ? (['words', 'speed'] as const).find((name) => values[name]) : undefined;
  if (unmeasured) return wrong(`--${unmeasured} is measured, and --no-measure says to measure nothing.`);

  const levels: LevelRequest[] = [];
  for (const text of values.level ?? DEFAULT_IDS) {
    const level = parseLevel(text);
    if (!level.ok) return { kind: 'wrong', error: level.error };
    levels.push({ key: formatLevel(level.value), ...level.value });
  }
  if (values.calibrate !== undefined && !levels.some(needsCalibration))
    return wrong('--calibrate is for levels with method=wsearch or method=gptq, and there is none.');
  const tokens = positive(values.tokens);
  const threads = positive(values.threads);
  if (tokens === undefined) return wrong('--tokens takes a number above 0.');
  if (threads === undefined) return wrong('--threads takes a number above 0.');
  if (values.words && values.json === undefined)
    return wrong('--words goes into the report, and there is no --json to write it to.');
  const context = positive(values.context);
  if (context === undefined) return wrong('--context takes a number above 0.');
  const stride = positive(values.stride);
  if (stride === undefined) return wrong('--stride takes a number above 0.');
  const name = PROTOCOL_NAMES.find((known) => known === (values.protocol ?? 'llama.cpp'));
  if (name === undefined)
    return wrong(`There is no protocol "${shown(values.protocol ?? '')}"; there are ${PROTOCOL_NAMES.join(', ')}.`);
  const target = TARGETS.find((known) => known === values.target) ?? null;
  if (target === null && values.target !== undefined)
    return wrong(`There is no target "${shown(values.target)}"; there are ${TARGETS.join(', ')}.`);
  const protocol = { name, ...(context !== null && { context }), ...(stride !== null && { stride }) };
  return {
    kind: command,
    arguments: {
      model,
      levels,
      target,
      tokens,
      threads,
      protocol: [values.protocol, values.context, values.stride].every((given) => given === undefined)
        ? null
        : protocol,
      tokenizer: values.tokenizer ?? null,
      tokenizerConfig: values['tokenizer-config'] ?? null,
      text: values.text ?? null,
      calibrate: values.calibrate ?? null,
      inputs: values.input ?? [],
      measure: command === 'compare' && !values['no-measure'],
      extras: {
        ...(values.words && { words: true }),
        ...(values['noise-floor'] && { noiseFloor: true }),
        ...(values.speed && { speed: true }),
      },
      out: values.out ?? null,
      zip: values.zip ?? null,
      json: values.json ?? null,
      quiet: values.quiet ?? false,
    },
  };
}

const COMMANDS: readonly Command[] = ['compare', 'quantize'];
const ABOUT_MEASURING = [
  'text',
  'input',
  'tokens',
  'protocol',
  'context',
  'stride',
  'words',
  'speed',
  'threads',
] as const;

/** Whether a level's method needs text to measure activations on. */
function needsCalibration({ id, settings }: LevelRequest): boolean {
  const method = SCHEMES[id].resolve(settings).weights?.method;
  return method !== undefined && METHODS[method].needs !== 'nothing';
}

/** Null when absent, undefined when it is no positive whole number. */
function positive(text: string | undefined): number | null | undefined {
  if (text === undefined) return null;
  return /^[1-9]\d*$/.test(text) ? Number(text) : undefined;
}

function wrong(message: string): Parsed {
  return { kind: 'wrong', error: engineError('usage', message, 'See --help.') };
}
