import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Node } from '../../onnx/model.ts';
import { ancestors, type ComputedValue } from '../../onnx/graph/walk.ts';
import { rises, searchDivergence, type Look } from './divergence-search.ts';
import { failure } from '../errors.ts';
import type { Difference } from '../outputs/tensor-difference.ts';

const nodeOf = (name: string, type = 'Mul'): Node => ({
  name,
  type,
  domain: '',
  inputs: [],
  outputs: [name],
  attributes: [],
  inputSpans: [],
  outputSpans: [],
  span: { start: 0, body: 0, end: 0, number: 1 },
});
const valueOf = (name: string, inputs: string[], type?: string): ComputedValue => ({
  name,
  node: nodeOf(name, type),
  inputs,
  constant: false,
});
const difference = (relative: number, rms = 1): Difference => ({
  relative,
  error: relative * rms,
  rms,
  type: 'float32',
});

/** Graphs whose values each come of one to three before them, the last of all of them in some way. */
const graphs = fc.integer({ min: 2, max: 120 }).chain((count) =>
  fc.record({
    inputs: fc.tuple(
      ...Array.from({ length: count }, (_, at) =>
        at === 0
          ? fc.constant<number[]>([])
          : fc.uniqueArray(fc.integer({ min: Math.max(0, at - 40), max: at - 1 }), { minLength: 1, maxLength: 3 }),
      ),
    ),
    gains: fc.array(fc.double({ min: 0.4, max: 2, noNaN: true }), { minLength: count, maxLength: count }),
    fault: fc.integer({ min: 0, max: count - 1 }),
    hidden: fc.array(fc.boolean(), { minLength: count, maxLength: count }),
  }),
);

function world(inputs: number[][], gains: number[], fault: number, hidden: ReadonlySet<string> = new Set()) {
  const names = inputs.map((_, at) => `v${at}`);
  const values = new Map(
    inputs.map((from, at) => [
      names[at]!,
      valueOf(
        names[at]!,
        from.map((place) => names[place]!),
      ),
    ]),
  );
  const relative: number[] = [];
  inputs.forEach((from, at) => {
    const given = Math.max(0, ...from.map((place) => relative[place]!));
    relative.push(at === fault ? Math.max(0.05, 5 * given) : Math.min(2, Math.max(1e-7, given * gains[at]!)));
  });
  let looks = 0;
  const look: Look = (tensors) => {
    looks++;
    return Promise.resolve({
      ok: true,
      value: new Map(
        tensors.map((tensor) => [tensor, hidden.has(tensor) ? null : difference(relative[names.indexOf(tensor)]!)]),
      ),
    });
  };
  return { names, values, relative, look, looks: () => looks, last: names.at(-1)! };
}

describe('the search', () => {
  it('names the value a fault is in, in any graph, when it shows in the output', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async ({ inputs, gains, fault }) => {
        const { values, relative, look, last, names } = world(inputs, gains, fault);
        fc.pre(relative.at(-1)! > 1e-3);
        const found = await searchDivergence(values, last, look, 1e-3);
        expect(found.ok && found.value?.value.name).toBe(names[fault]);
      }),
      { numRuns: 400 },
    );
  });

  it('names the first that can be seen behind it where it cannot be seen itself', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async ({ inputs, gains, fault, hidden }) => {
        const names = inputs.map((_, at) => `v${at}`);
        const unseen = new Set(names.filter((_, at) => hidden[at]! && at % 3 === 0 && at < names.length - 1));
        // What grows on a long way through values that cannot be seen cannot be told from a fault; here it does not grow there.
        const calm = gains.map((gain, at) => (unseen.has(names[at]!) ? Math.min(1, gain) : gain));
        const { values, relative, look, last } = world(inputs, calm, fault, unseen);
        fc.pre(relative.at(-1)! > 1e-3);
        const found = await searchDivergence(values, last, look, 1e-3);
        const parting = found.ok ? found.value : null;
        if (!parting) {
          expect(unseen).toContain(names[fault]);
          return;
        }
        expect(unseen.has(parting.value.name)).toBe(false);
        // Between the fault and the value named, every way there is through values that cannot be seen.
        const reached = new Set([parting.value.name]);
        for (const name of reached)
          for (const input of values.get(name)!.inputs) if (unseen.has(input)) reached.add(input);
        expect(reached).toContain(names[fault]);
      }),
      { numRuns: 400 },
    );
  });

  it('looks rarely: for one fault among two thousand values in a row, four times and at its inputs', async () => {
    const inputs = Array.from({ length: 2000 }, (_, at) => (at === 0 ? [] : [at - 1]));
    for (const fault of [0, 1, 999, 1776, 1999]) {
      const { values, look, looks, last, names } = world(
        inputs,
        inputs.map(() => 1),
        fault,
      );
      const found = await searchDivergence(values, last, look, 1e-3);
      expect(found.ok && found.value?.value.name).toBe(names[fault]);
      expect(looks()).toBeLessThanOrEqual(6);
    }
  });

  it('names nothing where differences grow bit by bit', async () => {
    const inputs = Array.from({ length: 60 }, (_, at) => (at === 0 ? [] : [at - 1]));
    const { values, last, names } = world(
      inputs,
      inputs.map(() => 1),
      -1,
    );
    const look: Look = (tensors) =>
      Promise.resolve({
        ok: true,
        value: new Map(tensors.map((tensor) => [tensor, difference(1e-6 * 1.3 ** names.indexOf(tensor))])),
      });
    expect(await searchDivergence(values, last, look, 1e-3)).toEqual({ ok: true, value: null });
  });

  it('passes on what goes wrong', async () => {
    const wrong = failure('device-lost', 'Gone.', 'Wait.');
    expect(await searchDivergence(new Map([['a', valueOf('a', [])]]), 'a', () => Promise.resolve(wrong), 1e-3)).toEqual(
      wrong,
    );
  });
});

describe('a node is at fault', () => {
  it('when its output is clearly further apart than its inputs, beyond rounding', () => {
    const mul = valueOf('y', ['x']);
    expect(rises(mul, difference(0.05), [difference(1e-6)])).toBe(true);
    expect(rises(mul, difference(0.05), [difference(0.02)])).toBe(false);
    expect(rises(mul, difference(5e-6), [difference(0)])).toBe(false);
    expect(rises(mul, { ...difference(5e-4), type: 'float16' }, [difference(0)])).toBe(false);
    expect(rises(mul, difference(0.05), [])).toBe(true);
  });

  it('not when it is a sum that comes to nearly nothing beside its terms', () => {
    const mean = { relative: 0.8, error: 1e-8, rms: 1.2e-8, type: 'float32' };
    expect(rises(valueOf('y', ['x'], 'ReduceMean'), mean, [difference(1e-7)])).toBe(false);
    expect(rises(valueOf('y', ['x'], 'Mul'), mean, [difference(1e-7)])).toBe(true);
    expect(rises(valueOf('y', ['x'], 'ReduceMean'), difference(0.8), [difference(1e-7)])).toBe(true);
  });
});

it('what a value comes of', () => {
  const values = new Map(
    [
      ['a', []],
      ['b', ['a']],
      ['c', ['a', 'fed']],
      ['d', ['b']],
      ['e', ['c']],
    ].map(([name, inputs]) => [name as string, valueOf(name as string, inputs as string[])]),
  );
  expect([...ancestors(values, 'e')].sort()).toEqual(['a', 'c', 'e']);
  expect([...ancestors(values, 'fed')]).toEqual([]);
});
