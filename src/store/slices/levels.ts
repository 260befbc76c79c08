/** The levels to compare, the target they are to run on, and what the engine plans for them. */
import { levelName } from '../../../workers/contract/levels/words.ts';
import { betterDefault } from '../../features/levels/advice.ts';
import {
  addLevel,
  defaultLevels,
  duplicateLevel,
  editLevel,
  removeLevel,
  replaceLevel,
  toRequests,
  type Level,
} from '../levels.ts';
import type { LevelsSlice } from '../state.ts';
import { defaultTarget, FIRST_TARGET, refusal, unasked, type Offers } from '../targets.ts';
import type { SliceContext } from './context.ts';

const PLAN_AFTER_MS = 150;

/** @returns The slice, and what the other slices do with levels. */
export function createLevelsSlice({ set, get, dependencies: { engine, origin } }: SliceContext) {
  let planTimer: ReturnType<typeof setTimeout> | null = null;
  let planTurn = 0;
  /** Levels nobody has changed, which follow the model. */
  const untouched = new Set<string>();
  /** Of these, the levels that lost the settings that suit the model, because the target does not run them. */
  const declined = new Set<string>();
  /** The next plan chooses the target: nobody has, and a model was opened that may ask for another one. */
  let targetIsOpen = true;
  let targetIsChosen = false;

  const isNew = (levels: readonly Level[]): readonly Level[] => {
    for (const { uid } of levels) untouched.add(uid);
    return levels;
  };

  /** Plans the levels now. A plan that a later one has overtaken is dropped. */
  const plan = async (): Promise<void> => {
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
      const own = plans.get(level.uid)?.plan;
      if (!own || !untouched.has(level.uid)) return level;
      const isPlain = levelName(level) === level.id;
      const better = isPlain && !declined.has(level.uid) ? betterDefault(own) : null;
      if (better) return { ...level, settings: better };
      if (isPlain || refusal(offers, target, level) === null) return level;
      declined.add(level.uid);
      return { ...level, settings: {} };
    });
    if (changed.every((level, at) => level === levels[at])) return false;
    set({ levels: changed });
    return true;
  };

  /** Plans a moment after the last of several changes. */
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

  const slice: LevelsSlice = {
    levels: isNew(defaultLevels(origin)),
    removed: null,
    plans: new Map(),
    planProblem: null,
    target: FIRST_TARGET,
    offers: new Map(),

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
  };

  return {
    slice,
    plan,
    planSoon,
    /** Another model is about to be opened: its plan chooses the target, and levels nobody changed lose their settings. */
    modelChanged() {
      targetIsOpen = !targetIsChosen;
      declined.clear();
      set(({ levels }) => ({
        levels: levels.map((level) =>
          untouched.has(level.uid) && levelName(level) !== level.id ? { ...level, settings: {} } : level,
        ),
      }));
    },
    /** The browser has said what it can do: chooses the target, unless the person has. */
    capabilitiesKnown() {
      set(({ capabilities, levels, offers, target }) => ({
        target: targetIsChosen ? target : defaultTarget(capabilities, levels, offers),
      }));
    },
    /** Levels of before a reload are as the person left them. */
    restored(chosen: boolean) {
      targetIsChosen = chosen;
      untouched.clear();
    },
    isTargetChosen: () => targetIsChosen,
  };
}
