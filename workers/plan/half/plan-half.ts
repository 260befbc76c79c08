/**
 * A level with fp16 activations: the graph in fp16 first, and what a level quantizes of that. A model that is half
 * precision already is planned as it is.
 */
import { engineError } from '../../contract/errors.ts';
import { scanModel } from '../../onnx/scan.ts';
import { FLOAT32 } from '../../onnx/numbers/element-types.ts';
import { createLayer, type Layer } from '../../onnx/writing/layers.ts';
import type { Tensor } from '../../onnx/model.ts';
import type { Piece } from '../../onnx/writing/splice.ts';
import type { LedgerLine } from '../../contract/level-plan.ts';
import type { Scheme } from '../../contract/levels/definition.ts';
import type { LevelId } from '../../contract/levels/registry.ts';
import type { LevelSettings } from '../../contract/settings.ts';
import { bytesInWords } from '../../lib/bytes-in-words.ts';
import { count, keptLine } from '../ledger.ts';
import {
  isHalfPrecision,
  modelBytes,
  planLevel,
  preparePlan,
  roundedIn,
  takeOverridden,
  type Plan,
  type PlanInput,
  type PlanOptions,
} from '../plan.ts';
import type { Misfits } from '../precision/fits.ts';
import type { QuantizeTask } from '../quantize-task.ts';
import { convertToHalf } from './convert.ts';

/** As `planLevel`, for every level. */
export async function planAnyLevel(
  given: PlanInput,
  scheme: Scheme<LevelId>,
  settings: LevelSettings,
  misfits: Misfits,
  options: PlanOptions = {},
): Promise<Plan> {
  const level = scheme.resolve(settings);
  if (!level.halfActivations || isHalfPrecision(given)) return planLevel(given, scheme, settings, misfits, options);
  const input = takeOverridden(given, level.override);
  const { model } = input;
  const converted = await convertToHalf(input, misfits);
  if (typeof converted === 'string') return refused(input, scheme, converted);
  const layer = createLayer(model.source.name, converted.pieces, model.source);
  const half = preparePlan(await scanModel(layer.source, model.external));
  const isRounded = roundedIn(input, misfits);
  const roundedNames = new Set(input.constants.filter(isRounded).map((constant) => keyOf(keptLine(constant, ''))));
  const plan = planLevel(half, scheme, settings, misfits, {
    ...options,
    before: modelBytes(model),
    rounded: (constant) => constant.tensor.type === FLOAT32 && roundedNames.has(keyOf(keptLine(constant, ''))),
  });
  if (plan.problem) return plan;
  const roundedLines = new Map([...converted.rounded].map((constant) => [keyOf(keptLine(constant, '')), constant]));
  const whyFloat = new Map([...converted.whyFloat].map(([constant, why]) => [keyOf(keptLine(constant, '')), why]));
  const ledger = plan.ledger.map((line): LedgerLine => {
    const constant = roundedLines.get(keyOf(line));
    const isNew = converted.added.get(line.tensor);
    if (isNew !== undefined) return { ...line, from: '', bytesBefore: 0, reason: isNew };
    const why = line.from === line.to ? whyFloat.get(keyOf(line)) : undefined;
    if (why !== undefined) return { ...line, reason: why };
    if (!constant) return line;
    const { from, bytesBefore } = keptLine(constant, '');
    return {
      ...line,
      from,
      bytesBefore,
      reason: line.from === line.to ? 'rounded to fp16, as activations are' : line.reason,
    };
  });
  const below = toSource(layer);
  return {
    ...plan,
    floats: converted.floats,
    ledger,
    pieces: below(plan.pieces),
    data: plan.data && { ...plan.data, pieces: below(plan.data.pieces) },
    changed: ledger.filter(({ from, to }) => from !== to && from !== '').length,
    summary: `${plan.summary} Activations are fp16${converted.kept > 0 ? ` but for ${count(converted.kept, 'node')} that ${converted.kept === 1 ? 'stays' : 'stay'} in float32` : ''}; inputs and outputs stay float32.${converted.whyFloat.size > 0 ? ` ${count(converted.whyFloat.size, 'constant')} ${converted.whyFloat.size === 1 ? 'stays' : 'stay'} float32, as fp16 would change too much.` : ''}`,
  };
}

function keyOf({ tensor, where }: LedgerLine): string {
  return `${where ?? ''}\n${tensor}`;
}

function refused(input: PlanInput, scheme: Scheme<LevelId>, why: string): Plan {
  const { model, constants } = input;
  const name = model.source.name;
  const ledger = constants.map((constant) => keptLine(constant, 'the model cannot be turned to fp16'));
  const bytes = modelBytes(model);
  const weightBytes = ledger.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0);
  return {
    pieces: [{ kind: 'copy', start: 0, end: model.source.size }],
    originPieces: 0,
    data: null,
    bytes,
    weightBytes,
    graphBytes: bytes - weightBytes,
    operators: new Set(),
    ledger,
    storedTwice: [],
    changed: 0,
    summary: `Nothing to write: ${bytesInWords(bytes)} stay as they are.`,
    problem: engineError(
      'nothing-to-quantize',
      `${name} cannot be turned to fp16 for ${scheme.id}: ${why}.`,
      'Use int4, which leaves activations as they are.',
    ),
  };
}

/** Pieces of the converted file as pieces of the model's. */
function toSource(layer: Layer<QuantizeTask>): (pieces: readonly Piece<QuantizeTask>[]) => Piece<QuantizeTask>[] {
  const tasks = new Map<QuantizeTask, QuantizeTask>();
  const lower = (task: QuantizeTask) => {
    const known = tasks.get(task) ?? lowered(task, layer);
    tasks.set(task, known);
    return known;
  };
  return (pieces) =>
    pieces.flatMap((piece): Piece<QuantizeTask>[] => {
      if (piece.kind === 'copy' && piece.location === undefined) return layer.range(piece.start, piece.end);
      return [piece.kind === 'made' ? { ...piece, task: lower(piece.task) } : piece];
    });
}

/** A task of a tensor of the converted file: of the float32 tensor it is rounded from, or of the same at its place in the source. */
function lowered(task: QuantizeTask, layer: Layer<QuantizeTask>): QuantizeTask {
  const { data } = task.tensor;
  const at = (tensor: Partial<Tensor>): QuantizeTask => ({ ...task, tensor: { ...task.tensor, ...tensor } });
  if (data.kind === 'typed') {
    const [piece] = layer.range(data.body, data.end);
    return piece?.kind === 'copy' ? at({ data: { kind: 'typed', body: piece.start, end: piece.end } }) : task;
  }
  if (data.kind !== 'inline') return task;
  const [piece] = layer.range(data.offset, data.offset + data.length);
  switch (piece?.kind) {
    case 'copy':
      return at({ data: { kind: 'inline', offset: piece.start, length: data.length } });
    case 'bytes':
      return at({ data: { kind: 'values', bytes: piece.bytes } });
    case 'made':
      return task.kind === 'to-float16' ? task : { ...task, tensor: piece.task.tensor, rounded: true };
    case undefined:
      return task;
  }
}
