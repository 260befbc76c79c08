/**
 * The check of a planned file before any of it is written: its structure is read from the pieces and held against the
 * rules of ONNX. What the model broke before is not held against its copy.
 */
import { fail } from '../contract/errors.ts';
import { outlineModel, readOutline, type GraphOutline, type ModelOutline } from '../onnx/outline.ts';
import { describeViolation, findViolations, type Violation } from '../onnx/structure.ts';
import type { Model } from '../onnx/model.ts';
import type { Plan } from './plan.ts';

/** At most so many violations are told: one mistake makes many. */
const MOST_TOLD = 20;

/**
 * Checks a planned file. It reads no weights; time is linear in the size of the graph.
 * Errors: `internal`, with a line for each violation in the details.
 */
export async function checkPlannedFile(model: Model, { pieces, data }: Pick<Plan, 'pieces' | 'data'>): Promise<void> {
  const [only] = pieces;
  if (
    pieces.length === 1 &&
    only?.kind === 'copy' &&
    only.location === undefined &&
    only.start === 0 &&
    only.end === model.source.size
  )
    return;
  const problems = await findProblems(model, pieces, data);
  if (problems.length === 0) return;
  const told = problems.slice(0, MOST_TOLD);
  fail(
    'internal',
    `Nibble planned a file of ${model.source.name} that is not a valid ONNX model, and did not write it.`,
    'Copy the details into a bug report.',
    [...told, ...(problems.length > told.length ? [`and ${problems.length - told.length} more`] : [])].join('\n'),
  );
}

async function findProblems(model: Model, pieces: Plan['pieces'], data: Plan['data']): Promise<string[]> {
  let planned: ModelOutline;
  try {
    planned = await readOutline(pieces, model);
  } catch (thrown) {
    if (thrown instanceof RangeError) return [`it cannot be read: ${thrown.message}`];
    throw thrown;
  }
  const before = outlineModel(model);
  return [
    ...newViolations(planned, before).map(describeViolation),
    ...contractProblems(planned, before),
    ...placeProblems(planned.graph, data),
  ];
}

function newViolations(planned: ModelOutline, before: ModelOutline): Violation[] {
  const found = findViolations(planned);
  if (found.length === 0) return found;
  const key = ({ rule, name }: Violation) => `${rule} ${name}`;
  const known = new Set(findViolations(before).map(key));
  return found.filter((violation) => !known.has(key(violation)));
}

/** What callers and runtimes rely on: inputs that must be given, outputs, operator sets, and an IR version that does not sink. */
function contractProblems(planned: ModelOutline, before: ModelOutline): string[] {
  const problems: string[] = [];
  const compare = (what: string, now: readonly string[], then: readonly string[]) => {
    if (now.length !== then.length || now.some((name, i) => name !== then[i]))
      problems.push(`its ${what} are [${now.join(', ')}] and were [${then.join(', ')}]`);
  };
  compare('required inputs', requiredInputs(planned.graph), requiredInputs(before.graph));
  compare('outputs', planned.graph.outputs, before.graph.outputs);
  const versions = new Map(planned.opsets.map(({ domain, version }) => [domain, version]));
  for (const { domain, version } of before.opsets) {
    if (versions.get(domain) !== version)
      problems.push(
        `it imports version ${versions.get(domain) ?? 'none'} of the operator set "${domain}", the model version ${version}`,
      );
  }
  if (planned.irVersion < before.irVersion)
    problems.push(`it is of IR version ${planned.irVersion}, the model of ${before.irVersion}`);
  return problems;
}

function requiredInputs({ inputs, initializers, sparse }: GraphOutline): string[] {
  const defaults = new Set([...initializers.map(({ name }) => name), ...sparse]);
  return inputs.filter((name) => !defaults.has(name));
}

/** Nothing refers to another file than the one that is written beside the model, or to a place behind its end. */
function placeProblems({ initializers, nodes }: GraphOutline, data: Plan['data']): string[] {
  return [
    ...[...initializers, ...nodes.flatMap(({ tensors }) => tensors)].flatMap(({ name, place }) => {
      if (!place) return [];
      const { location, offset, length } = place;
      if (location !== data?.file) return [`the tensor "${name}" lies in "${location}", which is not written`];
      return offset + (length ?? 0) > data.bytes
        ? [`the tensor "${name}" ends at byte ${offset + (length ?? 0)} of a data file of ${data.bytes}`]
        : [];
    }),
    ...nodes.flatMap(({ bodies }) => bodies.flatMap(({ graph }) => placeProblems(graph, data))),
  ];
}
