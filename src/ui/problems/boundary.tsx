/** Keeps the rest of the page alive when a part of it cannot be drawn. React offers this to classes only. */
import { Component, type ReactNode } from 'react';
import { ErrorText } from './error-text.tsx';
import classes from './problems.module.css';

interface Props {
  what: string;
  children: ReactNode;
}

export class Boundary extends Component<Props, { thrown: unknown }> {
  override state: { thrown: unknown } = { thrown: null };

  static getDerivedStateFromError(thrown: unknown) {
    return { thrown };
  }

  override render() {
    const { thrown } = this.state;
    if (thrown === null) return this.props.children;
    const details = thrown instanceof Error ? (thrown.stack ?? thrown.message) : JSON.stringify(thrown);
    return (
      <div className={classes.notice} role="alert">
        <ErrorText
          error={{
            code: 'internal',
            message: `${this.props.what} cannot be shown.`,
            action: 'Everything else is as it was; Export JSON has the figures.',
            details,
          }}
        />
      </div>
    );
  }
}
