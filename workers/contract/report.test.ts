import { describe, expect, it } from 'vitest';
import { reportSchema, type Report, type RuntimeDrift } from './report.ts';

const OLD: RuntimeDrift = {
  provider: 'webgpu',
  against: 'wasm',
  distance: null,
  outputs: null,
  exceeds: true,
  widened: false,
  problem: null,
  partsAt: { node: 'norm/Add_1', operator: 'Add', tensor: 'norm.out', difference: 0.2, inputDifference: 0 },
};
const NEW: RuntimeDrift = {
  ...OLD,
  partsAt: {
    ...OLD.partsAt!,
    provider: 'wasm',
    fused: {
      firstNode: 'norm/ReduceMean',
      firstOperator: 'ReduceMean',
      operators: ['ReduceMean', 'Sub', 'Add'],
      into: 'LayerNormalization',
    },
  },
  arbitration: { wrong: ['wasm'], arbiter: 'both', optimized: 0.2, provider: 0, against: 0.2, unoptimized: null },
};

const report = (runtimeDrift: RuntimeDrift): Report => ({
  schema: 'nibble.report/1',
  model: { name: 'm.onnx', sha256: 'a', bytes: 1, parameters: 1, cacheBytesPerToken: null },
  backend: 'wasm',
  protocol: null,
  notes: [],
  levels: [
    {
      id: 'fp16',
      level: 'fp16',
      baseline: true,
      settings: {},
      file: 'f',
      bytes: 1,
      weightBytes: 1,
      perplexity: null,
      drift: null,
      runtimeDrift,
      ledger: [],
    },
  ],
});

describe('a stored report', () => {
  it.each([
    ['from before there was an arbiter', OLD],
    ['with an arbiter', NEW],
    ['with nothing found', { ...OLD, partsAt: null, arbitration: null }],
  ])('%s is read as it is', (_, drift) => {
    expect(reportSchema.parse(JSON.parse(JSON.stringify(report(drift)))).levels[0]?.runtimeDrift).toEqual(drift);
  });
});
