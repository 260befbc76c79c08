import { describe, expect, it } from 'vitest';
import type { Drift } from '../../../workers/contract/report.ts';
import type { Figure } from '../../store/run.ts';
import { agreementSentence, perplexitySentence, sizeSentence } from './sentences.ts';

const plain = (text: string | null) => text?.replaceAll('\u00a0', ' ');
const drift = (change: number, error: number): Drift => ({
  lnRatio: { value: Math.log1p(change), error },
  correlation: 0.99,
  kld: { mean: 0.2, error: 0.001, median: 0.1, p90: 0.4, p95: 0.6, p99: 1, p999: 2, max: 4 },
  sameTop: { value: 0.774, error: 0.0016 },
  deltaP: { mean: 0, rms: { value: 0.1, error: 0.001 }, p1: 0, p5: 0, median: 0, p95: 0, p99: 0 },
});
const figure = (change: Partial<Figure>): Figure => ({
  level: { uid: 'u', id: 'int4', settings: {}, created: 0, slot: 2 },
  name: 'int4',
  baseline: false,
  bytes: 340_000,
  weightBytes: 300_000,
  perplexity: { value: 10.36, error: 0.13 },
  unit: 'token',
  drift: drift(0.216, 0.0033),
  final: true,
  file: 'model_q4.onnx',
  blob: null,
  folder: null,
  data: null,
  ledger: [],
  outputs: null,
  runtimeDrift: null,
  speed: [],
  reported: null,
  ...change,
});
const baseline = figure({
  name: 'fp16',
  baseline: true,
  bytes: 1_156_000,
  perplexity: { value: 8.5202, error: 0.1039 },
  drift: null,
});

describe('a sentence a level', () => {
  it('says how much smaller and what it costs', () => {
    expect(sizeSentence(figure({}), baseline)).toBe('int4 is 3.4× smaller than fp16.');
    expect(plain(perplexitySentence(figure({}), baseline))).toBe('Perplexity 8.52 → 10.36 (+21.6 % ± 0.4).');
    expect(plain(agreementSentence(figure({})))).toBe(
      'The most likely next token is the same for 77.40 % ± 0.16 of tokens.',
    );
  });
  it('shows small changes to the digits they are known to, however short the text', () => {
    const short = { value: 55.12, error: 7 };
    expect(
      plain(
        perplexitySentence(figure({ perplexity: { value: 55.29, error: 7 }, drift: drift(0.003, 0.007) }), {
          ...baseline,
          perplexity: short,
        }),
      ),
    ).toBe('Perplexity 55.1 → 55.3 (+0.3 % ± 0.7).');
  });
  it('names the baseline as such', () => {
    expect(sizeSentence(baseline, baseline)).toBe('fp16 is the baseline.');
    expect(plain(perplexitySentence(baseline, baseline))).toBe('Perplexity 8.52 ± 0.10.');
    expect(agreementSentence(baseline)).toBeNull();
  });
  it('says that running figures still move', () => {
    expect(plain(perplexitySentence(figure({ final: false }), baseline))).toBe(
      'Perplexity so far 8.52 → 10.36 (+21.6 % ± 0.4).',
    );
  });
  it('says nothing it does not know', () => {
    expect(sizeSentence(figure({ bytes: null }), baseline)).toBeNull();
    expect(sizeSentence(figure({}), undefined)).toBeNull();
    expect(perplexitySentence(figure({ perplexity: null, drift: null }), baseline)).toBeNull();
  });
  it('reads well when nothing changed in size', () => {
    expect(sizeSentence(figure({ bytes: 1_156_000 }), baseline)).toBe('int4 is the same size as fp16.');
  });
  it('does not call perplexity by word perplexity', () => {
    expect(plain(perplexitySentence(figure({ unit: 'word' }), baseline))).toBe(
      'Word perplexity 8.52 → 10.36 (+21.6 % ± 0.4).',
    );
  });
});
