/** The fp16 baseline: weights rounded to half precision and widened by a Cast, so that arithmetic stays float32. */
import { FLOAT16, FLOAT32, elementCount, elementType } from '../../onnx/numbers/element-types.ts';
import { encodeConstant, encodeInitializer, encodeNode, NODE_FIELD } from '../../onnx/writing/encode.ts';
import type { Edit, Piece } from '../../onnx/writing/splice.ts';
import { changedLine, count, keptLine, whyNotFloat } from '../ledger.ts';
import { isQuantizedOperator } from '../families/registry.ts';
import { uniqueNames, uniqueNodeNames } from '../../onnx/graph/unique-names.ts';
import { placeNew, type DataFile } from '../data-file.ts';
import { float16Bytes, type QuantizeTask } from '../quantize-task.ts';
import { describeMisfit, type Misfits } from './fits.ts';
import type { NoWeight } from './weights.ts';
import type { Constant } from '../../onnx/graph/scopes.ts';
import { opsetOf, type Scope } from '../../onnx/graph/scopes.ts';
import type { LedgerLine } from '../../contract/level-plan.ts';

/** Whether the model's own weights are half precision already, so that it is its own fp16 baseline. */
export function isHalfPrecision(constants: readonly Constant[]): boolean {
  const bytesOf = (type: number) =>
    constants
      .filter(({ tensor }) => tensor.type === type && tensor.dims.length > 1)
      .reduce((sum, { tensor }) => sum + tensor.bytes, 0);
  return bytesOf(FLOAT16) > bytesOf(FLOAT32);
}

/** Constants that are no weights. */
export type NoWeights = ReadonlyMap<Constant, NoWeight>;

/** float32 weights the baseline rounds, as far as fp16 can hold them; none when the model is its own baseline. */
export function roundedConstants(constants: readonly Constant[], noWeights: NoWeights): Constant[] {
  return isHalfPrecision(constants) ? [] : constants.filter((constant) => whyNotRounded(constant, noWeights) === null);
}

function whyNotRounded(constant: Constant, noWeights: NoWeights): string | null {
  return whyNotStored(constant) ?? noWeights.get(constant)?.why ?? null;
}

/** Why a constant cannot be stored in fp16 with a Cast behind it, whatever it is for; null where it can. */
export function whyNotStored({ name, tensor, scope, readable, overridable, doubt }: Constant): string | null {
  if (overridable) return doubt ?? 'an input with a default';
  const quantized = scope.uses.get(name)?.find(({ node }) => isQuantizedOperator(node))?.node;
  if (quantized) return `belongs to a weight that is quantized already: used by ${quantized.type}`;
  if (tensor.type !== FLOAT32)
    return elementType(tensor.type).name === 'float16' ? 'fp16 already' : whyNotFloat(tensor.type);
  if (tensor.dims.length < 2) return 'a vector or a number: small, and kept exact';
  if (elementCount(tensor.dims) === 0) return 'it is empty';
  if (opsetOf(scope) < 6)
    return `a Cast that fp16 takes came with operator set 6, the model is written for ${opsetOf(scope)}`;
  if (doubt !== null) return doubt;
  if (!scope.uses.has(name) && !scope.outputs.has(name)) return 'not used by any operator';
  return readable ? null : 'stored in another file, which is missing';
}

/**
 * @param misfits Tensors that fp16 does not hold.
 * @param data Where large tensors go, when not into the model.
 */
export function planFloat16(
  scopes: readonly Scope[],
  constants: readonly Constant[],
  noWeights: NoWeights,
  misfits: Misfits,
  data: DataFile | null,
): { edits: Edit<QuantizeTask>[]; ledger: LedgerLine[]; summary: string } {
  if (isHalfPrecision(constants)) {
    const ledger = constants.map((constant) =>
      keptLine(constant, 'the model is half precision already: it is its own baseline'),
    );
    return { edits: [], ledger, summary: 'The model as it is: its weights are fp16 already.' };
  }
  const unique = uniqueNames(scopes);
  const uniqueNode = uniqueNodeNames(scopes);
  const rounded = new Set(roundedConstants(constants, noWeights).filter(({ name }) => !misfits.has(name)));
  let kept = 0;
  const edits: Edit<QuantizeTask>[] = [];
  const casts = new Map<Scope, Piece<QuantizeTask>[]>();
  const ledger = constants.map((constant): LedgerLine => {
    const { name, tensor, scope, node } = constant;
    if (!rounded.has(constant)) {
      const misfit = misfits.get(name);
      const why = whyNotRounded(constant, noWeights) ?? (misfit ? describeMisfit(misfit) : '');
      if (whyNotStored(constant) === null) kept++;
      return keptLine(constant, why);
    }
    const half = unique(`${name}_fp16`);
    const length = float16Bytes(tensor);
    const stored = {
      name: half,
      type: FLOAT16,
      dims: tensor.dims,
      data: { kind: 'made', task: { kind: 'to-float16', tensor }, part: 'values', length },
    } as const;
    const pieces =
      scope.kind === 'graph'
        ? encodeInitializer<QuantizeTask>(stored, placeNew(data, stored.data))
        : encodeConstant<QuantizeTask>(stored);
    const cast: Piece<QuantizeTask> = {
      kind: 'bytes',
      bytes: encodeNode(
        {
          type: 'Cast',
          domain: '',
          name: uniqueNode(`${name}_widen`),
          inputs: [half],
          outputs: [name],
          attributes: { to: FLOAT32 },
        },
        NODE_FIELD[scope.kind],
      ),
    };
    const place = node?.span ?? tensor.span;
    edits.push({ start: place.start, end: place.end, within: scope.within, pieces: node ? [...pieces, cast] : pieces });
    const others = casts.get(scope);
    if (others && !node) others.push(cast);
    else if (!node) casts.set(scope, [cast]);
    return changedLine(
      constant,
      'float16',
      length,
      'weight rounded to fp16, widened by a Cast so that arithmetic stays float32',
    );
  });
  for (const scope of scopes) {
    // Models of IR version 3 list initializers as inputs as well; one that a Cast makes must not stay behind as an input.
    for (const { proto, span } of scope.inputValues) {
      const constant = scope.constants.get(proto.name);
      if (constant && rounded.has(constant))
        edits.push({ start: span.start, end: span.end, within: scope.within, pieces: [] });
    }
    const pieces = casts.get(scope);
    if (!pieces) continue;
    const at = scope.nodes[0]?.span.start ?? scope.within.at(-1)?.end ?? 0;
    edits.push({ start: at, end: at, within: scope.within, pieces });
  }
  const summary =
    rounded.size > 0
      ? `${count(rounded.size, 'weight')} rounded to fp16; arithmetic stays float32.${kept > 0 ? ` ${count(kept, 'tensor')} ${kept === 1 ? 'stays' : 'stay'} float32: not weights, or beyond what fp16 holds.` : ''}`
      : 'The model as it is: no float32 weight to round.';
  return { edits, ledger, summary };
}
