/** A word with its meaning one hover, tap or focus away. */
import { Tooltip } from '@mantine/core';
import { useEffect, useState, type ReactNode } from 'react';
import { MEANINGS, type TermId } from './meanings.ts';
import classes from './term.module.css';

interface HintProps {
  text: string;
  children: ReactNode;
  className?: string | undefined;
}

/** Any text with an explanation behind it. */
export function Hint({ text, children, className }: HintProps) {
  // Escape hides it until the pointer or the focus comes back.
  const [dismissed, setDismissed] = useState(false);
  const come = () => {
    setDismissed(false);
  };
  useEffect(() => {
    const onKey = ({ key }: KeyboardEvent) => {
      if (key === 'Escape') setDismissed(true);
    };
    addEventListener('keydown', onKey);
    return () => {
      removeEventListener('keydown', onKey);
    };
  }, []);
  return (
    <Tooltip
      label={text}
      disabled={dismissed}
      events={{ hover: true, focus: true, touch: true }}
      multiline
      w={280}
      openDelay={120}
      withArrow
    >
      <span tabIndex={0} onPointerEnter={come} onFocus={come} className={className ?? classes.hint}>
        {children}
      </span>
    </Tooltip>
  );
}

export function Term({ id, children }: { id: TermId; children: ReactNode }) {
  return (
    <Hint text={MEANINGS[id]} className={classes.term}>
      {children}
    </Hint>
  );
}
