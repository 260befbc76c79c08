/**
 * Decides what becomes of every weight at one level, and why, before any of them is read: the edits that make the new
 * file, its exact size, and a ledger with one line for each initializer and each `Constant` node.
 */
import { bytesInWords } from '../lib/bytes-in-words.ts';
import { engineError } from '../contract/errors.ts';
import type { EngineError } from '../contract/errors.ts';
import type { LedgerLine, PatternUse, StoredTwice } from '../contract/level-plan.ts';
import type { LevelId } from '../contract/levels/registry.ts';
import type { Scheme } from '../contract/levels/definition.ts';
import type { LevelSettings } from '../contract/settings.ts';
import { elementCount, elementType, FLOAT32 } from '../onnx/numbers/element-types.ts';
import type { Model, Node, Tensor } from '../onnx/model.ts';
import { piecesLength, splice, type Edit, type Piece } from '../onnx/writing/splice.ts';
import { dataFileName, fileName, levelSuffix } from '../contract/levels/file-name.ts';
import { overridden, type Override, type ResolvedLevel } from '../contract/levels/scheme.ts';
import { createActivations } from './activations.ts';
import { createDraft, tensorBytes, type Draft } from './draft.ts';
import { findInCall, functionKey, type Functions } from './families/call.ts';
import type { Candidate, Skipped, Rewrite } from './families/family.ts';
import { familyOf, isQuantizedOperator, OPERATORS_WITH_WEIGHTS } from './families/registry.ts';
import { createDataFile, placeKept, SINGLE_FILE_LIMIT, type DataFile } from './data-file.ts';
import * as float16 from './precision/float16.ts';
import { findOutputProjections } from './output-projections.ts';
import { raiseIrVersion } from './ir-version.ts';
import { describeOrigin, metadataEdits, type MetadataEntry } from './metadata.ts';
import {
  changedLine,
  count,
  droppedLine,
  extraLine,
  keptLine,
  millions,
  sparseLines,
  whatStayed,
  whyNotCovered,
} from './ledger.ts';
import type { QuantizeTask } from './quantize-task.ts';
import type { Constant } from '../onnx/graph/scopes.ts';
import { findScopes, isNodeKnown, type Scope } from '../onnx/graph/scopes.ts';
import { matchesPattern } from './pattern.ts';
import type { Misfits } from './precision/fits.ts';
import { traceFlow, type Flow } from './precision/flow.ts';
import { whyNoWeight } from './precision/weights.ts';
import { describePattern, isNamed, patternUses } from './patterns.ts';
import { createStore, type LedgerNote } from './store.ts';
import { findStoredTwice } from './sizes/stored-twice.ts';
import { shown, shownSentence } from '../lib/shown.ts';

/** What is written for one level. */
export interface Plan {
  pieces: Piece<QuantizeTask>[];
  /** How many pieces at the end are metadata about the origin. */
  originPieces: number;
  /** The data file, for weights that do not fit in the model's file. */
  data: { file: string; pieces: Piece<QuantizeTask>[]; bytes: number } | null;
  /** Bytes of the model and its data file together. */
  bytes: number;
  /** The sum of the ledger's bytes. */
  weightBytes: number;
  /** All other bytes that are written. */
  graphBytes: number;
  /** What new nodes are, with the domain in front where there is one. */
  operators: ReadonlySet<string>;
  ledger: LedgerLine[];
  /** Constants that the file holds in more than one form. */
  storedTwice: StoredTwice[];
  /** Of levels with fp16 activations: values of the main graph that stay in float32 all the same. */
  floats?: ReadonlySet<string>;
  /** What the level's patterns apply to; absent where it has none. */
  patterns?: PatternUse[];
  /** How many constants change. */
  changed: number;
  summary: string;
  /** Why this level cannot be made; null when it can. */
  problem: EngineError | null;
}

/** A scanned model and what planning needs to know about it, computed once for all levels. */
export interface PlanInput {
  model: Model;
  /** The main graph first. */
  scopes: Scope[];
  /** Every initializer and `Constant` node of all scopes. */
  constants: Constant[];
  candidates: Candidate[];
  skipped: Skipped[];
  /** Output projections. */
  heads: ReadonlySet<Node>;
  flow: Flow;
  /** float32 constants that are no weights, and why. */
  noWeights: float16.NoWeights;
}

/**
 * Prepares a scanned model for planning.
 * @param taken Names of overridable initializers that are treated as weights like any other.
 * Errors: `onnx-invalid`, as `findScopes`.
 */
export function preparePlan(model: Model, taken: ReadonlySet<string> = new Set()): PlanInput {
  const scopes = findScopes(model, (name) => taken.has(name));
  const [root] = scopes;
  const functionScopes = scopes.filter(({ kind, parent }) => kind === 'function' && !parent);
  const overloads = new Map<string, number>();
  for (const { domain, name } of model.functions)
    overloads.set(functionKey(domain, name), (overloads.get(functionKey(domain, name)) ?? 0) + 1);
  const functions: Functions = new Map(
    model.functions.flatMap(({ domain, name, inputs }, i) => {
      const scope = functionScopes[i];
      const key = functionKey(domain, name);
      // Overloads have one name; which of them a call means is not known here.
      return scope && overloads.get(key) === 1 ? [[key, { inputs, scope }] as const] : [];
    }),
  );
  const found = scopes.flatMap((scope) =>
    scope.nodes.flatMap((node) =>
      functions.has(functionKey(node.domain, node.type))
        ? findInCall(node, scope, functions)
        : isNodeKnown(node, scope)
          ? (familyOf(node)?.find(node, scope) ?? [])
          : [],
    ),
  );
  const constants = scopes.flatMap((scope) => [...scope.constants.values()]);
  const flow = traceFlow(model, scopes);
  const noWeights = new Map(
    constants.flatMap((constant) => {
      const no = float16.whyNotStored(constant) === null ? whyNoWeight(constant, flow) : null;
      return no ? [[constant, no] as const] : [];
    }),
  );
  return {
    model,
    scopes,
    constants,
    flow,
    noWeights,
    candidates: found.flatMap((one) => (one.kind === 'candidate' ? [one] : [])),
    skipped: found.flatMap((one) => (one.kind === 'left' ? [one] : [])),
    heads: root ? findOutputProjections(root) : new Set(),
  };
}

/**
 * What a level plans on: `override` takes in initializers by their names that callers could override until then. A
 * pattern of nothing but wildcards names none.
 */
export function takeOverridden(input: PlanInput, override: readonly Override[]): PlanInput {
  const patterns = override.map(({ name }) => name).filter((name) => /[^*?]/.test(name));
  const taken = input.constants.filter(
    ({ name, overridable }) => overridable && patterns.some((pattern) => matchesPattern(pattern, name)),
  );
  return taken.every(({ doubt }) => doubt === null)
    ? input
    : preparePlan(input.model, new Set(taken.map(({ name }) => name)));
}

/**
 * A level is made of the weights it is compared with, those of the fp16 baseline, so that its drift is quantization and
 * nothing else; the setting `source: 'original'` takes the model's own float32 weights instead.
 *
 * A model of more than `limit` bytes keeps its larger weights in a second file.
 *
 * @param misfits float32 tensors that fp16 does not hold (see precision/fits.ts).
 */
export function planLevel(
  given: PlanInput,
  scheme: Scheme<LevelId>,
  settings: LevelSettings,
  misfits: Misfits,
  { fingerprint, limit = SINGLE_FILE_LIMIT, before = modelBytes(given.model), rounded }: PlanOptions = {},
): Plan {
  const level = scheme.resolve(settings);
  const input = takeOverridden(given, level.override);
  const metadata = fingerprint === undefined ? [] : describeOrigin({ id: scheme.id, settings }, fingerprint);
  const planWith = (data: DataFile | null): Plan => {
    if (!level.baseline)
      return planQuantized(input, scheme, level, rounded ?? roundedIn(input, misfits), {
        data,
        metadata,
        operators: new Set(),
        types: new Set(),
        before,
      });
    const { edits, ledger, summary } = float16.planFloat16(
      input.scopes,
      input.constants,
      input.noWeights,
      misfits,
      data,
    );
    return finish(input, edits, ledger, summary, null, {
      data,
      metadata,
      operators: new Set(['Cast']),
      types: new Set(),
      before,
    });
  };
  const whole = planWith(null);
  return whole.bytes <= limit
    ? whole
    : planWith(
        createDataFile(dataFileName(fileName(input.model.source.name, levelSuffix({ id: scheme.id, settings })))),
      );
}

/** Options of `planLevel`. */
export interface PlanOptions {
  /** Of the model's content (hash.ts), for the metadata; nothing is said of the origin when absent. */
  fingerprint?: string;
  /** Bytes one file may have. */
  limit?: number;
  /** Bytes the model had, where it is not the one that is planned on. */
  before?: number;
  /** What the baseline rounds, where it is not that of the model that is planned on. */
  rounded?: (constant: Constant) => boolean;
}

interface Output {
  data: DataFile | null;
  metadata: readonly MetadataEntry[];
  operators: ReadonlySet<string>;
  /** Element types of new tensors. */ types: ReadonlySet<number>;
  /** Bytes of the model. */ before: number;
}

/** Whether a model is its own fp16 baseline. */
export function isHalfPrecision({ constants }: PlanInput): boolean {
  return float16.isHalfPrecision(constants);
}

/** float32 weights the fp16 baseline rounds, as far as fp16 can hold them; none when the model is its own baseline. */
function roundedTensors({ constants, noWeights }: PlanInput): Tensor[] {
  return float16.roundedConstants(constants, noWeights).map(({ tensor }) => tensor);
}

/** Larger constants are not read while planning. They are judged before (`judgedTensors`). */
export const MOST_READ = 256;

/** float32 tensors to find misfits among: weights of the baseline, and what else q4f16 may round. */
export function judgedTensors(input: PlanInput): Tensor[] {
  const weights = new Set(roundedTensors(input));
  return isHalfPrecision(input)
    ? []
    : input.constants.flatMap(({ tensor, readable, doubt }) => {
        const isLarge = tensor.type === FLOAT32 && readable && doubt === null && elementCount(tensor.dims) > MOST_READ;
        return isLarge || weights.has(tensor) ? [tensor] : [];
      });
}

/** Whether the fp16 baseline of a model rounds a constant. */
export function roundedIn({ constants, noWeights }: PlanInput, misfits: Misfits): (constant: Constant) => boolean {
  const rounded = new Set(float16.roundedConstants(constants, noWeights).filter(({ name }) => !misfits.has(name)));
  return (constant) => rounded.has(constant);
}

function planQuantized(
  input: PlanInput,
  scheme: Scheme<LevelId>,
  level: ResolvedLevel,
  isRounded: (constant: Constant) => boolean,
  output: Output,
): Plan {
  const { model, scopes, constants } = input;
  const draft = createDraft(model, scopes, output.data);
  const store = createStore(draft, (constant) => level.source === 'baseline' && isRounded(constant));
  const activations = createActivations(draft);
  const whyKept = new Map<Constant, string>(input.skipped.map(({ constant, why }) => [constant, why]));

  const patterns = patternUses(input.candidates, level);
  const offers: Rewrite[] = [];
  for (const candidate of tablesFirst(input.candidates)) {
    const named = level.override.find(({ name }) => isNamed(candidate, name));
    const { overridable, doubt } = candidate.seen.constant;
    // Whatever is asked for tables or heads, it is the input that keeps a default as it is.
    const answer =
      (overridable ? doubt : null) ??
      whyAsked(candidate, level, input.heads, named !== undefined) ??
      whyExact(candidate, input, named !== undefined) ??
      candidate.offer(named ? overridden(level, named.to) : level);
    if (typeof answer === 'string') whyKept.set(candidate.seen.constant, answer);
    else offers.push(answer);
  }
  for (const offer of offers) offer.write({ draft, store, activations });
  if (offers.length === 0) {
    const ledger = constants.map((constant) =>
      keptLine(constant, whyKept.get(constant) ?? whyNotCovered(constant, scheme.element)),
    );
    return {
      ...finish(input, [], ledger, 'Nothing to quantize.', whyNothing(input, whyKept), output),
      ...(patterns.length > 0 && { patterns }),
    };
  }
  const { edits, extras } = draft.finish();
  const ledger = [
    ...constants.map((constant) =>
      lineOf(constant, draft, store.told.get(constant) ?? [], whyKept.get(constant), scheme.element),
    ),
    ...extras.map(extraLine),
  ];
  const summary = [summarize(store.told), ...patterns.map(describePattern)].join(' ');
  const finished = finish(
    input,
    edits,
    ledger,
    summary,
    null,
    { ...output, operators: draft.operators, types: draft.types },
    findStoredTwice(constants, draft),
  );
  return { ...finished, ...(patterns.length > 0 && { patterns }) };
}

/** Tables before products: a product that shares a table sees the table's codes. */
function tablesFirst(candidates: readonly Candidate[]): Candidate[] {
  return [...candidates.filter(({ role }) => role !== 'weight'), ...candidates.filter(({ role }) => role === 'weight')];
}

/** Why a person wants a use left as it is, or null. */
function whyAsked(
  candidate: Candidate,
  level: ResolvedLevel,
  heads: ReadonlySet<Node>,
  isOverridden: boolean,
): string | null {
  const { node, role } = candidate;
  if (level.exclude.some((pattern) => isNamed(candidate, pattern))) return 'left as it is, as asked for by name';
  if (isOverridden) return null;
  if (role === 'weight') return heads.has(node) && !level.head ? 'output projection, kept as asked' : null;
  if (level.tables === 'all' || (level.tables === 'tokens' && role === 'tokens')) return null;
  return role === 'tokens'
    ? 'embedding table; the embedding setting quantizes it'
    : 'table looked up by something else than tokens, such as positions: kept exact';
}

/** Angles and positions are spoiled by any rounding; only who names the weight gets them quantized. */
function whyExact({ seen }: Candidate, { noWeights }: PlanInput, isOverridden: boolean): string | null {
  const no = noWeights.get(seen.constant);
  return no?.exact && !isOverridden ? no.why : null;
}

function lineOf(
  constant: Constant,
  draft: Draft,
  told: readonly LedgerNote[],
  why: string | undefined,
  element: string,
): LedgerLine {
  const { name, tensor, scope } = constant;
  if (draft.isDropped(constant)) return droppedLine(constant);
  if (!draft.isReplaced(constant)) return keptLine(constant, why ?? whyNotCovered(constant, element));
  const bytes = tensorBytes(draft.replacementOf(constant).tensors);
  const type = elementType(tensor.type).name;
  const stays = !draft.isDead(scope, name);
  const forms = [...new Set(told.map((form) => form.element))];
  return changedLine(
    constant,
    [...(stays ? [type] : []), ...forms].join(' and '),
    bytes + (stays ? tensor.bytes : 0),
    `${[...new Set(told.map(({ reason }) => reason))].join('; ')}${stays ? `; stored twice, because ${whyStays(draft, constant, why)}` : ''}`,
  );
}

function whyStays(draft: Draft, { name, tensor, scope }: Constant, why: string | undefined): string {
  const users = [...new Set(draft.liveUses(scope, name).map(({ type }) => type))];
  const type = elementType(tensor.type).name;
  const use =
    users.length > 0 ? `${users.join(', ')} still needs it as ${type}` : `the graph still needs it as ${type}`;
  return why ? `${use} (${why})` : use;
}

/**
 * One clause for each form weights took: `3 weights with 1.2 M parameters become int4, 4 bits in blocks of 32,
 * symmetric`.
 */
function summarize(told: ReadonlyMap<Constant, LedgerNote[]>): string {
  const groups = new Map<string, { element: string; tensors: number; parameters: number }>();
  for (const [{ tensor }, forms] of told) {
    for (const { element, form } of forms) {
      const entry = groups.get(form) ?? { element, tensors: 0, parameters: 0 };
      groups.set(form, {
        element,
        tensors: entry.tensors + 1,
        parameters: entry.parameters + elementCount(tensor.dims),
      });
    }
  }
  const clauses = [...groups].map(
    ([form, { element, tensors, parameters }]) =>
      `${count(tensors, 'weight')} with ${millions(parameters)} parameters ${tensors === 1 ? 'becomes' : 'become'} ${element}, ${form}`,
  );
  return `${clauses.join('; ')}.`;
}

function whyNothing({ model, scopes }: PlanInput, whyKept: ReadonlyMap<Constant, string>): EngineError {
  const name = shown(model.source.name);
  const quantized = [
    ...new Set(
      scopes
        .flatMap(({ nodes }) => nodes)
        .filter(isQuantizedOperator)
        .map(({ type }) => type),
    ),
  ];
  if (quantized.length > 0) {
    return engineError(
      'already-quantized',
      `${name} is quantized already (it uses ${quantized.join(', ')}).`,
      'Use the float16 or float32 model it was made from.',
    );
  }
  const reasons = [...new Set(whyKept.values())];
  const [reason, ...more] = reasons;
  if (reason !== undefined) {
    return engineError(
      'nothing-to-quantize',
      `No weight of ${name} can be quantized with these settings: ${reason}${more.length > 0 ? `, and ${count(more.length, 'other reason')}` : ''}.`,
      'Try other settings or another level.',
      reasons.join('\n'),
    );
  }
  return engineError(
    'nothing-to-quantize',
    `${name} has no weight that can be quantized: no constant float16 or float32 weight of ${OPERATORS_WITH_WEIGHTS.slice(0, -1).join(', ')} or ${OPERATORS_WITH_WEIGHTS.at(-1) ?? ''}.`,
    'Use a model with weights of its own; what is computed while running has none.',
  );
}

function finish(
  input: PlanInput,
  edits: Edit<QuantizeTask>[],
  lines: LedgerLine[],
  summary: string,
  problem: EngineError | null,
  { data, metadata, operators, types, before }: Output,
  storedTwice: StoredTwice[] = [],
): Plan {
  const { model, scopes } = input;
  const changed = lines.filter((line) => line.from !== line.to && line.from !== '').length;
  const originPieces = changed > 0 ? metadata.length : 0;
  const pieces = splice(model.source.size, [
    ...edits,
    ...placeKept(model, edits, data),
    ...(changed > 0 ? [...raiseIrVersion(model, scopes, edits, types), ...metadataEdits(model, metadata)] : []),
  ]);
  const bytes = piecesLength(pieces) + (data?.bytes() ?? 0);
  const ledger = [
    ...lines,
    ...scopes.flatMap((scope) => [
      ...scope.shadowed.map((constant) =>
        keptLine(constant, 'another tensor of the same name comes after it, which is the one that counts'),
      ),
      ...sparseLines(scope),
    ]),
  ].map((line) => ({ ...line, reason: shownSentence(line.reason) }));
  const weightBytes = ledger.reduce((sum, line) => sum + line.bytesAfter, 0);
  return {
    pieces,
    originPieces,
    ledger,
    bytes,
    weightBytes,
    problem,
    changed,
    operators,
    storedTwice,
    data: data && { file: data.file, pieces: data.pieces, bytes: data.bytes() },
    graphBytes: bytes - weightBytes,
    summary: shownSentence(problem ? summary : `${summary}${sizeRemark(bytes, before, roundedTensors(input), ledger)}`),
  };
}

/** Bytes of the model's file and its external data. */
export function modelBytes({ source, external }: Model): number {
  return [...new Set(external.values())].reduce((sum, { size }) => sum + size, source.size);
}

/** A file that hardly got smaller, or is larger than the fp16 baseline, says why. */
function sizeRemark(bytes: number, before: number, rounded: readonly Tensor[], ledger: readonly LedgerLine[]): string {
  const names = new Set(rounded.map(({ name }) => name));
  const wide = ledger.filter(
    ({ tensor, from, to }) => from === 'float32' && /^float32( |$)/.test(to) && names.has(tensor),
  );
  const stays = wide.reduce((all, { bytesBefore }) => all + bytesBefore, 0);
  const more = bytes - (before - sum(rounded) / 2);
  if (more > 0 && stays / 2 >= more) {
    const [largest] = wide.toSorted((a, b) => b.bytesBefore - a.bytesBefore);
    // Of a weight that is stored twice, why its first form stays.
    const why = largest?.reason.split('; stored twice, because ').at(-1) ?? '';
    return ` Larger than fp16: ${bytesInWords(stays)} not quantized (${why}).`;
  }
  if (bytes < before * 0.9 || ledger.every(({ from, to }) => from === to)) return '';
  const stayed = whatStayed(ledger, bytes);
  return ` ${bytes < before ? `Only ${((1 - bytes / before) * 100).toFixed(0)} % smaller` : 'Not smaller'} than the original: ${stayed ?? 'most of the file is not weights but the graph'}.`;
}

const sum = (tensors: readonly Tensor[]): number => tensors.reduce((all, { bytes }) => all + bytes, 0);
