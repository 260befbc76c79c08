/** A word with its meaning one hover, tap or focus away. */
import { Tooltip } from '@mantine/core';
import type { ReactNode } from 'react';
import { MEANINGS, type TermId } from './meanings.ts';
import classes from './term.module.css';

interface HintProps { text: string; children: ReactNode; className?: string | undefined }

/** Any text with an explanation behind it. */
export function Hint({ text, children, className }: HintProps) {
  return (
    <Tooltip label={text} events={{ hover: true, focus: true, touch: true }} multiline w={280} openDelay={120} withArrow>
      <span tabIndex={0} className={className ?? classes.hint}>{children}</span>
    </Tooltip>
  );
}

export function Term({ id, children }: { id: TermId; children: ReactNode }) {
  return <Hint text={MEANINGS[id]} className={classes.term}>{children}</Hint>;
}
