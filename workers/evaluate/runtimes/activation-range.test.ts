import * as ort from 'onnxruntime-web';
import { inOneFile } from '../../onnx/model-files.ts';
import { describe, expect, it } from 'vitest';
import { encode, graph, model, node, tensor, value } from '../../../models/build.ts';
import type { NodeProto } from 'onnx-buf';
import { scanModel } from '../../onnx/scan.ts';
import { blobSource } from '../../io/source.ts';
import { activationRange, type ActivationRange } from './activation-range.ts';
import { failure } from '../errors.ts';
import { wasmRuntime, type GraphRuntime, type HostTensor } from '../sessions/graph-session.ts';
import { tinyTransformer } from '../test-transformer.ts';

const wasm = () => wasmRuntime(ort, 1);
const tokens: Record<string, HostTensor> = {
  input_ids: {
    type: 'int64',
    dims: [1, 10],
    data: BigInt64Array.from({ length: 10 }, (_, index) => BigInt(index * 2)),
  },
};

async function rangeOf(blob: Blob, samples: Record<string, HostTensor>[] = [tokens]): Promise<ActivationRange> {
  const found = await activationRange({ model: inOneFile(blob), samples, runtime: wasm() });
  if (!found.ok) throw new Error(`${found.error.message} ${found.error.details}`);
  return found.value;
}

/** x [n] → `nodes` → y, with constants of one number each. */
const chain = (nodes: NodeProto[], constants: Record<string, number> = {}): Blob =>
  new Blob([
    encode(
      model(
        graph({
          node: nodes,
          initializer: Object.entries(constants).map(([name, number]) => tensor(name, 'float32', [], [number])),
          input: [value('x', 'float32', ['n'])],
          output: [value('y', 'float32', ['n'])],
        }),
      ),
    ),
  ]);
const x = (...values: number[]): Record<string, HostTensor> => ({
  x: { type: 'float32', dims: [values.length], data: Float32Array.from(values) },
});

describe('values beyond fp16', () => {
  it('are none in a transformer of usual size, whatever it masks with', async () => {
    for (const mask of [-10000, -1e9, -Infinity]) {
      expect(await rangeOf(tinyTransformer({ vocabulary: 24, mask }))).toEqual({ overflow: [], unseen: [] });
    }
  });

  it('are found by node, the largest first, in each that has them', async () => {
    const { overflow } = await rangeOf(tinyTransformer({ vocabulary: 24, gain: 400 }));
    expect(new Set(overflow.map(({ tensor: made }) => made))).toEqual(
      new Set(['norm1.squares', 'norm1.variance', 'norm1.sum', 'norm2.squares', 'norm2.variance', 'norm2.sum']),
    );
    expect(overflow[0]).toMatchObject({ node: expect.stringMatching(/^norm[12]\.squares\/Pow$/), operator: 'Pow' });
    expect(overflow[0]?.largest).toBeGreaterThan(65_504);
    expect(overflow.map(({ largest: size }) => size)).toEqual(
      overflow.map(({ largest: size }) => size).sort((a, b) => b - a),
    );
  });

  it('begin past 65,504, on both sides of zero', async () => {
    const doubled = chain([node('Mul', ['x', 'two'], ['y'])], { two: 2 });
    expect((await rangeOf(doubled, [x(32_752, -32_752)])).overflow).toEqual([]);
    expect((await rangeOf(doubled, [x(32_760)])).overflow).toEqual([
      { node: 'y/Mul', operator: 'Mul', tensor: 'y', largest: 65_520 },
    ]);
    expect((await rangeOf(doubled, [x(1), x(-40_000), x(2)])).overflow).toEqual([
      { node: 'y/Mul', operator: 'Mul', tensor: 'y', largest: 80_000 },
    ]);
  });

  it('are not infinities and what is no number, which float32 has as well', async () => {
    expect(
      (await rangeOf(chain([node('Exp', ['x'], ['e']), node('Sub', ['e', 'e'], ['y'])]), [x(100, 0)])).overflow,
    ).toEqual([]);
    const distance = [
      node('Log', ['x'], ['l']),
      node('Cast', ['l'], ['whole'], { to: 7 }),
      node('Cast', ['whole'], ['bucket'], { to: 1 }),
      node('Clip', ['bucket', 'low', 'high'], ['y']),
    ];
    expect(
      (await rangeOf(chain(distance, { low: 0, high: 8 }), [x(0, 1, 40)])).overflow.map(({ tensor: made }) => made),
    ).not.toContain('l');
  });

  it('are found beside infinities', async () => {
    const { overflow } = await rangeOf(chain([node('Exp', ['x'], ['e']), node('Neg', ['e'], ['y'])]), [x(100, 20, 0)]);
    expect(overflow.map(({ tensor: made, largest: size }) => [made, Math.round(Math.log(size))])).toEqual([
      ['e', 20],
      ['y', 20],
    ]);
  });

  it('are not numbers far below zero that go to a softmax, unless they go elsewhere too', async () => {
    const masked = [node('Mul', ['x', 'low'], ['masked']), node('Add', ['masked', 'low'], ['scores'])];
    const [softmax, tanh] = [node('Softmax', ['scores'], ['y'], { axis: 0 }), node('Tanh', ['scores'], ['y'])];
    expect((await rangeOf(chain([...masked, softmax], { low: -1e9 }), [x(0, 1)])).overflow).toEqual([]);
    expect(
      (await rangeOf(chain([...masked, tanh], { low: -1e9 }), [x(0, 1)])).overflow.map(({ tensor: made }) => made),
    ).toEqual(['scores', 'masked']);
    expect(
      (await rangeOf(chain([...masked, softmax], { low: 1e9 }), [x(0, 1)])).overflow.map(({ tensor: made }) => made),
    ).toEqual(['scores', 'masked']);
  });

  it('are looked for beside values that are empty', async () => {
    const bytes = new Blob([
      encode(
        model(
          graph({
            node: [
              node('Slice', ['x', 'none', 'none'], ['nothing']),
              node('Exp', ['nothing'], ['still']),
              node('Mul', ['x', 'large'], ['big']),
              node('Concat', ['still', 'big'], ['y'], { axis: 0 }),
            ],
            initializer: [tensor('none', 'int64', [1], [0]), tensor('large', 'float32', [], [1e6])],
            input: [value('x', 'float32', ['n'])],
            output: [value('y', 'float32', ['n'])],
          }),
        ),
      ),
    ]);
    expect((await rangeOf(bytes, [x(1, 2)])).overflow).toEqual([
      { node: 'big/Mul', operator: 'Mul', tensor: 'big', largest: 2e6 },
      { node: 'y/Concat', operator: 'Concat', tensor: 'y', largest: 2e6 },
    ]);
  });

  it('are looked for in all other values where one cannot be looked at, which is said', async () => {
    const refusing: GraphRuntime = {
      ...wasm(),
      async open(blob) {
        const {
          graph: { nodes },
        } = await scanModel(blobSource('model', blob.model));
        return nodes.some(({ outputs }) => outputs.includes('masked/range/highest'))
          ? failure('session-failed', 'No.', 'None.')
          : wasm().open(blob);
      },
    };
    const blob = chain(
      [
        node('Mul', ['x', 'large'], ['big']),
        node('Tanh', ['big'], ['masked']),
        node('Add', ['masked', 'large'], ['y']),
      ],
      { large: 1e6 },
    );
    const found = await activationRange({ model: inOneFile(blob), samples: [x(1, 2)], runtime: refusing });
    expect(found).toMatchObject({
      ok: true,
      value: { unseen: ['masked'], overflow: [{ tensor: 'big' }, { tensor: 'y' }] },
    });
  });
});

it('two opened models are enough, and none stays open', async () => {
  let [opened, open] = [0, 0];
  const counting: GraphRuntime = {
    ...wasm(),
    async open(blob) {
      const session = await wasm().open(blob);
      if (!session.ok) return session;
      opened++;
      open++;
      return {
        ok: true,
        value: {
          ...session.value,
          release: () => {
            open--;
            return session.value.release();
          },
        },
      };
    },
  };
  expect(
    (
      await activationRange({
        model: inOneFile(tinyTransformer({ vocabulary: 24 })),
        samples: [tokens],
        runtime: counting,
      })
    ).ok,
  ).toBe(true);
  expect([opened, open]).toEqual([2, 0]);
});

it('what goes wrong is an error', async () => {
  expect(
    await activationRange({ model: inOneFile(new Blob(['no model'])), samples: [], runtime: wasm() }),
  ).toMatchObject({
    ok: false,
    error: { code: 'onnx-invalid' },
  });
  expect(
    await activationRange({
      model: inOneFile(tinyTransformer({ vocabulary: 24 })),
      samples: [tokens],
      runtime: wasm(),
      signal: AbortSignal.abort(),
    }),
  ).toMatchObject({ ok: false, error: { code: 'cancelled' } });
});
