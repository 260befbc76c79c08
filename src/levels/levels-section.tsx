/** The levels to compare, as cards. */
import { Button, Menu } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { Mark } from '../charts/mark.tsx';
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
        <Menu position="bottom-end" withinPortal>
          <Menu.Target>
            <Button variant="subtle" size="compact-sm" leftSection={<IconPlus size={15} aria-hidden="true" />} disabled={running}>Add level</Button>
          </Menu.Target>
          <Menu.Dropdown>
            {ADDABLE.map((id) => (
              <Menu.Item key={id} leftSection={<Mark slot={id === 'int8' ? 1 : 2} />} onClick={() => { actions.addLevel(id); }}>{id}</Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      </div>
      {planProblem && <div className={classes.problem}><ErrorText error={planProblem} /></div>}
      <ul className={classes.cards}>
        {levels.map((level) => <li key={level.uid}><LevelCard level={level} /></li>)}
      </ul>
    </section>
  );
}
