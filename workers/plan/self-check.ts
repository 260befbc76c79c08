/**
 * The check of a planned file before any of it is written: its structure is scanned, as that of an opened file is, and
 * checked against the rules of ONNX. Rules that the model itself breaks are not checked.
 */
import { fail, failure, settle } from '../contract/errors.ts';
import { describeViolation, findViolations, type Violation } from '../onnx/structure.ts';
import type { Graph, Model, ValueInfo } from '../onnx/model.ts';
import { scanModel } from '../onnx/scan.ts';
import { createLayer } from '../onnx/writing/layers.ts';
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
  const scanned = await settle(() => scanModel(createLayer(model.source.name, pieces, model.source).source));
  if (!scanned.ok) {
    const { code, message, details } = scanned.error;
    if (!code.startsWith('onnx-')) throw failure(scanned.error);
    return [`it cannot be read: ${message} ${details}`.trimEnd()];
  }
  const planned = scanned.value;
  return [
    ...newViolations(planned, model).map(describeViolation),
    ...contractProblems(planned, model),
    ...placeProblems(planned, data),
  ];
}

function newViolations(planned: Model, before: Model): Violation[] {
  const found = findViolations(planned);
  if (found.length === 0) return found;
  const key = ({ rule, name }: Violation) => `${rule} ${name}`;
  const known = new Set(findViolations(before).map(key));
  return found.filter((violation) => !known.has(key(violation)));
}

/** What callers and runtimes rely on: inputs that must be given, outputs, operator sets, and an IR version that does not sink. */
function contractProblems(planned: Model, before: Model): string[] {
  const problems: string[] = [];
  const compare = (what: string, now: readonly string[], then: readonly string[]) => {
    if (now.length !== then.length || now.some((name, i) => name !== then[i]))
      problems.push(`its ${what} are [${now.join(', ')}] and were [${then.join(', ')}]`);
  };
  compare('required inputs', requiredInputs(planned.graph), requiredInputs(before.graph));
  compare('outputs', namesOf(planned.graph.outputs), namesOf(before.graph.outputs));
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

function requiredInputs({ inputs, initializers, sparseInitializers }: Graph): string[] {
  const defaults = new Set([...initializers, ...sparseInitializers].map(({ name }) => name));
  return namesOf(inputs).filter((name) => !defaults.has(name));
}

function namesOf(values: readonly ValueInfo[]): string[] {
  return values.map(({ proto }) => proto.name);
}

/** Tensors that lie in another file than the one that is written beside the model, or behind its end. */
function placeProblems({ externalTensors: outside }: Model, data: Plan['data']): string[] {
  return outside.flatMap(({ name, data: { location, offset, length } }) => {
    if (location !== data?.file) return [`the tensor "${name}" lies in "${location}", which is not written`];
    const end = offset + (length ?? 0);
    return end > data.bytes ? [`the tensor "${name}" ends at byte ${end} of a data file of ${data.bytes}`] : [];
  });
}
