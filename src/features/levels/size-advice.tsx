/** Says before a run why a level's file is large, with a button for each way to make it smaller. */
import { Button } from '@mantine/core';
import type { LevelAlternative, LevelPlan } from '../../../workers/contract/level-plan.ts';
import { formatBytes, formatSmaller } from '../../lib/format/numbers.ts';
import { normalize } from '../../../workers/contract/levels/level.ts';
import { levelName } from '../../../workers/contract/levels/words.ts';
import type { Level } from '../../store/levels.ts';
import { refusal } from '../../store/targets.ts';
import { useActions, useIsRunActive, useWorkbench } from '../../store/use-workbench.ts';
import { adviceOn, type Advice } from './advice.ts';
import classes from './levels.module.css';

export function SizeAdvice({ level, plan }: { level: Level; plan: LevelPlan }) {
  const actions = useActions();
  const running = useIsRunActive();
  const offers = useWorkbench((state) => state.offers);
  const target = useWorkbench((state) => state.target);
  const advice = adviceOn(plan, level.settings);
  if (!advice) return null;
  const ways = advice.ways
    .filter(
      ({ settings }) => refusal(offers, target, { id: level.id, settings: normalize(level.id, settings) }) === null,
    )
    .slice(0, 2);
  return (
    <div className={classes.advice} role="group" aria-label={`Size of ${levelName(level)}`} data-advice={advice.code}>
      <p>{sentence(advice, plan)}</p>
      {ways.map((way) => (
        <Button
          key={JSON.stringify(way.settings)}
          size="compact-xs"
          variant="light"
          classNames={{ root: classes.way ?? '', label: classes.wayLabel ?? '' }}
          disabled={running}
          onClick={() => {
            actions.editLevel(level.uid, way.settings);
          }}
        >
          {verb(way, level)}: {formatBytes(way.bytes)}
          {plan.baselineBytes !== undefined && `, ${formatSmaller(way.bytes, plan.baselineBytes)}`}
        </Button>
      ))}
    </div>
  );
}

function verb({ settings }: LevelAlternative, level: Level): string {
  if (settings.embedding && !level.settings.embedding) return 'Quantize embedding';
  return (settings.override?.length ?? 0) > (level.settings.override?.length ?? 0)
    ? 'Embedding at 8 bits'
    : 'Keep the output head';
}

function sentence({ code, bytes, tensors }: Advice, { baselineBytes, bytes: all, summary }: LevelPlan): string {
  const larger =
    baselineBytes !== undefined && all > baselineBytes && !summary.includes('larger than fp16')
      ? ` The file is ${formatSmaller(all, baselineBytes)} than fp16.`
      : '';
  switch (code) {
    case 'stored-twice':
      return `${tensors.length === 1 ? `${tensors[0] ?? ''} is` : `${tensors[0] ?? ''} and ${tensors.length - 1} more are`} stored twice, which costs ${formatBytes(bytes)}.${larger}`;
    case 'larger-than-fp16':
      return `The file is ${formatBytes(bytes)} larger than fp16.`;
    case 'embedding-is-most':
      return `The token embedding is not quantized. Quantizing it saves ${formatBytes(bytes)}.`;
  }
}
