import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { EngineError, Result } from '../../workers/contract/errors.ts';
import type { Generated, GenerationJob } from '../../workers/contract/generation.ts';
import { applyGenerated, createGeneration, partingOf, type Continuation } from './generation.ts';

const job = (prompt: string): GenerationJob => ({
  models: [{ key: 'a', model: { model: new Blob(), data: null } }],
  files: [],
  prompt,
  maxTokens: 8,
  sampling: { kind: 'greedy' },
  provider: 'wasm',
});
const said = (key: string, text: string, final = false): Generated => ({
  type: 'generated',
  key,
  text,
  tokens: 1,
  tokensPerSecond: null,
  cached: true,
  final,
  problem: null,
});
const error = (code: EngineError['code']): EngineError => ({ code, message: code, action: 'a', details: '' });

function setUp() {
  const asked: {
    job: GenerationJob;
    send: (event: Generated) => void;
    settle: (result: Result<null>) => void;
    cancelled: number;
  }[] = [];
  const store = createGeneration((wanted, send) => {
    let settle: (result: Result<null>) => void = () => undefined;
    const done = new Promise<Result<null>>((resolve) => {
      settle = resolve;
    });
    const entry = { job: wanted, send, settle, cancelled: 0 };
    asked.push(entry);
    return {
      done,
      cancel: () => {
        entry.cancelled++;
        settle({ ok: false, error: error('cancelled') });
      },
    };
  });
  return { store, asked };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('generation', () => {
  it('shows what is written as it comes, and what was said last at the end', async () => {
    const { store, asked } = setUp();
    const running = store.getState().generate(job('x'));
    asked[0]?.send(said('a', ' one'));
    await vi.advanceTimersByTimeAsync(100);
    expect(store.getState()).toMatchObject({ status: 'running' });
    expect(store.getState().continuations.get('a')?.text).toBe(' one');
    asked[0]?.send(said('a', ' one two', true));
    asked[0]?.settle({ ok: true, value: null });
    await running;
    expect(store.getState()).toMatchObject({ status: 'idle', problem: null });
    expect(store.getState().continuations.get('a')).toMatchObject({
      text: ' one two',
      ends: [{ at: 4 }, { at: 8 }],
      final: true,
    });
  });
  it('runs one at a time, and cancelling is no problem', async () => {
    const { store, asked } = setUp();
    const running = store.getState().generate(job('x'));
    await store.getState().generate(job('y'));
    expect(asked).toHaveLength(1);
    store.getState().cancel();
    store.getState().cancel();
    await running;
    expect(asked[0]?.cancelled).toBe(1);
    expect(store.getState()).toMatchObject({ status: 'idle', problem: null });
  });
  it('says what went wrong and keeps what it has', async () => {
    const { store, asked } = setUp();
    const running = store.getState().generate(job('x'));
    asked[0]?.send(said('a', ' one'));
    asked[0]?.settle({ ok: false, error: error('worker-crashed') });
    await running;
    expect(store.getState().problem?.code).toBe('worker-crashed');
    expect(store.getState().continuations.size).toBe(1);
  });
  it('forgotten, does not come back', async () => {
    const { store, asked } = setUp();
    const running = store.getState().generate(job('x'));
    asked[0]?.send(said('a', ' one'));
    store.getState().clear();
    await running;
    expect(store.getState()).toMatchObject({ status: 'idle', job: null, problem: null });
    expect(store.getState().continuations.size).toBe(0);
  });
  it('takes back half a character', () => {
    const texts = [' caf', ' caf\ufffd', ' café'];
    const all = texts.reduce(
      (map: ReadonlyMap<string, Continuation>, text) => applyGenerated(map, said('a', text)),
      new Map<string, Continuation>(),
    );
    expect(all.get('a')).toMatchObject({ text: ' café', ends: [{ at: 4 }, { at: 5 }] });
  });
});

describe('where two continuations part', () => {
  const of = (pieces: string[], final = true): Continuation => {
    const ends = pieces.map((_, index) => ({ at: pieces.slice(0, index + 1).join('').length, tokens: index + 1 }));
    return {
      text: pieces.join(''),
      ends,
      tokens: pieces.length,
      tokensPerSecond: null,
      cached: true,
      final,
      problem: null,
    };
  };
  it('is the first piece that differs, whole', () => {
    expect(partingOf(of([' the', ' white', ' horse']), of([' the', ' white', ' whale']))).toEqual({
      same: 10,
      until: 16,
      tokens: 2,
      exact: true,
    });
    expect(partingOf(of(['x']), of(['y']))).toEqual({ same: 0, until: 1, tokens: 0, exact: true });
  });
  it('is a word where several tokens came together', () => {
    const together = {
      ...of([]),
      text: ' the report of it',
      ends: [
        { at: 4, tokens: 1 },
        { at: 17, tokens: 4 },
      ],
    };
    expect(partingOf(together, of([' the', ' white']))).toEqual({ same: 4, until: 11, tokens: 1, exact: false });
    expect(partingOf(together, of([' the', ' report', ' on']))).toEqual({
      same: 11,
      until: 14,
      tokens: 1,
      exact: false,
    });
  });
  it('is nowhere while one is only behind, and nowhere when both are the same', () => {
    expect(partingOf(of([' the'], false), of([' the', ' white']))).toBeNull();
    expect(partingOf(of([' the', ' white']), of([' the'], false))).toBeNull();
    expect(partingOf(of([' the']), of([' the']))).toBeNull();
    expect(partingOf(of([], false), of([], false))).toBeNull();
  });
  it('is the end of one that ended first', () => {
    expect(partingOf(of([' the']), of([' the', ' white']))).toMatchObject({ same: 4, until: 4, tokens: 1 });
    expect(partingOf(of([' the', ' white']), of([' the']))).toMatchObject({ same: 4, until: 10, tokens: 1 });
  });
});
