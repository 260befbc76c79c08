/** What a case of the zoo may say, and the models that are built in code; for every lane of the tests. */
import { z } from 'zod';
import { encoderModel, imageModel, tinyLanguageModel, twoOutputModel } from './build.ts';
import * as odd from './odd-models.ts';
import { EMBEDDINGS, LAYERS, PRODUCTS, seededWeights, TABLES } from './operators.ts';

const source = z.union([
  /** One of `BUILT`. */
  z.strictObject({ built: z.string() }),
  /** A file of a package, from node_modules on. */
  z.strictObject({ package: z.string() }),
  /** A file of the repository. */
  z.strictObject({ file: z.string() }),
  /** A file under ../shared/models, which is not always there. */
  z.strictObject({ shared: z.string() }),
]);

const outcome = z.strictObject({
  /** How many more nodes of each operator there are than before; those that become fewer are not listed. */
  nodes: z.record(z.string(), z.int().positive()),
  /** Constants that change. */
  quantizedTensors: z.int().nonnegative(),
  /** Of the file written: exactly, or from and to. */
  bytes: z.union([z.int(), z.tuple([z.int(), z.int()])]),
  /** Largest difference to the dequantized self, as a share of the largest output. */
  maxError: z.number().positive(),
  /** Signal-to-noise ratio at least, of the outputs against those of the model as it was, dB. */
  minSqnr: z.number(),
});

export const zooSchema = z.array(
  z.strictObject({
    name: z.string(),
    source,
    level: z.string(),
    /** Of image models that give nothing on noise: dark bars on white, as lines of text look from afar. */
    inputs: z.literal('bars').optional(),
    expect: z.union([outcome, z.strictObject({ error: z.string() })]),
    note: z.string(),
  }),
);

export type ZooCase = z.infer<typeof zooSchema>[number];
export type Source = z.infer<typeof source>;

const operators = [...PRODUCTS, ...TABLES, ...LAYERS, ...EMBEDDINGS].map(
  (operator) => [operator.name, () => operator.build(seededWeights(operator))] as const,
);

/** Models built in code, by name. */
export const BUILT: ReadonlyMap<string, () => Uint8Array<ArrayBuffer>> = new Map([
  ...operators,
  ...Object.entries(odd),
  ['imageModel', () => imageModel({ size: 32 })],
  ['encoderModel', encoderModel],
  ['twoOutputModel', twoOutputModel],
  [
    'tied language model',
    () => tinyLanguageModel({ vocabulary: 96, width: 64, hidden: 172, type: 'float32', tied: true }),
  ],
  [
    'tied language model in float16',
    () => tinyLanguageModel({ vocabulary: 96, width: 64, hidden: 172, type: 'float16', tied: true }),
  ],
  [
    'ragged language model',
    () => tinyLanguageModel({ vocabulary: 50, width: 24, hidden: 100, type: 'float32', tied: false }),
  ],
]);
