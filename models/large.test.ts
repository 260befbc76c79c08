import { describe, expect, it } from 'vitest';
import { scanModel } from '../workers/onnx/scan.ts';
import { blobSource } from '../workers/io/source.ts';
import { GPT2_SHAPE, largeModel, largeModelBytes, largeModelExternal, type LargeModelShape } from './large.ts';

const SMALL: LargeModelShape = { vocabulary: 300, width: 64, inner: [128, 96], layers: 2, type: 'float16' };

describe('large models made in code', () => {
  it('have the size they are named for', () => {
    expect(largeModelBytes(GPT2_SHAPE)).toBe(352_570_368);
  });

  it('are ONNX with all weights inside', async () => {
    const file = new Blob([...largeModel(SMALL)]);
    const { graph } = await scanModel(blobSource('large.onnx', file));
    expect(graph.initializers).toHaveLength(10);
    expect(graph.initializers.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(largeModelBytes(SMALL));
    expect(graph.initializers.every(({ data }) => data.kind === 'inline')).toBe(true);
    expect(graph.nodes.filter(({ type }) => type === 'MatMul')).toHaveLength(9);
  });

  it('can have their weights in another file', async () => {
    const { model, dataBytes } = largeModelExternal(SMALL, 'large.onnx.data');
    const { graph } = await scanModel(blobSource('large.onnx', new Blob([model])));
    expect(
      graph.initializers.every(
        ({ data }) => data.kind === 'external' && data.offset % 4096 === 0 && data.location === 'large.onnx.data',
      ),
    ).toBe(true);
    expect(dataBytes).toBeGreaterThanOrEqual(largeModelBytes(SMALL));
  });
});
