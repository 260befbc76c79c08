import { describe, expect, it } from 'vitest';
import { describeBackend, explainBackend } from './describe.ts';

describe('capabilities in words', () => {
  it('names the adapter', () => {
    const gpu = {
      backend: 'webgpu',
      webgpu: { available: true, adapter: 'SwiftShader', f16: false },
      isolated: true,
      threads: 2,
    } as const;
    expect(describeBackend(gpu)).toBe('WebGPU: SwiftShader');
    expect(explainBackend(gpu)).toContain('on the GPU (SwiftShader)');
  });
  it('says why there is none', () => {
    const cpu = {
      backend: 'wasm',
      webgpu: { available: false, reason: 'the browser offers no adapter' },
      isolated: false,
      threads: 1,
    } as const;
    expect(describeBackend(cpu)).toBe('WASM, 1 thread');
    expect(explainBackend(cpu)).toContain('the browser offers no adapter.');
    expect(explainBackend(cpu)).toContain('not cross-origin isolated');
  });
});
