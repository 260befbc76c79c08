import { expect, test } from 'vitest';
import { encode, graph, localFunction, model, node, randomValues, tensor, value } from '../../models/build.ts';
import { customOperators, whyNotRunnable } from './custom-operators.ts';
import { scanBytes } from '../test-support.ts';

const body = (...nodes: ReturnType<typeof node>[]) =>
  graph({
    node: nodes,
    initializer: [tensor('w', 'float32', [64, 64], randomValues(1, 4096))],
    input: [value('x', 'float32', ['b', 64])],
    output: [value('y', 'float32', ['b', 64])],
  });

test('operators of a domain that no runtime has are named, wherever they are', async () => {
  const inside = graph({
    node: [node('Inner', ['x'], ['z'], {}, 'my.dom')],
    output: [value('z', 'float32', ['b', 64])],
  });
  const found = await scanBytes(
    encode(
      model(
        body(
          node('MatMul', ['x', 'w'], ['a']),
          node('MyOp', ['a'], ['c'], {}, 'my.dom'),
          node('If', ['c'], ['y'], { then_branch: inside, else_branch: inside }),
          node('FusedMatMul', ['x', 'w'], ['d'], {}, 'com.microsoft'),
        ),
      ),
    ),
  );
  expect(customOperators(found)).toEqual(['my.dom.MyOp', 'my.dom.Inner']);
  expect(whyNotRunnable(found)).toMatchObject({
    code: 'session-failed',
    message: expect.stringContaining('my.dom.MyOp') as string,
  });
});

test('a local function is no custom operator', async () => {
  const found = await scanBytes(
    encode(
      model(body(node('Twice', ['x'], ['y'], {}, 'my.dom')), 17, 8, [
        localFunction('my.dom', 'Twice', ['i'], ['o'], [node('Add', ['i', 'i'], ['o'])]),
      ]),
    ),
  );
  expect(customOperators(found)).toEqual([]);
  expect(whyNotRunnable(found)).toBeNull();
});
