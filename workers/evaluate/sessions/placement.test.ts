import { expect, it } from 'vitest';
import { readPlacement } from './placement.ts';

const log = (...texts: string[]) =>
  texts.map(
    (text) =>
      `2026-01-02 03:04:05.678901 [V:onnxruntime:, session_state.cc:1385 VerifyEachNodeIsAssignedToAnEp] ${text}`,
  );

it('counts nodes elsewhere, without the copies between providers', () => {
  expect(
    readPlacement(
      [
        'another line',
        ...log(
          'Node placements',
          ' Node(s) placed on [CPUExecutionProvider]. Number of nodes: 2',
          '  Shape (a/Shape)',
          '  Gather ()',
          ' Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 3',
          '  MatMul (b (1))',
          '  MemcpyToHost (Memcpy)',
          '  Add (c)',
        ),
      ],
      'WebGpuExecutionProvider',
    ),
  ).toEqual({ nodes: 2, of: 4 });
});

it('takes the number where nodes are not listed', () => {
  expect(
    readPlacement(
      log('Node placements', ' All nodes placed on [CPUExecutionProvider]. Number of nodes: 7'),
      'WebGpuExecutionProvider',
    ),
  ).toEqual({ nodes: 7, of: 7 });
});

it('is null where the log says nothing', () => {
  expect(readPlacement(['2026 [W:onnxruntime:, x.cc:1 F] warning'], 'WebGpuExecutionProvider')).toBeNull();
});
