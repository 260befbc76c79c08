/**
 * Everything the page knows and does, outside React: files, levels, plans, runs. Talks to the engine through its
 * client and holds handles and numbers, never weights.
 */
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Capabilities, Provider } from '../../workers/contract/capabilities.ts';
import type { EngineError, Result } from '../../workers/contract/errors.ts';
import type { EngineEvent } from '../../workers/contract/events.ts';
import type { Extras, ProtocolRequest } from '../../workers/contract/job.ts';
import type { FileKind, Opened } from '../../workers/contract/files.ts';
import type { LevelId } from '../../workers/contract/levels/registry.ts';
import { levelName } from '../../workers/contract/levels/words.ts';
import type { LevelSettings } from '../../workers/contract/settings.ts';
import type { LevelPlan, Target } from '../../workers/contract/level-plan.ts';
import type { OpenedReport, Storage, StoredReport } from '../../workers/contract/storage.ts';
import type { EngineClient, StorageClient } from '../engine/client.ts';
import { baseName } from '../lib/path.ts';
import type { Folders } from '../features/folder/picker.ts';
import { DEFAULT_PROTOCOL } from '../features/protocols/protocols.ts';
import { forecast, samplesOf } from './forecast/forecast.ts';
import type { PaceStore } from './forecast/pace-store.ts';
import { isKnown, learn, type Paces } from './forecast/paces.ts';
import { shapeOf } from './forecast/run-shape.ts';
import { FLOAT32, stepsOf } from './forecast/steps.ts';
import { DEFAULT_TOKENS, spreadOf, tokensRun } from './amount.ts';
import { betterDefault } from '../features/levels/advice.ts';
import { createBatch } from './batch.ts';
import { gatherUnknown, merge, modelChoices, pair, undecided, usable, type Choice, type Kept } from './files.ts';
import {
  addLevel,
  defaultLevels,
  duplicateLevel,
  editLevel,
  removeLevel,
  replaceLevel,
  toRequests,
  type Level,
  type Origin,
} from './levels.ts';
import { applyEvent, startLive } from './live.ts';
import { advance } from './progress.ts';
import { hasFindings, isActive, type Run } from './run.ts';
import { isSameFile, type SavedFile, type Session, type Setup } from './session/session.ts';
import { ownResults, storedRun, withoutLostFiles } from './stored-run.ts';
import { defaultTarget, FIRST_TARGET, offered, refusal, unasked, type Offers } from './targets.ts';

export interface Notice {
  id: string;
  error: EngineError;
}

/** A plan and the name of the level it was made for, so that an old plan is not shown as a new one. */
export interface PlanEntry {
  forLevel: string;
  plan: LevelPlan;
}

export interface Download {
  done: number;
  total: number | null;
  since: number;
}

export interface WorkbenchState {
  capabilities: Capabilities | null;
  files: readonly Kept[];
  opened: Opened | null;
  /** Since when files are being opened, milliseconds; null when none are. */
  openingSince: number | null;
  /** Several models came at once; one is to be chosen. */
  choices: readonly Choice[];
  download: Download | null;
  notices: readonly Notice[];
  levels: readonly Level[];
  /** The level removed last, until the levels change in another way, and where it stood. */
  removed: { level: Level; at: number } | null;
  plans: ReadonlyMap<string, PlanEntry>;
  planProblem: EngineError | null;
  /** Where levels are to run. */
  target: Target;
  /** What the engine has said of levels that are set or might be. */
  offers: Offers;
  /** Tokens asked for; null for the whole text. */
  maxTokens: number | null;
  /** How the next run measures perplexity. */
  protocol: ProtocolRequest;
  /** Where the next run runs its models; `faster` tries both for a moment. */
  provider: Provider | 'faster';
  /** What the next run measures beside quantization drift. */
  extras: Required<Extras>;
  /** Tokens of context the key/value cache is predicted for. */
  context: number;
  /** Whether this browser lets a folder be chosen. */
  foldersOffered: boolean;
  /** Where the next run writes its files; null for this browser's storage. */
  folder: FileSystemDirectoryHandle | null;
  /** A comparison that a reload broke off, and what has to be chosen or allowed again before it can go on; null when there is none. */
  interrupted: { model: string; missing: readonly SavedFile[]; locked: number } | null;
  /** The run on show: the one under way, else the last with findings. */
  run: Run | null;
  /** What steps of comparisons took on this machine. */
  paces: Paces;
  /** Standard deviation of a token's log loss, from the last run of this model; null before one. */
  measurement: { spread: number } | null;
  /** Finished reports kept in this browser, the latest first. */
  stored: readonly StoredReport[];
  /** What is kept in all; null until it is known. */
  storage: Storage | null;
  /** Something is being read from storage or deleted there. */
  storageBusy: boolean;

  start(): Promise<void>;
  /** Levels and settings, to be saved. */
  setupNow(): Setup;
  addFiles(files: readonly File[]): Promise<void>;
  /** Takes a file, whatever its name, for the external data the model calls `location`. */
  fillMissing(location: string, file: File): Promise<void>;
  chooseModel(index: number): Promise<void>;
  loadSample(): Promise<void>;
  dismiss(id: string): void;
  addLevel(id: LevelId): void;
  duplicateLevel(uid: string): void;
  editLevel(uid: string, settings: LevelSettings): void;
  removeLevel(uid: string): void;
  /** Puts the level removed last back where it was. */
  undoRemove(): void;
  /** Another level in the place of one. */
  replaceLevel(uid: string, setup: Pick<Level, 'id' | 'settings'>): void;
  setTarget(target: Target): void;
  setMaxTokens(tokens: number | null): void;
  setProtocol(protocol: ProtocolRequest): void;
  setProvider(provider: Provider | 'faster'): void;
  setExtra(name: keyof Extras, on: boolean): void;
  setContext(tokens: number): void;
  /** True when one was chosen. */
  chooseFolder(): Promise<boolean>;
  leaveFolder(): void;
  compare(): Promise<void>;
  /** Asks for a folder and, when one is chosen, compares with files written there. */
  compareIntoFolder(): Promise<void>;
  /** Goes on with the comparison that a reload broke off; what is finished is not made again. */
  continueInterrupted(): Promise<void>;
  dismissInterrupted(): void;
  /** Ends the measurement under way and keeps its figures. */
  finish(): Promise<void>;
  cancel(): Promise<void>;
  /** Shows a stored report as a finished run. */
  openStored(key: string): Promise<void>;
  /** Deletes a stored report and the files that no other report has a part in. */
  removeStored(key: string): Promise<void>;
  removeAllStored(): Promise<void>;
}

export interface Dependencies {
  engine: EngineClient & StorageClient;
  origin: Origin;
  /** Fetches the sample model, its tokenizer and text. */
  fetchSample(onProgress: (done: number, total: number | null) => void): Promise<Result<File[]>>;
  /** Absent where a page cannot ask for folders. */
  folders?: Folders | null;
  /** What survives a reload; nothing when absent. */
  session?: Session | null;
  /** Where paces are remembered; in this tab alone when absent. */
  paceStore?: PaceStore | null;
}

/** Kinds that go along into a Hub folder, where the engine finds the name among those that belong there. */
const COMPANIONS: ReadonlySet<FileKind> = new Set(['tokenizer', 'tokenizer-config', 'model-config', 'unknown']);
const PLAN_AFTER_MS = 150;
const SHOW_EVERY_MS = 100;
/** How often what is left of a run is worked out again, whether something has happened or not. */
const ADVANCE_EVERY_MS = 500;
export const DEFAULT_CONTEXT = 2048;
/** What is saved for a reload as soon as it changes. */
const SAVED = ['levels', 'target', 'maxTokens', 'protocol', 'provider', 'extras', 'context'] as const;

/** What the engine needs of the model, tokenizer and text to measure perplexity. */
export const canMeasure = (opened: Opened | null): boolean =>
  Boolean(opened?.model?.languageModel && opened.tokenizer && opened.text);

/** Tokens in the text; guessed at four bytes a token where they could not be counted. */
export function tokensInText(opened: Opened | null): { tokens: number; counted: boolean } | null {
  if (!opened?.text) return null;
  const { tokens, bytes } = opened.text;
  return tokens === null ? { tokens: Math.max(1, Math.round(bytes / 4)), counted: false } : { tokens, counted: true };
}

const notAllowed = (folder: string): EngineError => ({
  code: 'write-failed',
  message: `This page may not write to the folder ${folder}.`,
  action: 'Press Compare again and allow it, choose another folder, or have files kept in this browser.',
  details: '',
});

export function createWorkbench({
  engine,
  origin,
  fetchSample,
  folders = null,
  session = null,
  paceStore = null,
}: Dependencies): StoreApi<WorkbenchState> {
  const store = createStore<WorkbenchState>()((set, get) => {
    let planTimer: ReturnType<typeof setTimeout> | null = null;
    let planTurn = 0;
    /** Levels nobody has changed, which follow the model; and of these, those that its target would not have otherwise. */
    const untouched = new Set<string>();
    const declined = new Set<string>();
    const isNew = (levels: readonly Level[]): readonly Level[] => {
      for (const { uid } of levels) untouched.add(uid);
      return levels;
    };
    /** Files wait for each other, and for a run: the engine does one thing at a time. */
    let opening: Promise<void> = Promise.resolve();
    let afterRun: File[] = [];
    /** Nobody has chosen a target, and the model just opened may ask for another one than the last. */
    let targetIsOpen = true;
    let targetIsChosen = false;
    /** Files fetched as the sample, which can be fetched again. */
    const fromSample = new Set<File>();
    let locked: FileSystemFileHandle[] = [];

    const setupNow = (): Setup => {
      const { levels, target, maxTokens, protocol, provider, extras, context } = get();
      return { levels, target, targetIsChosen, maxTokens, protocol, provider, extras, context };
    };

    /** Levels and settings of before a reload, and the files of a comparison it broke off. */
    const restore = async () => {
      const setup = session?.setup();
      if (setup) {
        const { targetIsChosen: chosen, ...rest } = setup;
        targetIsChosen = chosen;
        untouched.clear();
        set(rest);
      }
      const found = await session?.find();
      if (!found) return;
      locked = found.locked;
      if (found.folder) set({ folder: found.folder });
      set({ interrupted: { model: found.model, missing: found.missing, locked: locked.length } });
      if (found.sample) await get().loadSample();
      await get().addFiles(found.files);
    };

    /** Takes files that were asked for after a reload off the list, where they are the same. */
    const recognize = async (added: readonly File[]) => {
      for (const wanted of get().interrupted?.missing ?? []) {
        const file = added.find(({ name }) => name === baseName(wanted.path));
        if (!file) continue;
        if (await isSameFile(file, wanted)) {
          set(({ interrupted }) => ({
            interrupted: interrupted && {
              ...interrupted,
              missing: interrupted.missing.filter((entry) => entry !== wanted),
            },
          }));
        } else {
          notify({
            code: 'file-changed',
            message: `${file.name} is not the file that was being compared before the reload.`,
            action: 'Choose that file to continue, or press Compare to compare this one.',
            details: '',
          });
        }
      }
    };

    const notify = (error: EngineError) => {
      if (error.code === 'cancelled') return;
      set(({ notices }) => ({
        notices: [...notices.filter((notice) => notice.error.message !== error.message), { id: origin.uid(), error }],
      }));
    };

    const plan = async () => {
      const turn = ++planTurn;
      const { files, levels, opened, offers } = get();
      if (!opened?.model) {
        set({ plans: new Map(), planProblem: null });
        return;
      }
      const variants = unasked(levels, offers);
      const result = await engine.plan(
        files.map(({ file }) => file),
        toRequests(levels),
        variants.map((level) => ({ ...level, key: `variant ${levelName(level)}` })),
      );
      if (turn !== planTurn) return;
      if (!result.ok) {
        set({ planProblem: result.error });
        return;
      }
      const names = new Map(levels.map((level) => [level.uid, levelName(level)]));
      const known: Offers = new Map([
        ...offers,
        ...[...levels, ...variants].flatMap((level, at) => {
          const entry = result.value[at];
          return entry ? [[levelName(level), { notOn: entry.notOn ?? [], problem: entry.problem }] as const] : [];
        }),
      ]);
      set(({ capabilities, target }) => ({
        planProblem: null,
        plans: new Map(
          result.value
            .slice(0, levels.length)
            .map((entry) => [entry.key, { forLevel: names.get(entry.key) ?? '', plan: entry }]),
        ),
        offers: known,
        target: targetIsOpen ? defaultTarget(capabilities, levels, known) : target,
      }));
      targetIsOpen = false;
      if (applyDefaults()) await plan();
    };
    /**
     * Gives levels nobody has set up the settings that suit the model, as its plan has them.
     * @returns Whether any changed, and has to be planned again.
     */
    const applyDefaults = (): boolean => {
      const { levels, plans, offers, target } = get();
      const changed = levels.map((level): Level => {
        const plan = plans.get(level.uid)?.plan;
        if (!plan || !untouched.has(level.uid)) return level;
        const isPlain = levelName(level) === level.id;
        const better = isPlain && !declined.has(level.uid) ? betterDefault(plan) : null;
        if (better) return { ...level, settings: better };
        if (isPlain || refusal(offers, target, level) === null) return level;
        declined.add(level.uid);
        return { ...level, settings: {} };
      });
      if (changed.every((level, at) => level === levels[at])) return false;
      set({ levels: changed });
      return true;
    };
    const planSoon = () => {
      if (planTimer !== null) clearTimeout(planTimer);
      planTimer = setTimeout(() => {
        planTimer = null;
        void plan();
      }, PLAN_AFTER_MS);
    };
    const changeLevels = (change: (levels: readonly Level[]) => Level[]) => {
      set(({ levels }) => ({ levels: change(levels), removed: null }));
      planSoon();
    };

    /** Opens `files` in place of what is open. */
    const openAll = async (files: readonly Kept[]): Promise<void> => {
      const result = await engine.open(files.map(({ file }) => file));
      if (!result.ok) {
        notify(result.error);
        return;
      }
      const opened = result.value;
      const choices = modelChoices(
        files.map(({ file }) => file),
        opened,
      );
      if (choices.length > 0) {
        // Everything stays until then: which file belongs to which model is known only once one is chosen.
        set({
          files: pair(
            files.map(({ file }) => file),
            opened,
          ),
          opened: undecided(opened),
          choices,
          offers: new Map(),
          measurement: null,
          plans: new Map(),
        });
        planSoon();
        return;
      }
      const kept = pair(
        files.map(({ file }) => file),
        opened,
      ).filter((_, index) => {
        const file = opened.files[index];
        return file !== undefined && usable(file, opened) && !(opened.model && file.kind === 'unknown' && file.problem);
      });
      // A drop that only failed leaves what was open open.
      const waits = (opened.missing ?? []).length > 0;
      const keepsOld = opened.model === null && !waits && (get().opened?.model != null || get().choices.length > 0);
      const sameModel =
        get().opened?.model?.name === opened.model?.name && get().opened?.model?.bytes === opened.model?.bytes;
      if (!keepsOld) {
        if (!sameModel) {
          targetIsOpen = !targetIsChosen;
          declined.clear();
          set(({ levels }) => ({
            levels: levels.map((level) =>
              untouched.has(level.uid) && levelName(level) !== level.id ? { ...level, settings: {} } : level,
            ),
          }));
        }
        set({
          files: kept,
          opened: kept.length > 0 ? opened : null,
          choices: [],
          offers: new Map(),
          ...(sameModel ? {} : { measurement: null, plans: new Map() }),
        });
      }
      report(opened, keepsOld);
      planSoon();
      if (!keepsOld) void calibrate();
    };

    /** Before the first comparison of a model of this size, a moment's run says what to expect. */
    const calibrate = async (): Promise<void> => {
      const { opened, files, paces } = get();
      if (!opened?.model || !canMeasure(opened) || !engine.calibrate || isActive(get().run)) return;
      const { parameters: size, baseline } = opened.model;
      if (size < 1 || isKnown(paces, size)) return;
      const result = await engine.calibrate(files.map(({ file }) => file));
      if (!result.ok) return;
      const kind = baseline === 'as-is' ? 'fp16' : FLOAT32;
      remember(
        result.value.map(({ step, provider, amount, seconds }) => ({
          step,
          provider,
          kind: step === 'start' ? '' : kind,
          size,
          amount,
          seconds,
        })),
      );
    };

    /** Another tab may have learned something meanwhile. */
    const remember = (samples: Paces) => {
      const learned = learn(paceStore?.read() ?? get().paces, samples);
      set({ paces: learned });
      paceStore?.write(learned);
    };

    /** Missing parts have their own place on the page; everything else that is wrong is said. */
    const report = (opened: Opened, refused: boolean) => {
      const shownElsewhere = new Set<EngineError['code']>([
        'several-models',
        'no-model',
        'no-tokenizer',
        'no-text',
        'not-a-language-model',
        'file-unknown',
        ...(refused ? [] : (['onnx-external-data'] as const)),
      ]);
      const errors = [...opened.problems, ...opened.files.flatMap(({ problem }) => (problem ? [problem] : []))].filter(
        ({ code }) => !shownElsewhere.has(code),
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

    const finish = (id: string, change: Partial<Run>) => {
      set(({ run }) => (run?.id === id ? { run: { ...run, endedAt: origin.now(), ...change } } : {}));
    };

    const lookIntoStorage = async () => {
      const [history, storage] = [await engine.history(), await engine.storage()];
      // A list that cannot be read is no reason to speak up: the page works without it.
      set({ stored: history.ok ? history.value : [], storage: storage.ok ? storage.value : null });
    };

    /** A GPU can come and go. */
    const lookAround = async () => {
      const result = await engine.capabilities();
      if (result.ok) set({ capabilities: result.value });
    };

    /** One at a time, and none during a run: its files are being written there. */
    const withStorage = async (act: () => Promise<EngineError | null>): Promise<void> => {
      if (get().storageBusy || isActive(get().run)) return;
      set({ storageBusy: true });
      const problem = await act();
      await lookIntoStorage();
      set({ storageBusy: false });
      if (problem) notify(problem);
    };

    /** After files were deleted, which may be those of the run on show. */
    const deleted = async (result: Result<Storage>): Promise<EngineError | null> => {
      const { run } = get();
      if (run) {
        const left = await withoutLostFiles(run);
        if (get().run === run) set({ run: left });
      }
      return result.ok ? null : result.error;
    };

    /** Keys of what goes with a stored report; only itself when it can no longer be read. */
    const keysWith = async (key: string): Promise<string[]> => {
      const [opened, history] = [await engine.openStored(key), await engine.history()];
      if (!opened.ok || !history.ok) return [key];
      const others: OpenedReport[] = [];
      for (const stored of history.value.filter((entry) => entry.key !== key)) {
        const other = await engine.openStored(stored.key);
        if (other.ok) others.push(other.value);
        // What cannot be read may still be missed: then no file is deleted.
        else if (other.error.code !== 'not-stored') return [key];
      }
      return [key, ...ownResults(opened.value, others)];
    };

    return {
      capabilities: null,
      files: [],
      opened: null,
      openingSince: null,
      choices: [],
      download: null,
      notices: [],
      levels: isNew(defaultLevels(origin)),
      removed: null,
      plans: new Map(),
      planProblem: null,
      target: FIRST_TARGET,
      offers: new Map(),
      maxTokens: DEFAULT_TOKENS,
      protocol: DEFAULT_PROTOCOL,
      provider: 'faster',
      extras: { noiseFloor: true, runtimeDrift: true, words: true, speed: true },
      context: DEFAULT_CONTEXT,
      foldersOffered: folders !== null,
      folder: null,
      interrupted: null,
      run: null,
      paces: paceStore?.read() ?? [],
      measurement: null,
      stored: [],
      storage: null,
      storageBusy: false,

      setupNow,

      async start() {
        paceStore?.onChange((paces) => {
          set({ paces });
        });
        const result = await engine.capabilities();
        if (result.ok)
          set(({ levels, offers, target }) => ({
            capabilities: result.value,
            target: targetIsChosen ? target : defaultTarget(result.value, levels, offers),
          }));
        else notify(result.error);
        await restore();
        if (result.ok) await lookIntoStorage();
      },

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

      dismiss(id) {
        set(({ notices }) => ({ notices: notices.filter((notice) => notice.id !== id) }));
      },
      addLevel(id) {
        changeLevels((levels) => {
          const added = addLevel(levels, id, origin);
          isNew(added.slice(-1));
          return added;
        });
      },
      duplicateLevel(uid) {
        changeLevels((levels) => duplicateLevel(levels, uid, origin));
      },
      editLevel(uid, settings) {
        untouched.delete(uid);
        changeLevels((levels) => editLevel(levels, uid, settings));
      },
      removeLevel(uid) {
        const { levels: before } = get();
        changeLevels((levels) => removeLevel(levels, uid));
        const at = before.findIndex((level) => level.uid === uid);
        const level = before[at];
        if (level && get().levels.length < before.length) set({ removed: { level, at } });
      },
      undoRemove() {
        const { removed } = get();
        if (removed) changeLevels((levels) => levels.toSpliced(removed.at, 0, removed.level));
      },
      replaceLevel(uid, setup) {
        untouched.delete(uid);
        changeLevels((levels) => replaceLevel(levels, uid, setup));
      },
      setTarget(target) {
        targetIsChosen = true;
        // A plan still under way must not replace the choice.
        targetIsOpen = false;
        set({ target });
      },
      setMaxTokens(maxTokens) {
        set({ maxTokens });
      },
      setProtocol(protocol) {
        set({ protocol });
      },
      setProvider(provider) {
        set({ provider });
      },
      setExtra(name, on) {
        set(({ extras }) => ({ extras: { ...extras, [name]: on } }));
      },
      setContext(context) {
        set({ context });
      },

      async chooseFolder() {
        const picked = await folders?.pick();
        if (picked?.ok === false) notify(picked.error);
        if (!picked?.ok || !picked.value) return false;
        set({ folder: picked.value });
        return true;
      },
      leaveFolder() {
        set({ folder: null });
      },

      async compareIntoFolder() {
        if (await get().chooseFolder()) await get().compare();
      },

      async compare() {
        const { folder } = get();
        if (folder && !(await folders?.mayWrite(folder))) {
          notify(notAllowed(folder.name));
          return;
        }
        const { run: before, opened, files, maxTokens, protocol, provider, extras, offers, target } = get();
        if (!opened?.model || isActive(before)) return;
        const levels = offered(get().levels, offers, target);
        const { name, bytes, cacheBytesPerToken, baseline } = opened.model;
        const text = tokensInText(opened);
        const tokens = maxTokens === null || !text ? null : tokensRun(maxTokens, text.tokens, protocol);
        const { plans, paces, capabilities } = get();
        const shape =
          canMeasure(opened) && text
            ? shapeOf({
                opened,
                levels,
                plans,
                tokens: tokens ?? tokensRun(null, text.tokens, protocol),
                protocol,
                extras,
                provider,
                capabilities,
                paces,
              })
            : null;
        const run: Run = {
          id: origin.uid(),
          startedAt: origin.now(),
          endedAt: null,
          status: 'running',
          levels,
          model: { name, bytes, cacheBytesPerToken, baseline },
          subject: canMeasure(opened) ? 'text' : 'inputs',
          protocol,
          extras,
          tokenizer: files
            .filter(({ kind }) => kind === 'tokenizer' || kind === 'tokenizer-config')
            .map(({ file }) => file),
          companions: files.filter(({ kind }) => COMPANIONS.has(kind)).map(({ file }) => file),
          live: startLive(levels.map(({ uid }) => uid)),
          forecast: shape && forecast(stepsOf(shape), paces, capabilities?.pace ?? null),
          report: null,
          error: null,
        };
        set({ run, notices: [], interrupted: null });
        void session?.begin(
          name,
          files.map(({ file }) => file),
          fromSample,
          folder,
        );
        const events = createBatch<{ event: EngineEvent; at: number }>(SHOW_EVERY_MS, (items) => {
          set((state) =>
            state.run?.id === run.id
              ? {
                  run: advance(
                    {
                      ...state.run,
                      live: items.reduce((live, { event, at }) => applyEvent(live, event, at), state.run.live),
                    },
                    origin.now(),
                  ),
                }
              : {},
          );
        });
        const ticking = setInterval(() => {
          set((state) => (state.run?.id === run.id ? { run: advance(state.run, origin.now()) } : {}));
        }, ADVANCE_EVERY_MS);
        const result = await engine.compare(
          {
            files: files.map(({ file }) => file),
            levels: toRequests(levels),
            protocol,
            provider,
            extras,
            ...(folder && { folder }),
            maxTokens: tokens,
          },
          (event) => {
            events.add({ event, at: origin.now() });
          },
        );
        clearInterval(ticking);
        events.flush();
        void session?.end();
        const seen = get().run;
        if (shape && seen?.id === run.id) remember(samplesOf(seen.live.observed, shape));
        if (result.ok) {
          finish(run.id, { status: 'done', report: result.value });
          const base = result.value.levels.find((level) => level.baseline)?.perplexity;
          const spread = result.value.protocol && base ? spreadOf(result.value.protocol, base) : null;
          if (spread !== null) set({ measurement: { spread } });
        } else {
          const status = result.error.code === 'cancelled' ? 'cancelled' : 'failed';
          finish(run.id, { status, error: result.error });
          if (status === 'failed') notify(result.error);
          const ended = get().run;
          // Earlier results are worth more than a run that found nothing or broke off.
          if (before?.report) set({ run: before });
          else if (ended && !hasFindings(ended)) set({ run: null });
        }
        void lookIntoStorage();
        void lookAround();
        const waiting = afterRun;
        afterRun = [];
        if (waiting.length > 0) await get().addFiles(waiting);
      },

      async continueInterrupted() {
        // Permission is asked for in answer to a click.
        for (const handle of locked as (FileSystemFileHandle & {
          requestPermission?(descriptor: { mode: 'read' }): Promise<PermissionState>;
        })[]) {
          if ((await handle.requestPermission?.({ mode: 'read' })) !== 'granted') return;
        }
        if (locked.length > 0) {
          const found = await session?.find();
          locked = found?.locked ?? [];
          set(({ interrupted }) => ({
            interrupted: interrupted && { ...interrupted, missing: found?.missing ?? [], locked: locked.length },
          }));
          await get().addFiles(found?.files ?? []);
        }
        const { interrupted } = get();
        if (!interrupted || interrupted.missing.length > 0 || interrupted.locked > 0) return;
        await opening;
        await plan();
        await get().compare();
      },

      dismissInterrupted() {
        locked = [];
        set({ interrupted: null });
        void session?.end();
      },

      async finish() {
        const { run } = get();
        if (run?.status !== 'running' || run.live.stage !== 'measure') return;
        set({ run: { ...run, status: 'finishing' } });
        await engine.finish();
      },

      async cancel() {
        const { run } = get();
        if (run?.status !== 'running' && run?.status !== 'finishing') return;
        set({ run: { ...run, status: 'cancelling' } });
        await engine.cancel();
      },

      openStored(key) {
        return withStorage(async () => {
          const opened = await engine.openStored(key);
          if (!opened.ok) return opened.error;
          // A comparison may have been started while this was read.
          if (!isActive(get().run)) set({ run: storedRun(opened.value, origin) });
          return null;
        });
      },

      removeStored(key) {
        return withStorage(async () => deleted(await engine.remove(await keysWith(key))));
      },

      removeAllStored() {
        return withStorage(async () => deleted(await engine.removeAll()));
      },
    };
  });
  if (session) {
    store.subscribe((state, before) => {
      if (SAVED.some((name) => state[name] !== before[name])) session.saveSetup(state.setupNow());
    });
  }
  return store;
}
