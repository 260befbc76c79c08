/** Files that a provider computes wrongly: said before any figure, since no figure of theirs would help. */
import { Button, CopyButton } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import layout from '../../ui/layout.module.css';
import type { Figure } from '../../store/run.ts';
import { runtimeWarningOf, partsSentence, PROVIDERS } from './drifts.ts';
import classes from './drifts.module.css';

export function Banner({ figures }: { figures: Figure[] }) {
  const alarm = runtimeWarningOf(figures);
  if (!alarm) return null;
  const { headline, comparisons, parts, action } = alarm;
  const details = parts
    .map(({ levels, at }) =>
      [
        `levels: ${levels.join(', ')}`,
        ...(at.provider ? [`wrong: ${PROVIDERS[at.provider]}`] : []),
        ...(at.fused
          ? [
              `first node: ${at.fused.firstNode}`,
              `operators: ${at.fused.operators.join(', ')}`,
              `fused into: ${at.fused.into ?? 'unknown'}`,
            ]
          : []),
        `${at.fused ? 'last node' : 'node'}: ${at.node}`,
        `operator: ${at.operator}`,
        `tensor: ${at.tensor}`,
        `difference of the output, RMS over RMS: ${at.difference.toPrecision(3)}`,
        `of the most different input: ${at.inputDifference.toPrecision(3)}`,
      ].join('\n'),
    )
    .join('\n\n');
  return (
    <div className={classes.banner} role="alert">
      <IconAlertTriangle size={20} stroke={1.75} aria-hidden="true" />
      <div>
        <p className={classes.headline}>{headline}</p>
        {comparisons.map((sentence) => (
          <p key={sentence}>{sentence}</p>
        ))}
        {parts.length === 0 ? (
          <p>Where they part was not found.</p>
        ) : (
          parts.map((part) => (
            <p key={partsSentence(part, true)} className={classes.part}>
              {partsSentence(part, parts.length === 1)}
            </p>
          ))
        )}
        <p className={classes.action}>{action}</p>
        {details !== '' && (
          <details className={layout.fold}>
            <summary>Details</summary>
            <pre className={classes.details} tabIndex={0}>
              {details}
            </pre>
            <CopyButton value={[headline, ...comparisons, details].join('\n')}>
              {({ copied, copy }) => (
                <Button size="compact-xs" variant="default" onClick={copy}>
                  {copied ? 'Copied' : 'Copy'}
                </Button>
              )}
            </CopyButton>
          </details>
        )}
      </div>
    </div>
  );
}
