/** Words of the field, each in one sentence. */
export const MEANINGS = {
  perplexity: 'How surprised the model is by the text: lower is better, and fp16 is the yardstick.',
  kld: 'KL divergence: how far the level’s predictions are from the baseline’s, per token, in nats; 0 means identical.',
  sameTop: 'How often the level’s most likely next token is the one the baseline would choose.',
  drift: 'How much the predictions changed because the weights were rounded: level against baseline on the same tokens.',
  quantize: 'Store each weight as a small whole number and share a scale among a few of them, so that the file shrinks.',
  fp16: '16-bit floating point: the baseline that every other level is measured against.',
  int8: 'Each weight becomes one of 255 whole numbers, with a scale for every 32 weights: one byte a weight and a little more.',
  int4: 'Each weight becomes one of 16 whole numbers, with a scale for every block: half a byte a weight and a little more.',
  block: 'How many neighbouring weights share one scale: smaller blocks are more exact and take more bytes.',
  symmetric: 'Symmetric: zero sits at the middle code. Asymmetric: each block also stores where zero lies, which fits lopsided weights better for a few more bytes.',
  head: 'The last layer, which turns the model’s state into a score for each token; small models are sensitive to rounding it.',
  embedding: 'The table that turns each token into numbers; in small models it is a large share of the file.',
  kvCache: 'What the model remembers of the text so far, kept in memory besides the weights; it grows with the context.',
  context: 'How many tokens of text the model looks at, prompt and answer together.',
  tokens: 'Pieces of words, which the model reads and predicts one after another.',
  error: 'One standard error: if the text were a different sample of the same kind, two times in three the number would fall within it.',
  parameters: 'How many numbers the model is made of.',
  opset: 'Which version of the ONNX operators the model is written in.',
  elementTypes: 'The number formats the weights are stored in.',
  ledger: 'What became of each tensor, and why.',
  frontier: 'Levels that no other level beats in both bytes and drift.',
  tokenizer: 'Cuts text into the tokens the model was trained on; it comes as tokenizer.json with the model.',
} as const satisfies Record<string, string>;

export type TermId = keyof typeof MEANINGS;
