/** The dropped files, and the model, tokenizer and text the engine finds in them. */
import type { EngineErrorCode } from '../../../workers/contract/errors.ts';
import type { Opened } from '../../../workers/contract/files.ts';
import { baseName } from '../../lib/path.ts';
import { gatherUnknown, merge, modelChoices, pair, undecided, usable, type Kept } from '../files.ts';
import { isActive } from '../run.ts';
import type { FilesSlice } from '../state.ts';
import type { SliceContext } from './context.ts';
import type { Notify } from './notices.ts';

interface Others {
  notify: Notify;
  /** Another model is about to be opened. */
  modelChanged(): void;
  /** What is open has changed. */
  planSoon(): void;
  calibrate(): Promise<void>;
  /** Files were added: some may be those that were asked for after a reload. */
  recognize(files: readonly File[]): Promise<void>;
}

/** Problems that the page shows in a place of their own. */
const SHOWN_ELSEWHERE: readonly EngineErrorCode[] = [
  'several-models',
  'no-model',
  'no-tokenizer',
  'no-text',
  'not-a-language-model',
  'file-unknown',
];

/** @returns The slice, and what the other slices do with files. */
export function createFilesSlice(
  { set, get, dependencies: { engine, origin, fetchSample } }: SliceContext,
  { notify, modelChanged, planSoon, calibrate, recognize }: Others,
) {
  /** Files wait for each other, and for a run: the engine does one thing at a time. */
  let opening: Promise<void> = Promise.resolve();
  let afterRun: File[] = [];
  /** Files fetched as the sample, which can be fetched again. */
  const fromSample = new Set<File>();

  /** Opens `files` in place of what is open. */
  const openAll = async (kept: readonly Kept[]): Promise<void> => {
    const files = kept.map(({ file }) => file);
    const result = await engine.open(files);
    if (!result.ok) {
      notify(result.error);
      return;
    }
    const opened = result.value;
    const paired = pair(files, opened);
    const choices = modelChoices(files, opened);
    if (choices.length > 0) {
      // Everything stays until then: which file belongs to which model is known only once one is chosen.
      set({
        files: paired,
        opened: undecided(opened),
        choices,
        offers: new Map(),
        measurement: null,
        plans: new Map(),
      });
      planSoon();
      return;
    }
    const usableFiles = paired.filter((_, index) => {
      const file = opened.files[index];
      return file !== undefined && usable(file, opened) && !(opened.model && file.kind === 'unknown' && file.problem);
    });
    // A drop that only failed leaves what was open open.
    const waits = (opened.missing ?? []).length > 0;
    const keepsOld = opened.model === null && !waits && (get().opened?.model != null || get().choices.length > 0);
    const before = get().opened?.model;
    const sameModel = before?.name === opened.model?.name && before?.bytes === opened.model?.bytes;
    if (!keepsOld) {
      if (!sameModel) modelChanged();
      set({
        files: usableFiles,
        opened: usableFiles.length > 0 ? opened : null,
        choices: [],
        offers: new Map(),
        // What was wrong with the plan was about the files of before: levels wait for a new one.
        planProblem: null,
        ...(sameModel ? {} : { measurement: null, plans: new Map() }),
      });
    }
    report(opened, keepsOld);
    planSoon();
    if (!keepsOld) void calibrate();
  };

  /** Shows what is wrong with files, except what the page shows in a place of its own. */
  const report = (opened: Opened, refused: boolean) => {
    const elsewhere = new Set([...SHOWN_ELSEWHERE, ...(refused ? [] : (['onnx-external-data'] as const))]);
    const errors = [...opened.problems, ...opened.files.flatMap(({ problem }) => (problem ? [problem] : []))].filter(
      ({ code }) => !elsewhere.has(code),
    );
    errors.forEach(notify);
    const unknown = gatherUnknown(opened.files);
    if (unknown) notify(unknown);
  };

  const addNow = async (added: readonly File[]): Promise<void> => {
    const present = get().files;
    set({ openingSince: origin.now(), notices: [] });
    try {
      if (present.length === 0) {
        await openAll(added.map((file) => ({ file, kind: 'unknown' })));
        return;
      }
      // What the new files are is only known from their content, and it decides which old ones they replace.
      const alone = await engine.open([...added]);
      if (!alone.ok) {
        notify(alone.error);
        return;
      }
      const { value } = alone;
      const choices = modelChoices(added, value);
      if (choices.length > 0) {
        await openAll(
          merge(
            present.filter(({ kind }) => kind === 'text'),
            pair(added, value),
          ),
        );
        return;
      }
      const fit = pair(added, value).filter((_, index) => {
        const file = value.files[index];
        return file !== undefined && usable(file, value);
      });
      const refused = value.files.filter((file) => !usable(file, value));
      report(
        { ...value, problems: refused.some(({ kind }) => kind === 'onnx') ? value.problems : [], files: refused },
        true,
      );
      if (fit.length > 0) await openAll(merge(present, fit));
    } finally {
      set({ openingSince: null });
    }
  };

  const slice: FilesSlice = {
    files: [],
    opened: null,
    openingSince: null,
    choices: [],
    download: null,

    addFiles(files) {
      if (files.length === 0) return opening;
      if (isActive(get().run)) {
        afterRun = [...afterRun, ...files];
        return opening;
      }
      opening = opening.then(async () => {
        await addNow(files);
        await recognize(files);
      });
      return opening;
    },

    fillMissing(location, file) {
      const named = new File([file], baseName(location), { type: file.type, lastModified: file.lastModified });
      return get().addFiles([Object.assign(named, { path: location })]);
    },

    chooseModel(index) {
      const { files, choices } = get();
      if (!choices.some((choice) => choice.index === index)) return opening;
      const chosen = files.filter(({ kind }, at) => kind !== 'onnx' || at === index);
      opening = opening.then(async () => {
        set({ openingSince: origin.now() });
        await openAll(chosen);
        set({ openingSince: null });
      });
      return opening;
    },

    async loadSample() {
      if (get().download) return;
      const since = origin.now();
      set({ download: { done: 0, total: null, since } });
      const fetched = await fetchSample((done, total) => {
        set({ download: { done, total, since } });
      });
      set({ download: null });
      if (fetched.ok) {
        for (const file of fetched.value) fromSample.add(file);
        await get().addFiles(fetched.value);
      } else notify(fetched.error);
    },
  };

  return {
    slice,
    fromSample: fromSample as ReadonlySet<File>,
    /** Adds what was dropped during the run that has ended. */
    async addWaiting(): Promise<void> {
      const waiting = afterRun;
      afterRun = [];
      if (waiting.length > 0) await get().addFiles(waiting);
    },
  };
}
