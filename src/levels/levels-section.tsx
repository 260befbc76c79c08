/** The levels to compare, as cards. */
import { Button } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import layout from '../layout.module.css';
import { ErrorText } from '../problems/error-text.tsx';
import { ADDABLE } from '../store/levels.ts';
import { isActive } from '../store/run.ts';
import { actions, useWorkbench } from '../store/use-workbench.ts';
import { LevelCard } from './level-card.tsx';
import classes from './levels.module.css';

export function LevelsSection() {
  const levels = useWorkbench((state) => state.levels);
  const planProblem = useWorkbench((state) => state.planProblem);
  const running = useWorkbench((state) => isActive(state.run));
  return (
    <section aria-labelledby="levels-heading">
      <div className={layout.sectionHead}>
        <h2 id="levels-heading" className={layout.heading}>Levels</h2>
        <div className={classes.add}>
          {ADDABLE.map((id) => (
            <Button key={id} variant="subtle" size="compact-sm" leftSection={<IconPlus size={15} aria-hidden="true" />} disabled={running} onClick={() => { actions.addLevel(id); }}>
              Add {id}
            </Button>
          ))}
        </div>
      </div>
      {planProblem && <div className={classes.problem}><ErrorText error={planProblem} /></div>}
      <ul className={classes.cards}>
        {levels.map((level) => <li key={level.uid}><LevelCard level={level} /></li>)}
      </ul>
    </section>
  );
}
