/** Which backend this machine offers, or why not the faster one. */
import { IconCpu } from '@tabler/icons-react';
import type { Capabilities } from '../../../workers/contract/capabilities.ts';
import { useWorkbench } from '../../store/use-workbench.ts';
import { Hint } from '../../ui/terms/term.tsx';
import classes from './capability-badge.module.css';
import { describeBackend, explainBackend } from './describe.ts';

export function CapabilityBadge() {
  const capabilities = useWorkbench((state) => state.capabilities);
  // Room is kept, so that the header does not move when the answer comes.
  if (!capabilities)
    return (
      <span className={classes.badge} data-pending aria-hidden="true">
        &nbsp;
      </span>
    );
  return <Badge capabilities={capabilities} />;
}

function Badge({ capabilities }: { capabilities: Capabilities }) {
  return (
    <Hint text={explainBackend(capabilities)} className={classes.badge}>
      <IconCpu size={15} stroke={1.75} aria-hidden="true" />
      <span>{describeBackend(capabilities)}</span>
    </Hint>
  );
}
