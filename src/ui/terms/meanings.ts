/** The glossary of the page: words of the field, each in one sentence. */
import { SCHEMES, type LevelId } from '../../../workers/contract/levels/registry.ts';
import { SETTINGS, type SettingId } from '../../../workers/contract/settings.ts';

/** Words that are no level and no setting. */
const OTHER_MEANINGS = {
  perplexity: 'How surprised the model is by the text: lower is better, and fp16 is the baseline.',
  wordPerplexity:
    'How surprised the model is by a word, all its tokens together: lower is better, and many times as large as by token.',
  bitsPerByte:
    'How many bits a compressor that uses the model would need for a byte of the text: lower is better, and comparable between tokenizers.',
  bytePerplexity: 'How surprised the model is by a byte of the text: 2 to the power of bits per byte.',
  lnRatio:
    'Logarithm of the level’s perplexity over the baseline’s, on the same tokens: 0 means no loss, and its error is far smaller than that of either.',
  ratio: 'The level’s perplexity over the baseline’s, on the same tokens: 1 means no loss.',
  correlation: 'How closely level and baseline find the same tokens hard: 1 means in lockstep.',
  percentile: 'That share of the tokens lies below it: how bad it gets for the tokens hit hardest.',
  kldMax: 'The one token on which the level’s predictions are farthest from the baseline’s.',
  deltaP:
    'How much more probability the level gives the token that really comes next than the baseline does: below 0 it has become worse at guessing.',
  deltaPRms: 'How far that probability is typically moved, in either direction.',
  deltaPLow: 'That share of the tokens, the ones hit hardest, lies below it.',
  deltaPHigh: 'That share of the tokens lies below it; the rest gained more.',
  protocol:
    'Which tokens are run together and which of them count: perplexities by different protocols cannot be compared.',
  kld: 'KL divergence: how far the level’s predictions are from the baseline’s, per token, in nats; 0 means identical.',
  sameTop: 'How often the level’s most likely next token is the one the baseline would choose.',
  drift:
    'How much the predictions changed because the weights were rounded: level against baseline on the same tokens.',
  quantizationDrift:
    'How much the predictions changed because the weights were rounded: level against baseline, run by the same provider on the same tokens.',
  runtimeDrift:
    'How far the same file’s predictions are apart between two providers: nothing was rounded between them, so it is the runtime’s doing.',
  noiseFloor:
    'How much rounding the model to fp16 itself changes its predictions against float32: no drift below it means anything.',
  provider: 'The part of onnxruntime that runs the model: WebGPU on the graphics card, or WASM on the processor.',
  overflow: 'A number beyond 65,504, the largest that fp16 can hold: in fp16 it becomes infinite.',
  sqnr: 'Signal-to-quantization-noise ratio, in decibels: how much stronger the output is than its error; higher is better, and 20 dB more is a ten times smaller error.',
  cosine: 'Cosine of the angle between the level’s output and the baseline’s: 1 means the same direction.',
  maxError:
    'The largest difference of any one number of the output, to be read with the output’s own size (Output RMS).',
  outputRms: 'Root mean square of the baseline’s output: how large its numbers are.',
  top1: 'How often the class with the highest score is the same as at the baseline.',
  top5: 'How often the baseline’s class is among the level’s five highest scores.',
  equalValues: 'How many of the whole numbers in the output are exactly the same.',
  randomInputs:
    'Numbers drawn by a seeded generator in the shape the graph asks for: they show rounding, but a model may behave otherwise on real data.',
  loadTime: 'Seconds from the file in memory to a model that can run.',
  prefill: 'Reading the prompt: many tokens at once, as when a text is given to the model.',
  decode: 'Writing the answer: one token after the other, as when the model talks.',
  runTime: 'Seconds that one run of the model takes.',
  median: 'Half of the runs or tokens lie below it: what is typical, whatever the extremes do.',
  steady: 'Memory held once the model is loaded and has run; the peak is the most it ever held.',
  heap: 'The WebAssembly heap at its largest: it holds weights and everything computed from them, and never shrinks.',
  predictedMemory: 'What was said before anything ran, from the file’s weights and what running them takes.',
  fallback: 'Steps of the model that this provider cannot run, so that another one does, with copies to and fro.',
  widened:
    'Run in float32 because the graphics adapter has no 16-bit arithmetic: the same weights, more exact sums, twice the memory.',
  lossChange:
    'Change of the token’s −ln p against the baseline, in nats: above 0 the level found the token harder; 0.7 means half the probability.',
  greedy: 'Always the most likely token: the same prompt gives the same text every time.',
  seeded:
    'Sampled at random from the likely tokens, by a generator that a seed starts: the same seed gives the same draws to every level.',
  temperature: 'Below 1 likely tokens become likelier still; above 1 unlikely ones get a chance.',
  topK: 'Only that many of the most likely tokens are sampled from.',
  windowLength: 'How many tokens are run through the model together, each seeing only those before it.',
  stride: 'By how many tokens the window moves on: smaller strides give each token more context and take longer.',
  quantize:
    'Store each weight as a small whole number and share a scale among a few of them, so that the file shrinks.',
  target:
    'The runtime the files are for: levels and settings it has no kernels or no memory for are not offered, and each says why.',
  kvCache:
    'What the model remembers of the text so far, kept in memory besides the weights; it grows with the context.',
  context: 'How many tokens of text the model looks at, prompt and answer together.',
  tokens: 'Pieces of words, which the model reads and predicts one after another.',
  error:
    'One standard error: if the text were a different sample of the same kind, two times in three the number would fall within it.',
  parameters: 'How many numbers the model is made of.',
  opset: 'Which version of the ONNX operators the model is written in.',
  elementTypes: 'The number formats the weights are stored in.',
  ledger: 'What became of each tensor, and why.',
  frontier: 'Levels that no other level beats in both bytes and drift.',
  tokenizer: 'Cuts text into the tokens the model was trained on; it comes as tokenizer.json with the model.',
} as const satisfies Record<string, string>;

/** A word that the glossary explains. */
export type TermId = keyof typeof OTHER_MEANINGS | LevelId | SettingId;

/** Meanings by term: those of levels and settings are their own. */
export const MEANINGS = {
  ...OTHER_MEANINGS,
  ...meaningsOf(SCHEMES),
  ...meaningsOf(SETTINGS),
} as Readonly<Record<TermId, string>>;

function meaningsOf(entries: Readonly<Record<string, { help: string }>>): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).map(([id, { help }]) => [id, help]));
}
