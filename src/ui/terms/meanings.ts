/** The glossary of the page: words of the field, each in one sentence. */
import { SCHEMES, type LevelId } from '../../../workers/contract/levels/registry.ts';
import { METRICS, type Metric, type MetricId } from '../../../workers/contract/metrics.ts';
import { SETTINGS, type Setting, type SettingId } from '../../../workers/contract/settings.ts';

/** Words that are no level, no setting and no metric. */
const OTHER_MEANINGS = {
  protocol:
    'Which tokens are run together and which of them count: perplexities by different protocols cannot be compared.',
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
  randomInputs:
    'Numbers drawn by a seeded generator in the shape the graph asks for: they show rounding, but a model may behave otherwise on real data.',
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
export type TermId = keyof typeof OTHER_MEANINGS | LevelId | SettingId | MetricId;

/** Meanings by term: those of levels, settings and metrics are in their tables. */
export const MEANINGS = {
  ...OTHER_MEANINGS,
  ...meaningsOf(SCHEMES, ({ help }) => help),
  ...meaningsOf<Setting>(SETTINGS, ({ help }) => help),
  ...meaningsOf<Metric>(METRICS, ({ meaning }) => meaning),
} as Readonly<Record<TermId, string>>;

function meaningsOf<T>(entries: Readonly<Record<string, T>>, meaning: (entry: T) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).map(([id, entry]) => [id, meaning(entry)]));
}
