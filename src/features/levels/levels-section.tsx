/** The levels to compare, as cards. */
import { Button, NativeSelect } from '@mantine/core';
import { useEffect, useRef } from 'react';
import layout from '../../ui/layout.module.css';
import { ErrorText } from '../../ui/problems/error-text.tsx';
import { ADDABLE_IDS } from '../../../workers/contract/levels/level.ts';
import { levelName } from '../../../workers/contract/levels/words.ts';
import { refusal, refused, TARGET_LABELS, TARGET_NAMES, targetNamed } from '../../store/targets.ts';
import { useActions, useIsRunActive, useWorkbench } from '../../store/use-workbench.ts';
import { Term } from '../../ui/terms/term.tsx';
import { AddLevels } from './add-levels.tsx';
import { CompareOn, LevelCard } from './level-card.tsx';
import classes from './levels.module.css';

export function LevelsSection() {
  const levels = useWorkbench((state) => state.levels);
  const planProblem = useWorkbench((state) => state.planProblem);
  const running = useIsRunActive();
  return (
    <section aria-labelledby="levels-heading">
      <div className={layout.sectionHead}>
        <h2 id="levels-heading" className={layout.heading}>
          Levels
        </h2>
        <div className={classes.add}>
          <TargetChoice disabled={running} />
          <AddChoice disabled={running} />
        </div>
      </div>
      <NotAddable />
      <Removed disabled={running} />
      {planProblem && (
        <div className={classes.problem}>
          <ErrorText error={planProblem} />
        </div>
      )}
      <ul className={classes.cards}>
        {levels.map((level) => (
          <li key={level.uid}>
            <LevelCard level={level} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function AddChoice({ disabled }: { disabled: boolean }) {
  const actions = useActions();
  const offers = useWorkbench((state) => state.offers);
  const target = useWorkbench((state) => state.target);
  return (
    <AddLevels
      disabled={disabled}
      refusalOf={(id) => refusal(offers, target, { id, settings: {} })}
      onAdd={(id) => {
        actions.addLevel(id);
      }}
    />
  );
}

function TargetChoice({ disabled }: { disabled: boolean }) {
  const actions = useActions();
  const target = useWorkbench((state) => state.target);
  return (
    <div className={classes.target}>
      <span id="target-label">
        <Term id="target">To run on</Term>
      </span>
      <NativeSelect
        size="xs"
        aria-labelledby="target-label"
        value={target}
        disabled={disabled}
        data={Object.entries(TARGET_NAMES).map(([value, label]) => ({ value, label }))}
        onChange={(event) => {
          actions.setTarget(targetNamed(event.currentTarget.value));
        }}
      />
    </div>
  );
}

/** What was removed last can come back. Takes the focus, which was on the card that is gone. */
function Removed({ disabled }: { disabled: boolean }) {
  const actions = useActions();
  const removed = useWorkbench((state) => state.removed);
  const undo = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (removed && document.activeElement === document.body) undo.current?.focus({ preventScroll: true });
  }, [removed]);
  return (
    <div className={removed ? classes.notAddable : undefined} role="status">
      {removed && (
        <>
          <p>Removed {levelName(removed.level)}.</p>
          <Button
            ref={undo}
            variant="default"
            size="compact-xs"
            disabled={disabled}
            onClick={() => {
              actions.undoRemove();
            }}
          >
            Undo
          </Button>
        </>
      )}
    </div>
  );
}

/** Levels that the target does not run, and one that does. */
function NotAddable() {
  const offers = useWorkbench((state) => state.offers);
  const target = useWorkbench((state) => state.target);
  // A level that is set up says so on its card.
  const there = useWorkbench((state) => state.levels.map(({ id }) => id).join(' '));
  const groups = refused(
    ADDABLE_IDS.filter((id) => !there.split(' ').includes(id)).map((id) => ({
      words: id,
      level: { id, settings: {} },
    })),
    offers,
    target,
  );
  if (groups.length === 0) return null;
  return (
    <div className={classes.notAddable}>
      <p>
        {TARGET_LABELS[target]} cannot run {groups.flatMap(({ words }) => words).join(', ')}.
      </p>
      <CompareOn target={groups.find((group) => group.target !== null)?.target ?? null} />
    </div>
  );
}
