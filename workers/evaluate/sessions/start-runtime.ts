/** Starts a runtime before anything is timed. */
import { inOneFile } from '../../onnx/model-files.ts';
import type { Result } from '../../contract/errors.ts';
import type { GraphRuntime } from './graph-session.ts';
import { smallestModel } from './smallest-model.ts';

/** Opens and runs the least there is, so that loading a model does not include loading the runtime. */
export async function startRuntime(runtime: GraphRuntime): Promise<Result<unknown>> {
  const session = await runtime.open(inOneFile(smallestModel()));
  if (!session.ok) return session;
  const ran = await session.value.run({ x: { type: 'float32', dims: [1], data: new Float32Array(1) } });
  await session.value.release();
  return ran;
}
