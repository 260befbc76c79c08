/** Damaged files end in a plan that can be written or in a sentence; never in anything else. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LAYERS, PRODUCTS, seededWeights, TABLES } from '../../models/operators.ts';
import { toEngineError } from '../contract/errors.ts';
import { quantize, scanBytes } from '../test-support.ts';
import { findScopes } from '../onnx/graph/scopes.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 400);
const LEVELS = [
  'fp16',
  'int8:embedding',
  'int8:mode=dynamic,embedding',
  'uint8:embedding',
  'int4:asymmetric,embedding',
  'int4:mode=dequantize',
  'int8:mode=dequantize,embedding',
];
const MODELS = [...PRODUCTS, ...TABLES, ...LAYERS].map((operator) => operator.build(seededWeights(operator)));

/** Bytes of a file that are structure: in weights a changed byte is only another weight. */
async function structure(bytes: Uint8Array): Promise<number[]> {
  const data = findScopes(await scanBytes(bytes))
    .flatMap(({ constants }) => [...constants.values()])
    .flatMap(({ tensor }) => (tensor.data.kind === 'inline' && tensor.data.length > 64 ? [tensor.data] : []));
  return [...bytes.keys()].filter((at) => data.every(({ offset, length }) => at < offset || at >= offset + length));
}

const PLACES = Promise.all(MODELS.map(structure));

test('bits flipped and bytes replaced where the structure is', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(MODELS.length - 1),
      fc.constantFrom(...LEVELS),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      async (which, level, changes) => {
        const bytes = MODELS[which]!.slice();
        const places = (await PLACES)[which]!;
        for (const [at, value] of changes) bytes[places[at % places.length]!]! ^= value;
        const outcome = await quantize(bytes, level).catch((thrown: unknown) => toEngineError(thrown));
        if ('plan' in outcome) {
          expect(outcome.bytes.length).toBe(outcome.plan.bytes);
          expect(outcome.plan.weightBytes + outcome.plan.graphBytes).toBe(outcome.bytes.length);
        } else {
          expect(outcome.code, outcome.details).toMatch(/^onnx-|^weights-not-finite$/);
        }
      },
    ),
    { numRuns: RUNS },
  );
});
