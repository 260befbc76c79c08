import { create } from '@bufbuild/protobuf';
import { inOneFile } from '../../onnx/model-files.ts';
import { TensorProtoSchema } from 'onnx-buf';
import * as ort from 'onnxruntime-web';
import { describe, expect, it } from 'vitest';
import type { Divergence } from '../../contract/report.ts';
import type { Result } from '../../contract/errors.ts';
import { scanModel } from '../../onnx/scan.ts';
import { blobSource } from '../../io/source.ts';
import { encode, graph, model, node, value } from '../../../models/build.ts';
import { computedValues } from '../../onnx/graph/walk.ts';
import { failure } from '../errors.ts';
import { firstDivergence, type Diagnosis } from './first-divergence.ts';
import { wasmRuntime, type GraphRuntime, type HostTensor } from '../sessions/graph-session.ts';
import { withFault, type Fault } from '../test-faults.ts';
import { tinyTransformer } from '../test-transformer.ts';

const VOCABULARY = 24;
const ids = (length: number): Record<string, HostTensor> => ({
  input_ids: {
    type: 'int64',
    dims: [1, length],
    data: BigInt64Array.from({ length }, (_, index) => BigInt((index * 7) % VOCABULARY)),
  },
});

const wasm = () => wasmRuntime(ort, 1);

/** A provider that is not the other one, though both run on WASM here. */
const elsewhere = (runtime: GraphRuntime): GraphRuntime => ({ ...runtime, provider: 'webgpu' });

async function diagnose(model: Blob, left: GraphRuntime, right: GraphRuntime): Promise<Diagnosis | null> {
  const found: Result<Diagnosis | null> = await firstDivergence({
    model: inOneFile(model),
    feeds: ids(12),
    left,
    right: elsewhere(right),
    output: 'logits',
  });
  if (!found.ok) throw new Error(`${found.error.message} ${found.error.details}`);
  return found.value;
}

async function partsAt(model: Blob, fault: Fault | null): Promise<Divergence | null> {
  return (await diagnose(model, wasm(), fault ? withFault(wasm(), fault) : wasm()))?.partsAt ?? null;
}

const INTEGERS = new Set(['shape', 'length', 'columns', 'rows', 'later']);

/** Float values of the transformer; one mask is as good as another, so that a wrong one need not show. */
async function floats(model: Blob): Promise<string[]> {
  const values = [...computedValues((await scanModel(blobSource('model', model))).graph).keys()];
  return values.filter((name) => !INTEGERS.has(name) && name !== 'mask');
}

describe('a fault in one node is named', () => {
  it.each([
    { factor: 1.2, type: 'float32', mask: -10000, undone: [] },
    { factor: 1.05, type: 'float32', mask: -3.4e38, undone: [] },
    // The runtime makes one operator of a norm in fp16, with an ε of its own: a factor in front of it goes out again.
    { factor: 1.2, type: 'float16', mask: -Infinity, undone: ['norm1.centred', 'norm2.centred'] },
  ] as const)('wherever it is: output × $factor, $type, masked by $mask', async ({ factor, type, mask, undone }) => {
    const model = tinyTransformer({ vocabulary: VOCABULARY, type, mask });
    const wrong: string[] = [];
    const tensors = await floats(model);
    for (const tensor of tensors) {
      const found = await partsAt(model, { tensor, factor, type });
      if (found?.tensor !== tensor) wrong.push(`${tensor}: ${JSON.stringify(found)}`);
    }
    expect(wrong).toEqual(undone.map((tensor) => `${tensor}: null`));
    expect(tensors.length).toBeGreaterThan(45);
  });

  it('by node, operator and value, with how far it and its inputs are apart', async () => {
    const found = await partsAt(tinyTransformer({ vocabulary: VOCABULARY }), { tensor: 'gate.silu', factor: 1.1 });
    expect(found).toMatchObject({ node: 'gate.silu/Mul', operator: 'Mul', tensor: 'gate.silu', inputDifference: 0 });
    expect(found?.difference).toBeCloseTo(0.1 / 1.1, 3);
  });

  it('when it wipes out the mask, makes values that are not numbers, or is in what only constants go into', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    expect((await partsAt(model, { tensor: 'mask', factor: 0 }))?.tensor).toBe('mask');
    expect((await partsAt(model, { tensor: 'up', factor: NaN }))?.tensor).toBe('up');
    expect((await partsAt(model, { tensor: 'k', factor: Infinity }))?.tensor).toBe('k');
    expect((await partsAt(model, { tensor: 'head', factor: 1.1 }))?.tensor).toBe('head');
  });

  it('in the body of an If too, by the If', async () => {
    const branch = (name: string, operator: string) =>
      graph({ name, node: [node(operator, ['x'], [`${name}.out`])], output: [value(`${name}.out`, 'float32', ['n'])] });
    const bytes = encode(
      model(
        graph({
          node: [
            node('Tanh', ['in'], ['x']),
            node('If', ['yes'], ['chosen'], { then_branch: branch('then', 'Sin'), else_branch: branch('else', 'Cos') }),
            node('Exp', ['chosen'], ['logits']),
          ],
          initializer: [create(TensorProtoSchema, { name: 'yes', dataType: 9, rawData: Uint8Array.of(1) })],
          input: [value('in', 'float32', ['n'])],
          output: [value('logits', 'float32', ['n'])],
        }),
      ),
    );
    const found = await firstDivergence({
      model: inOneFile(new Blob([bytes])),
      feeds: { in: { type: 'float32', dims: [3], data: Float32Array.of(1, 2, 3) } },
      left: wasm(),
      right: withFault(wasm(), { tensor: 'chosen', factor: 1.1 }),
      output: 'logits',
    });
    expect(found).toMatchObject({
      ok: true,
      value: { partsAt: { operator: 'If', tensor: 'chosen', inputDifference: 0 } },
    });
    const before = await firstDivergence({
      model: inOneFile(new Blob([bytes])),
      feeds: { in: { type: 'float32', dims: [3], data: Float32Array.of(1, 2, 3) } },
      left: wasm(),
      right: withFault(wasm(), { tensor: 'x', factor: 1.1 }),
      output: 'logits',
    });
    expect(before).toMatchObject({ ok: true, value: { partsAt: { operator: 'Tanh', tensor: 'x' } } });
  });
});

describe('a fault of a fused kernel', () => {
  const INSIDE = ['scores', 'scaled', 'allowed', 'attention'];

  it.each(['webgpu', 'wasm'] as const)(
    'is named by the range of nodes it stands for, and by its provider, %s',
    async (provider) => {
      const model = tinyTransformer({ vocabulary: VOCABULARY });
      const faulty = withFault(wasm(), { tensor: 'mixed', factor: 0.5, hiddenBy: INSIDE });
      const found = await (provider === 'webgpu' ? diagnose(model, wasm(), faulty) : diagnose(model, faulty, wasm()));
      expect(found).toMatchObject({
        arbitration: { wrong: [provider], arbiter: 'both' },
        partsAt: {
          node: 'mixed/MatMul',
          operator: 'MatMul',
          tensor: 'mixed',
          provider,
          fused: {
            firstNode: 'scores/MatMul',
            firstOperator: 'MatMul',
            operators: ['MatMul', 'Mul', 'Add', 'Softmax', 'MatMul'],
          },
        },
      });
      expect(found?.partsAt?.difference).toBeCloseTo(0.5, 2);
      expect(found?.partsAt?.inputDifference).toBeLessThan(1e-4);
      expect(found?.arbitration.unoptimized).toBeLessThan(1e-4);
    },
  );

  it('is named where the same kind of kernel is wrong in more than one place: the first', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    const inside = (norm: string) =>
      ['mean', 'centred', 'squares', 'variance', 'sum', 'deviation', 'normed'].map((part) => `${norm}.${part}`);
    const faulty = ['norm1', 'norm2'].reduce(
      (runtime, norm) => withFault(runtime, { tensor: `${norm}.out`, factor: 0.7, hiddenBy: inside(norm) }),
      wasm(),
    );
    const found = await diagnose(model, faulty, wasm());
    expect(found).toMatchObject({
      arbitration: { wrong: ['wasm'] },
      partsAt: {
        tensor: 'norm1.out',
        provider: 'wasm',
        fused: {
          operators: ['ReduceMean', 'Sub', 'Pow', 'ReduceMean', 'Add', 'Sqrt', 'Div', 'Mul'],
          into: 'LayerNormalization',
        },
      },
    });
  });

  it('is told by its provider alone when giving out any value hides it', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    const everything = [...(await floats(model)), ...INTEGERS, 'mask'].filter((name) => name !== 'logits');
    const found = await diagnose(
      model,
      withFault(wasm(), { tensor: 'mixed', factor: 1.1, hiddenBy: everything }),
      wasm(),
    );
    expect(found?.arbitration).toMatchObject({ wrong: ['wasm'], arbiter: 'both' });
  });
});

describe('a fault of a norm that is fused from nine operators', () => {
  const NINE = ['ReduceMean', 'Sub', 'Pow', 'ReduceMean', 'Add', 'Sqrt', 'Div', 'Mul', 'Add'];
  const inside = ['mean', 'centred', 'squares', 'variance', 'sum', 'deviation', 'normed', 'scaled'].map(
    (part) => `norm2.${part}`,
  );

  it.each([
    ['wasm', 'float32'],
    ['wasm', 'float16'],
    ['webgpu', 'float32'],
    ['webgpu', 'float16'],
  ] as const)('on %s, in %s, is named from first to last', async (provider, type) => {
    const model = tinyTransformer({ vocabulary: VOCABULARY, type, bias: true });
    const faulty = withFault(wasm(), { tensor: 'norm2.out', factor: 1.3, type, hiddenBy: inside });
    const found = await (provider === 'webgpu' ? diagnose(model, wasm(), faulty) : diagnose(model, faulty, wasm()));
    expect(found).toMatchObject({
      arbitration: { wrong: [provider], arbiter: 'both' },
      partsAt: {
        node: 'norm2.out/Add',
        provider,
        fused: { firstNode: 'norm2.mean/ReduceMean', operators: NINE, into: 'LayerNormalization' },
      },
    });
  });
});

/** onnxruntime's CPU provider makes a simplified norm of the last six operators of a norm, and in fp16 computes it with an ε of 1e-5 whatever the graph says. */
describe('the ε of a fused norm in fp16', () => {
  /** What a provider gives that does not fuse it. */
  const unfused = (runtime: GraphRuntime): GraphRuntime => ({
    ...runtime,
    open: (blob, options) => runtime.open(blob, { ...options, optimized: false }),
  });

  it.each([
    { epsilon: 0.1, gain: 1 },
    { epsilon: 1e-2, gain: 0.02 },
    { epsilon: 1e-3, gain: 0.02 },
  ])("is WASM's fault, in the first norm: $epsilon, embedding × $gain", async (norm) => {
    const found = await diagnose(
      tinyTransformer({ vocabulary: VOCABULARY, type: 'float16', ...norm }),
      wasm(),
      unfused(wasm()),
    );
    expect(found).toMatchObject({
      arbitration: { wrong: ['wasm'], arbiter: 'both' },
      partsAt: {
        node: 'norm1.out/Mul',
        provider: 'wasm',
        fused: {
          firstNode: 'norm1.squares/Pow',
          operators: ['Pow', 'ReduceMean', 'Add', 'Sqrt', 'Div', 'Mul'],
          into: 'SimplifiedLayerNormalization',
        },
      },
    });
  });
});

describe('a fault that is there without optimizations', () => {
  it('of a model in fp16 is judged by the model in float32', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY, type: 'float16' });
    const fault: Fault = { tensor: 'up', factor: 1.2, type: 'float16' };
    expect(await diagnose(model, wasm(), withFault(wasm(), fault))).toMatchObject({
      arbitration: { wrong: ['webgpu'], arbiter: 'float32' },
      partsAt: { tensor: 'up', provider: 'webgpu', fused: null },
    });
  });

  it('of another model is judged by the provider it is held against', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    expect(await diagnose(model, wasm(), withFault(wasm(), { tensor: 'up', factor: 1.2 }))).toMatchObject({
      arbitration: { wrong: ['webgpu'], arbiter: 'against' },
      partsAt: { tensor: 'up', provider: 'webgpu', fused: null },
    });
  });

  it('cannot be decided where both providers are as far from the arbiter', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY, type: 'float16' });
    const [more, less] = [1.2, 0.8].map((factor) => withFault(wasm(), { tensor: 'up', factor, type: 'float16' }));
    expect(await diagnose(model, more!, less!)).toMatchObject({
      arbitration: { wrong: [], arbiter: null },
      partsAt: { tensor: 'up', provider: null },
    });
  });

  it('is judged without the arbiter of a provider that runs nothing unoptimized', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    const picky = (runtime: GraphRuntime): GraphRuntime => ({
      ...runtime,
      open: (blob, options) =>
        options?.optimized === false
          ? Promise.resolve(failure('session-failed', 'No.', 'None.'))
          : runtime.open(blob, options),
    });
    const faulty = picky(withFault(wasm(), { tensor: 'mixed', factor: 0.5, hiddenBy: ['attention'] }));
    expect(await diagnose(model, wasm(), faulty)).toMatchObject({
      arbitration: { wrong: ['webgpu'], arbiter: 'against', unoptimized: null },
      partsAt: { tensor: 'mixed', provider: 'webgpu', fused: { firstOperator: 'Softmax' } },
    });
    expect(await diagnose(model, picky(wasm()), faulty)).toMatchObject({
      arbitration: { wrong: [], arbiter: null },
      partsAt: { tensor: 'mixed', provider: null },
    });
  });
});

describe('no node is named', () => {
  it('where the providers agree, or differ by no more than is tolerated', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    expect(await partsAt(model, null)).toBeNull();
    expect(
      await firstDivergence({
        model: inOneFile(model),
        feeds: ids(12),
        left: wasm(),
        right: withFault(wasm(), { tensor: 'up', factor: 1.01 }),
        output: 'logits',
        tolerance: 0.5,
      }),
    ).toEqual({ ok: true, value: null });
  });
});

describe('what goes wrong on the way', () => {
  const job = (right: GraphRuntime, signal?: AbortSignal) =>
    firstDivergence({
      model: inOneFile(tinyTransformer({ vocabulary: VOCABULARY })),
      feeds: ids(12),
      left: wasm(),
      right,
      output: 'logits',
      signal,
    });

  it('is an error: no model, no such output, a runtime that does not open it', async () => {
    const feeds = ids(4);
    expect(
      await firstDivergence({
        model: inOneFile(new Blob(['no model'])),
        feeds,
        left: wasm(),
        right: wasm(),
        output: 'logits',
      }),
    ).toMatchObject({ ok: false, error: { code: 'onnx-invalid' } });
    expect(
      await firstDivergence({
        model: inOneFile(tinyTransformer({ vocabulary: VOCABULARY })),
        feeds,
        left: wasm(),
        right: wasm(),
        output: 'other',
      }),
    ).toMatchObject({ ok: false, error: { code: 'internal' } });
    expect(
      await job({ ...wasm(), open: () => Promise.resolve(failure('session-failed', 'No.', 'None.')) }),
    ).toMatchObject({ ok: false, error: { code: 'session-failed' } });
  });

  it('is no error when only a value cannot be looked at', async () => {
    const right = withFault(wasm(), { tensor: 'up', factor: 1.2 });
    const refusing: GraphRuntime = {
      ...right,
      async open(opened) {
        const {
          graph: { outputs },
        } = await scanModel(blobSource('model', opened.model));
        return outputs.some(({ proto }) => proto.name === 'gated')
          ? failure('session-failed', 'No.', 'None.')
          : right.open(opened);
      },
    };
    expect(await job(refusing)).toMatchObject({ ok: true, value: { partsAt: { tensor: 'up' } } });
  });

  it('ends the search when the device is lost or it is stopped', async () => {
    const right = withFault(wasm(), { tensor: 'up', factor: 1.2 });
    const stop = new AbortController();
    let opened = 0;
    const counting = (after: () => Promise<Result<never>> | null): GraphRuntime => ({
      ...right,
      open: (blob) => (++opened > 2 ? after() : null) ?? right.open(blob),
    });
    expect(await job(counting(() => Promise.resolve(failure('device-lost', 'Gone.', 'Wait.'))))).toMatchObject({
      ok: false,
      error: { code: 'device-lost' },
    });
    opened = 0;
    expect(
      await job(
        counting(() => {
          stop.abort();
          return null;
        }),
        stop.signal,
      ),
    ).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(opened).toBe(3);
  });

  it('gives back what sessions left on the GPU, once that is much', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    let resets = 0;
    const right: GraphRuntime = {
      ...withFault(wasm(), { tensor: 'attended', factor: 1.2 }),
      reset: () => {
        resets++;
        return Promise.resolve();
      },
    };
    const search = (mostLeft?: number) =>
      firstDivergence({
        model: inOneFile(model),
        feeds: ids(12),
        left: wasm(),
        right,
        output: 'logits',
        ...(mostLeft !== undefined && { mostLeft }),
      });
    expect(await search()).toMatchObject({ ok: true, value: { partsAt: { tensor: 'attended' } } });
    expect(resets).toBe(0);
    expect(await search(2 * model.size)).toMatchObject({ ok: true, value: { partsAt: { tensor: 'attended' } } });
    expect(resets).toBeGreaterThan(0);
  });

  it('leaves no session open', async () => {
    const right = withFault(wasm(), { tensor: 'attended', factor: 1.2 });
    let open = 0;
    let most = 0;
    const counting: GraphRuntime = {
      ...right,
      async open(blob) {
        const session = await right.open(blob);
        if (!session.ok) return session;
        most = Math.max(most, ++open);
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
    expect(await job(counting)).toMatchObject({ ok: true, value: { partsAt: { tensor: 'attended' } } });
    expect([open, most]).toEqual([0, 1]);
  });
});
