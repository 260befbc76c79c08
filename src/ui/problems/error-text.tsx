/** An error in words: the sentence, what to do, and a fold with the technical part. */
import { Button, CopyButton } from '@mantine/core';
import type { EngineError } from '../../../workers/contract/errors.ts';
import layout from '../layout.module.css';
import classes from './problems.module.css';

export function ErrorText({ error }: { error: EngineError }) {
  const technical = `${error.code}\n${error.details}`.trim();
  return (
    <div className={classes.text} data-error={error.code}>
      <p className={classes.message}>{error.message}</p>
      <p className={classes.action}>{error.action}</p>
      <details className={layout.fold}>
        <summary>Details</summary>
        <pre className={classes.details} tabIndex={0}>
          {technical}
        </pre>
        <CopyButton value={`${error.message}\n${error.action}\n${technical}`}>
          {({ copied, copy }) => (
            <Button size="compact-xs" variant="default" onClick={copy}>
              {copied ? 'Copied' : 'Copy'}
            </Button>
          )}
        </CopyButton>
      </details>
    </div>
  );
}
