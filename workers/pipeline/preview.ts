/** What the page shows before a job runs: what the dropped files are, and what each level would write. No weights are read. */
import type { ModelFiles, Opened } from '../contract/files.ts';
import { inOneFile } from '../onnx/model-files.ts';
import { engineError, settle, toEngineError, type EngineError } from '../contract/errors.ts';
import type { LevelRequest } from '../contract/job.ts';
import { fileName, levelSuffix } from '../contract/levels/file-name.ts';
import { SCHEMES } from '../contract/levels/registry.ts';
import type { LevelPlan } from '../contract/level-plan.ts';
import { openTokenizer } from '../evaluate/text/tokenizer/tokenizer.ts';
import { classifyFiles } from '../io/classify-files.ts';
import { readText } from '../io/read-text.ts';
import { asSingleFile } from '../io/single-file.ts';
import { shown } from '../lib/shown.ts';
import { planAnyLevel } from '../plan/half/plan-half.ts';
import { NO_MISFITS } from '../plan/precision/fits.ts';
import { baselineBytes, compareSizes } from '../plan/sizes/compare-plans.ts';
import { firstWithSameContent } from '../plan/sizes/same-content.ts';
import { unsupportedTargets } from '../plan/targets.ts';
import { openModel } from './stages/open.ts';
import { summarizeModel } from './summarize-model.ts';

/** Placeholder with the length of a real fingerprint, which is known only after the model has been read; planned sizes stay exact. */
const SOME_FINGERPRINT = '0'.repeat(64);

/** Looks at dropped files without loading weights. */
export async function open(files: readonly File[]): Promise<Opened> {
  const sorted = await classifyFiles(files);
  const opened: Opened = {
    files: sorted.files,
    model: null,
    tokenizer: null,
    text: null,
    problems: sorted.files.flatMap(({ problem }) => problem ?? []),
  };
  const note = (thrown: unknown) => {
    opened.problems.push(toEngineError(thrown));
  };
  if (sorted.model) {
    try {
      const { input, missing } = openModel(sorted);
      if (missing) opened.problems.push(missing);
      else opened.model = summarizeModel(input);
    } catch (thrown) {
      note(thrown);
    }
    if (sorted.data.missing.length > 0) opened.missing = sorted.data.missing;
  }
  const tokenizer = sorted.tokenizer ? await openTokenizer(sorted.tokenizer.json, sorted.tokenizerConfig) : null;
  if (tokenizer?.ok === false) opened.problems.push(tokenizer.error);
  if (tokenizer?.ok && sorted.tokenizer) {
    const { vocabulary, addsBos } = tokenizer.value;
    opened.tokenizer = { name: sorted.tokenizer.file.name, vocabulary, addsBos };
  }
  let ids: Int32Array | null = null;
  if (sorted.text) {
    const { text, note: howRead } = await readText(sorted.text);
    ids = tokenizer?.ok ? tokenizer.value.encode(text) : null;
    opened.text = {
      name: sorted.text.name,
      bytes: sorted.text.size,
      tokens: ids && ids.length + Number(tokenizer?.ok && tokenizer.value.addsBos),
      ...(howRead !== null && { note: howRead }),
    };
  }
  const known = opened.model?.languageModel?.vocabulary;
  if (opened.tokenizer && known && !tokenizerFits(opened.tokenizer.vocabulary, ids, known))
    opened.problems.push(mismatch(opened.tokenizer.name, opened.tokenizer.vocabulary, known));
  return opened;
}

/** Models of more bytes than this are not loaded for a prediction. */
const LARGEST_CALIBRATED = 300e6;

/** The model among dropped files, in one piece; null where there is none that can be run as a trial. */
export async function modelToCalibrate(files: readonly File[]): Promise<ModelFiles | null> {
  const { model, scanned, data } = await classifyFiles(files);
  if (!model || !scanned?.ok || data.missing.length > 0) return null;
  const whole = asSingleFile(scanned.value, model, data.files);
  return whole && whole.size <= LARGEST_CALIBRATED ? inOneFile(whole) : null;
}

/** What each level would write, exact to the byte but for weights that turn out not to fit fp16. */
export async function plan(
  files: readonly File[],
  levels: readonly LevelRequest[],
  variants: readonly LevelRequest[] = [],
): Promise<LevelPlan[]> {
  const { input, missing } = openModel(await classifyFiles(files));
  const options = { fingerprint: SOME_FINGERPRINT };
  const baseline = await baselineBytes(input, NO_MISFITS, options);
  const asked = [...levels, ...variants];
  const attempts = await Promise.all(
    asked.map(({ id, settings }) => settle(() => planAnyLevel(input, SCHEMES[id], settings, NO_MISFITS, options))),
  );
  const firsts = firstWithSameContent(
    attempts.slice(0, levels.length).map((attempt) => (attempt.ok ? attempt.value : null)),
  );
  return Promise.all(
    asked.map(async ({ key, id, settings }, at): Promise<LevelPlan> => {
      const attempt = attempts[at]!;
      if (!attempt.ok)
        return {
          key,
          bytes: 0,
          weightBytes: 0,
          quantizedTensors: 0,
          summary: '',
          ledger: [],
          notOn: [],
          problem: attempt.error,
        };
      const planned = attempt.value;
      const first = asked[firsts[at] ?? -1];
      const { bytes, data, weightBytes, graphBytes, changed, summary, patterns, ledger, problem } = planned;
      return {
        key,
        file: fileName(input.model.source.name, levelSuffix({ id, settings })),
        bytes,
        ...(data && { data: { file: data.file, bytes: data.bytes } }),
        weightBytes,
        graphBytes,
        quantizedTensors: changed,
        summary,
        ...(patterns && { patterns }),
        ledger: at < levels.length ? ledger : [],
        notOn: problem ? [] : unsupportedTargets(planned),
        problem: missing ?? problem,
        ...(first && { sameFileAs: first.key }),
        ...(at < levels.length &&
          (await compareSizes(input, { id, settings }, planned, baseline, NO_MISFITS, options))),
      };
    }),
  );
}

/** With a text, whether the model knows every token in it; without one, whether sizes are about equal: a few added tokens may never occur. */
function tokenizerFits(vocabulary: number, ids: Int32Array | null, known: number): boolean {
  return ids ? ids.every((id) => id < known) : vocabulary <= known * 1.1;
}

function mismatch(name: string, vocabulary: number, expected: number): EngineError {
  return engineError(
    'tokenizer-mismatch',
    `${shown(name)} has ${vocabulary.toLocaleString('en')} tokens, the model knows ${expected.toLocaleString('en')}: they do not belong together.`,
    'Use the tokenizer.json that came with this model.',
  );
}
