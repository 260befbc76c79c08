/** One level: its settings and what it will weigh. */
import { ActionIcon, Button, Tooltip } from '@mantine/core';
import { IconCopy, IconTrash } from '@tabler/icons-react';
import { useId } from 'react';
import { levelName } from '../../../workers/contract/levels/words.ts';
import type { Target } from '../../../workers/contract/level-plan.ts';
import { Mark, tone } from '../../ui/mark.tsx';
import { formatBytes, formatCount, formatSmaller } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import type { Level } from '../../store/levels.ts';
import {
  choicesOf,
  refusal,
  refused,
  refusedBy,
  replacements,
  targetFor,
  TARGET_LABELS,
  targetInWords,
} from '../../store/targets.ts';
import { useActions, useIsRunActive, useWorkbench } from '../../store/use-workbench.ts';
import { canMeasure } from '../../store/can-measure.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import { SettingsPanel } from './settings-panel.tsx';
import { SizeAdvice } from './size-advice.tsx';
import classes from './levels.module.css';

export function LevelCard({ level }: { level: Level }) {
  const actions = useActions();
  const running = useIsRunActive();
  const name = levelName(level);
  const pinned = level.id === 'fp16';
  return (
    <article className={classes.card} aria-label={name} style={{ '--tone': tone(level.slot) }}>
      <header className={classes.cardHead}>
        <h3>
          <Mark slot={level.slot} size={14} /> <Term id={level.id}>{level.id}</Term>
        </h3>
        {pinned ? (
          <span className={classes.pinned}>baseline</span>
        ) : (
          <div>
            <Tooltip label="Duplicate">
              <ActionIcon
                variant="subtle"
                color="gray"
                size="sm"
                aria-label={`Duplicate ${name}`}
                disabled={running}
                onClick={() => {
                  actions.duplicateLevel(level.uid);
                }}
              >
                <IconCopy size={15} stroke={1.75} />
              </ActionIcon>
            </Tooltip>
            <Tooltip label="Remove">
              <ActionIcon
                variant="subtle"
                color="gray"
                size="sm"
                aria-label={`Remove ${name}`}
                disabled={running}
                onClick={() => {
                  actions.removeLevel(level.uid);
                }}
              >
                <IconTrash size={15} stroke={1.75} />
              </ActionIcon>
            </Tooltip>
          </div>
        )}
      </header>
      <Prediction level={level} />
      <Refusal level={level} />
      {pinned ? <Baseline /> : <Settings level={level} />}
    </article>
  );
}

function Prediction({ level }: { level: Level }) {
  const entry = useWorkbench((state) => state.plans.get(level.uid));
  const baseline = useWorkbench(
    (state) => state.plans.get(state.levels.find(({ id }) => id === 'fp16')?.uid ?? '')?.plan,
  );
  const current = entry?.forLevel === levelName(level);
  const plan = entry?.plan;
  if (plan?.problem && current) {
    return (
      <div className={classes.prediction} role="note">
        <p className={classes.problemText}>
          <strong>{plan.problem.message}</strong> {plan.problem.action}
        </p>
        <Instead level={level} />
      </div>
    );
  }
  return (
    <div className={classes.prediction} data-stale={!current || undefined}>
      <p className={classes.bytes}>
        {plan ? (
          <Hint text={`${formatCount(plan.bytes)} bytes, known before any weight is read`}>
            {formatBytes(plan.bytes)}
          </Hint>
        ) : (
          '\u00a0'
        )}
        {plan && baseline && level.id !== 'fp16' && (
          <span className={classes.ratio}>
            {formatSmaller(plan.bytes, baseline.bytes)}
            {againstDropped(plan.bytes, baseline.bytes, plan.sourceBytes)}
          </span>
        )}
        {plan && level.id === 'fp16' && plan.sourceBytes !== undefined && plan.sourceBytes !== plan.bytes && (
          <span className={classes.ratio}>{formatSmaller(plan.bytes, plan.sourceBytes)} than the dropped file</span>
        )}
      </p>
      <p className={classes.summary}>
        {plan?.summary ?? '\u00a0'}
        {plan && level.settings.embedding && ' The embedding is among them.'}
      </p>
      {plan?.file !== undefined && <SavedAs file={plan.file} />}
      {plan?.sameFileAs !== undefined && current && <SameFile level={level} uid={plan.sameFileAs} />}
      {plan && current && level.id !== 'fp16' && <SizeAdvice level={level} plan={plan} />}
    </div>
  );
}

/** Where names matter: transformers.js finds a model by its own. */
function SavedAs({ file }: { file: string }) {
  const named = useWorkbench((state) => state.target === 'transformers.js');
  return (
    named && (
      <p className={classes.summary}>
        Saved as <span className={layout.mono}>{file}</span>
      </p>
    )
  );
}

/** Levels that are equal, or have the same content but for its metadata. */
function SameFile({ level, uid }: { level: Level; uid: string }) {
  const name = useWorkbench((state) => {
    const other = state.levels.find((level) => level.uid === uid);
    return other ? levelName(other) : null;
  });
  return name === null ? null : (
    <p className={classes.summary} data-same-file>
      {name === levelName(level)
        ? 'Same settings as an earlier level. One file is made for both.'
        : `Same file as ${name}, but for its metadata. It is measured once.`}
    </p>
  );
}

/** `, 3.5× smaller than the dropped file`; nothing where the dropped file is the fp16 baseline. */
function againstDropped(bytes: number, baseline: number, source: number | undefined): string {
  return source === undefined || source === baseline
    ? ''
    : ` than fp16, ${formatSmaller(bytes, source)} than the dropped file`;
}

/** At most so many at once: more are found in the settings below. */
const MOST_REPLACEMENTS = 2;

/** What can be made of the model in place of a level that cannot. */
function Instead({ level }: { level: Level }) {
  const actions = useActions();
  const running = useIsRunActive();
  const levels = useWorkbench((state) => state.levels);
  const offers = useWorkbench((state) => state.offers);
  const target = useWorkbench((state) => state.target);
  const instead = replacements(levels, offers, target, level);
  const elsewhere =
    instead.length > 0 || target === 'wasm' || replacements(levels, offers, 'wasm', level).length === 0 ? null : 'wasm';
  return (
    <div className={classes.ways}>
      {instead.slice(0, MOST_REPLACEMENTS).map((setup) => (
        <Button
          key={levelName(setup)}
          variant="default"
          size="compact-sm"
          disabled={running}
          onClick={() => {
            actions.replaceLevel(level.uid, setup);
          }}
        >
          Use {levelName(setup)} instead
        </Button>
      ))}
      <CompareOn target={elsewhere} />
      <Button
        variant="default"
        size="compact-sm"
        disabled={running}
        onClick={() => {
          actions.removeLevel(level.uid);
        }}
      >
        Remove {levelName(level)}
      </Button>
    </div>
  );
}

/** Changes the target to one that runs what the present one does not. */
export function CompareOn({ target }: { target: Target | null }) {
  const actions = useActions();
  const running = useIsRunActive();
  return (
    target && (
      <Button
        variant="default"
        size="compact-sm"
        disabled={running}
        onClick={() => {
          actions.setTarget(target);
        }}
      >
        Compare on {TARGET_LABELS[target]}
      </Button>
    )
  );
}

/** Of a level that the target does not run: the reason, and a target that does. The baseline is compared all the same. */
function Refusal({ level }: { level: Level }) {
  const target = useWorkbench((state) => state.target);
  const offers = useWorkbench((state) => state.offers);
  const reason = refusal(offers, target, level);
  if (reason === null) return null;
  return (
    <div className={classes.refusal} role="note">
      <p>
        <strong>
          {TARGET_LABELS[refusedBy(offers, target, level)]} cannot run this
          {level.id === 'fp16' ? '; it is compared all the same' : ''}.
        </strong>{' '}
        {reason}
      </p>
      <CompareOn target={targetFor(offers, level)} />
    </div>
  );
}

/** What the target does not run, in words anyone can reach; the same entries cannot be chosen above. */
function NotOffered({ level, id }: { level: Level; id: string }) {
  const target = useWorkbench((state) => state.target);
  const offers = useWorkbench((state) => state.offers);
  const groups = refused(choicesOf(level), offers, target);
  if (groups.length === 0) return null;
  // The level's own button is there already where the level itself is refused.
  const other =
    refusal(offers, target, level) === null ? (groups.find((group) => group.target !== null)?.target ?? null) : null;
  return (
    <div className={classes.notOffered}>
      <details className={layout.fold}>
        <summary id={id}>
          Not offered for {targetInWords(target)}: {groups.flatMap(({ words }) => words).join(', ')}
        </summary>
        <ul className={classes.reasons}>
          {groups.map(({ words, reason }) => (
            <li key={reason}>
              <strong>{words.join(', ')}.</strong> {reason}
            </li>
          ))}
        </ul>
      </details>
      <CompareOn target={other} />
    </div>
  );
}

function Baseline() {
  const baseline = useWorkbench((state) => state.opened?.model?.baseline);
  const language = useWorkbench((state) => canMeasure(state.opened));
  return (
    <p className={classes.baseline}>
      {baseline === 'rounded-to-fp16' && 'The model with its weights rounded to fp16. '}
      The baseline: every other level is measured against it, on the same {language ? 'text' : 'inputs'}.
    </p>
  );
}

function Settings({ level }: { level: Level }) {
  const actions = useActions();
  const running = useIsRunActive();
  const why = useId();
  const target = useWorkbench((state) => state.target);
  const offers = useWorkbench((state) => state.offers);
  return (
    <div className={classes.settings}>
      <SettingsPanel
        level={level}
        disabled={running}
        describedBy={why}
        // What is chosen already can stay.
        isRefused={(choice) => levelName(choice) !== levelName(level) && refusal(offers, target, choice) !== null}
        onChange={({ settings }) => {
          actions.editLevel(level.uid, settings);
        }}
      />
      <NotOffered level={level} id={why} />
    </div>
  );
}
