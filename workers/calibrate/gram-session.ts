/** XᵀX and XᵀX₀ of activations, by onnxruntime, whose matrix product uses SIMD and threads. */
import { create, toBinary } from '@bufbuild/protobuf';
import { ValueInfoProtoSchema } from 'onnx-buf';
import type { Result } from '../contract/errors.ts';
import type { GraphRuntime, HostTensor } from '../evaluate/sessions/graph-session.ts';
import { inOneFile } from '../onnx/model-files.ts';
import { FLOAT32 } from '../onnx/numbers/element-types.ts';
import { concatBytes, encodeHeader } from '../onnx/wire.ts';
import { encodeIrVersion, encodeNode, encodeOpset } from '../onnx/writing/encode.ts';

export interface GramSession {
  /**
   * Adds XᵀX, and XᵀX₀ where there is an X₀, of float32 rows [rows, k].
   * Errors: `session-failed`, `out-of-memory`.
   */
  add(
    x: Float32Array,
    original: Float32Array | null,
    k: number,
    sums: { gram: Float64Array; cross: Float64Array | null },
  ): Promise<Result<null>>;
  release(): Promise<void>;
}

const GRAPH = 7;
const GRAPH_INPUT = 11;
const GRAPH_OUTPUT = 12;

/** Errors: `session-failed`, `out-of-memory`. */
export async function openGramSession(runtime: GraphRuntime): Promise<Result<GramSession>> {
  const opened = await runtime.open(inOneFile(gramModel()));
  if (!opened.ok) return opened;
  const session = opened.value;
  return {
    ok: true,
    value: {
      async add(x, original, k, { gram, cross }) {
        const rows = (data: Float32Array): HostTensor => ({ type: 'float32', dims: [data.length / k, k], data });
        const result = await session.run({ x: rows(x), y: rows(original ?? x) }, original ? ['xx', 'xy'] : ['xx']);
        if (!result.ok) return result;
        accumulate(gram, result.value['xx']!);
        if (cross) accumulate(cross, result.value[original ? 'xy' : 'xx']!);
        return { ok: true, value: null };
      },
      release: () => session.release(),
    },
  };
}

function accumulate(sums: Float64Array, { data }: HostTensor): void {
  const values = data as Float32Array;
  for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! + values[i]!;
}

function gramModel(): Blob {
  const value = (field: number, name: string) => {
    const message = toBinary(
      ValueInfoProtoSchema,
      create(ValueInfoProtoSchema, {
        name,
        type: { value: { case: 'tensorType', value: { elemType: FLOAT32 } } },
      }),
    );
    return concatBytes([encodeHeader(field, message.length), message]);
  };
  const node = (type: string, inputs: string[], output: string, attributes: Record<string, number[]> = {}) =>
    encodeNode({ type, domain: '', name: output, inputs, outputs: [output], attributes });
  const graph = concatBytes([
    node('Transpose', ['x'], 'xt', { perm: [1, 0] }),
    node('MatMul', ['xt', 'x'], 'xx'),
    node('MatMul', ['xt', 'y'], 'xy'),
    value(GRAPH_INPUT, 'x'),
    value(GRAPH_INPUT, 'y'),
    value(GRAPH_OUTPUT, 'xx'),
    value(GRAPH_OUTPUT, 'xy'),
  ]);
  return new Blob([encodeIrVersion(8), encodeOpset('', 13), encodeHeader(GRAPH, graph.length), graph] as BlobPart[]);
}
