/** Levels whose files would be the same but for their metadata: found by what would be written, before anything is. */
import type { Piece } from '../../onnx/writing/splice.ts';
import type { Plan } from '../plan.ts';
import type { QuantizeTask } from '../quantize-task.ts';

type PlannedFile = Pick<Plan, 'pieces' | 'data' | 'originPieces'>;

/** Whether two plans of one model write the same content. What they say of their origin, at the end of the file, does not count. */
function isSameContent(a: PlannedFile, b: PlannedFile): boolean {
  return samePieces(withoutOrigin(a), withoutOrigin(b)) && samePieces(a.data?.pieces ?? [], b.data?.pieces ?? []);
}

/**
 * For each plan the index of the first one with the same content; null for one that is the first, and for plans that
 * have a problem or could not be made (null).
 */
export function firstWithSameContent(
  plans: readonly ((PlannedFile & Pick<Plan, 'problem'>) | null)[],
): (number | null)[] {
  const firsts: number[] = [];
  return plans.map((plan, at) => {
    if (!plan || plan.problem) return null;
    const same = firsts.find((index) => isSameContent(plans[index]!, plan));
    if (same === undefined) firsts.push(at);
    return same ?? null;
  });
}

const withoutOrigin = ({ pieces, originPieces }: PlannedFile): readonly Piece<QuantizeTask>[] =>
  pieces.slice(0, pieces.length - originPieces);

const samePieces = (a: readonly Piece<QuantizeTask>[], b: readonly Piece<QuantizeTask>[]): boolean =>
  a.length === b.length && a.every((piece, at) => isSamePiece(piece, b[at]!));

function isSamePiece(a: Piece<QuantizeTask>, b: Piece<QuantizeTask>): boolean {
  switch (a.kind) {
    case 'copy':
      return b.kind === 'copy' && a.start === b.start && a.end === b.end && a.location === b.location;
    case 'bytes':
      return (
        b.kind === 'bytes' && a.bytes.length === b.bytes.length && a.bytes.every((byte, at) => byte === b.bytes[at])
      );
    case 'made':
      return b.kind === 'made' && a.part === b.part && a.length === b.length && isSameRecipe(a.task, b.task);
  }
}

/** Tensors are the model's own, or copies of them where the graph was converted first. */
function isSameRecipe({ tensor, ...a }: QuantizeTask, { tensor: other, ...b }: QuantizeTask): boolean {
  return (
    (tensor === other ||
      (tensor.name === other.name && tensor.type === other.type && isEqual(tensor.data, other.data))) &&
    isEqual(a, b)
  );
}

/** Deep equality of plain values; a key that is undefined is as good as none. */
function isEqual(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (a instanceof Uint8Array || b instanceof Uint8Array)
    return (
      a instanceof Uint8Array &&
      b instanceof Uint8Array &&
      a.length === b.length &&
      a.every((byte, at) => byte === b[at])
    );
  const [left, right] = [a, b].map((value) => Object.entries(value).filter(([, field]) => field !== undefined));
  const others = new Map<string, unknown>(right);
  return (
    left!.length === others.size && left!.every(([key, field]) => others.has(key) && isEqual(field, others.get(key)))
  );
}
