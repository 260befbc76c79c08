import { create } from '@bufbuild/protobuf';
import { TensorProtoSchema } from 'onnx-buf';
import * as ort from 'onnxruntime-web';
import { describe, expect, it } from 'vitest';
import type { Divergence, Result } from '../protocol.ts';
import { scanModel } from '../onnx/scan.ts';
import { blobSource } from '../source.ts';
import { encode, graph, model, node, value } from '../../models/build.ts';
import { dataflow } from './dataflow.ts';
import { failure } from './errors.ts';
import { firstDivergence } from './first-divergence.ts';
import { wasmRuntime, type GraphRuntime, type HostTensor } from './graph-session.ts';
import { withFault, type Fault } from './test-faults.ts';
import { tinyTransformer } from './test-transformer.ts';

const VOCABULARY = 24;
const ids = (length: number): Record<string, HostTensor> =>
  ({ input_ids: { type: 'int64', dims: [1, length], data: BigInt64Array.from({ length }, (_, index) => BigInt((index * 7) % VOCABULARY)) } });

const wasm = () => wasmRuntime(ort, 1);

async function partsAt(model: Blob, fault: Fault | null, right: GraphRuntime = fault ? withFault(wasm(), fault) : wasm()): Promise<Divergence | null> {
  const found: Result<Divergence | null> = await firstDivergence({ model, feeds: ids(12), left: wasm(), right, output: 'logits' });
  if (!found.ok) throw new Error(`${found.error.message} ${found.error.details}`);
  return found.value;
}

const INTEGERS = new Set(['shape', 'length', 'columns', 'rows', 'later']);

/** Float values of the transformer; one mask is as good as another, so that a wrong one need not show. */
async function floats(model: Blob): Promise<string[]> {
  const values = [...dataflow((await scanModel(blobSource('model', model))).graph).keys()];
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
    const branch = (name: string, operator: string) => graph({ name, node: [node(operator, ['x'], [`${name}.out`])], output: [value(`${name}.out`, 'float32', ['n'])] });
    const bytes = encode(model(graph({
      node: [node('Tanh', ['in'], ['x']), node('If', ['yes'], ['chosen'], { then_branch: branch('then', 'Sin'), else_branch: branch('else', 'Cos') }), node('Exp', ['chosen'], ['logits'])],
      initializer: [create(TensorProtoSchema, { name: 'yes', dataType: 9, rawData: Uint8Array.of(1) })],
      input: [value('in', 'float32', ['n'])], output: [value('logits', 'float32', ['n'])],
    })));
    const found = await firstDivergence({
      model: new Blob([bytes]), feeds: { in: { type: 'float32', dims: [3], data: Float32Array.of(1, 2, 3) } }, left: wasm(),
      right: withFault(wasm(), { tensor: 'chosen', factor: 1.1 }), output: 'logits',
    });
    expect(found).toMatchObject({ ok: true, value: { operator: 'If', tensor: 'chosen', inputDifference: 0 } });
    const before = await firstDivergence({
      model: new Blob([bytes]), feeds: { in: { type: 'float32', dims: [3], data: Float32Array.of(1, 2, 3) } }, left: wasm(),
      right: withFault(wasm(), { tensor: 'x', factor: 1.1 }), output: 'logits',
    });
    expect(before).toMatchObject({ ok: true, value: { operator: 'Tanh', tensor: 'x' } });
  });
});

/** Many models are opened in each. */
describe('a fault that adding outputs hides', () => {
  it('is narrowed down to the end of what cannot be seen', async () => {
    const hidden = ['scores', 'scaled', 'allowed', 'attention'];
    const found = await partsAt(tinyTransformer({ vocabulary: VOCABULARY }), { tensor: 'allowed', factor: 0.5, hiddenBy: hidden });
    expect(found?.tensor).toBe('mixed');
  });

  it('is not named when everything hides it', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    const everything = [...await floats(model), ...INTEGERS, 'mask'].filter((name) => name !== 'logits');
    expect(await partsAt(model, { tensor: 'mixed', factor: 1.1, hiddenBy: everything })).toBeNull();
  });
});

describe('no node is named', () => {
  it('where the providers agree, or differ by no more than is tolerated', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    expect(await partsAt(model, null)).toBeNull();
    expect(await firstDivergence({
      model, feeds: ids(12), left: wasm(), right: withFault(wasm(), { tensor: 'up', factor: 1.01 }), output: 'logits', tolerance: 0.5,
    })).toEqual({ ok: true, value: null });
  });
});

describe('what goes wrong on the way', () => {
  const job = (right: GraphRuntime, signal?: AbortSignal) =>
    firstDivergence({ model: tinyTransformer({ vocabulary: VOCABULARY }), feeds: ids(12), left: wasm(), right, output: 'logits', signal });

  it('is an error: no model, no such output, a runtime that does not open it', async () => {
    const feeds = ids(4);
    expect(await firstDivergence({ model: new Blob(['no model']), feeds, left: wasm(), right: wasm(), output: 'logits' })).toMatchObject({ ok: false, error: { code: 'onnx-invalid' } });
    expect(await firstDivergence({ model: tinyTransformer({ vocabulary: VOCABULARY }), feeds, left: wasm(), right: wasm(), output: 'other' })).toMatchObject({ ok: false, error: { code: 'internal' } });
    expect(await job({ ...wasm(), open: () => Promise.resolve(failure('session-failed', 'No.', 'None.')) })).toMatchObject({ ok: false, error: { code: 'session-failed' } });
  });

  it('is no error when only a value cannot be looked at', async () => {
    const right = withFault(wasm(), { tensor: 'up', factor: 1.2 });
    const refusing: GraphRuntime = {
      ...right,
      async open(opened) {
        const { graph: { outputs } } = await scanModel(blobSource('model', opened));
        return outputs.some(({ proto }) => proto.name === 'gated') ? failure('session-failed', 'No.', 'None.') : right.open(opened);
      },
    };
    expect(await job(refusing)).toMatchObject({ ok: true, value: { tensor: 'up' } });
  });

  it('ends the search when the device is lost or it is stopped', async () => {
    const right = withFault(wasm(), { tensor: 'up', factor: 1.2 });
    const stop = new AbortController();
    let opened = 0;
    const counting = (after: () => Promise<Result<never>> | null): GraphRuntime => ({ ...right, open: (blob) => (++opened > 2 ? after() : null) ?? right.open(blob) });
    expect(await job(counting(() => Promise.resolve(failure('device-lost', 'Gone.', 'Wait.'))))).toMatchObject({ ok: false, error: { code: 'device-lost' } });
    opened = 0;
    expect(await job(counting(() => { stop.abort(); return null; }), stop.signal)).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    expect(opened).toBe(3);
  });

  it('gives back what sessions left on the GPU, once that is much', async () => {
    const model = tinyTransformer({ vocabulary: VOCABULARY });
    let resets = 0;
    const right: GraphRuntime = { ...withFault(wasm(), { tensor: 'attended', factor: 1.2 }), reset: () => { resets++; return Promise.resolve(); } };
    const search = (mostLeft?: number) => firstDivergence({ model, feeds: ids(12), left: wasm(), right, output: 'logits', ...(mostLeft !== undefined && { mostLeft }) });
    expect(await search()).toMatchObject({ ok: true, value: { tensor: 'attended' } });
    expect(resets).toBe(0);
    expect(await search(2 * model.size)).toMatchObject({ ok: true, value: { tensor: 'attended' } });
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
        return { ok: true, value: { ...session.value, release: () => { open--; return session.value.release(); } } };
      },
    };
    expect(await job(counting)).toMatchObject({ ok: true, value: { tensor: 'attended' } });
    expect([open, most]).toEqual([0, 1]);
  });
});
