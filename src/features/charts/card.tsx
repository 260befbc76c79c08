/** A chart with its title, what to make of it, and how it was measured. */
import type { ReactNode } from 'react';
import layout from '../../ui/layout.module.css';
import type { Provenance } from '../protocols/protocols.ts';
import { Hint } from '../../ui/terms/term.tsx';
import classes from './charts.module.css';

interface CardProps {
  title: ReactNode;
  about: ReactNode;
  provenance?: Provenance | null;
  control?: ReactNode;
  wide?: boolean;
  children: ReactNode;
}

export function Card({ title, about, provenance, control, wide = false, children }: CardProps) {
  return (
    <figure className={`${layout.panel} ${classes.card}`} data-wide={wide || undefined}>
      <figcaption>
        <div className={classes.cardHead}>
          <h3>{title}</h3>
          {control ??
            (provenance && (
              <Hint text={provenance.sentence} className={classes.how}>
                {provenance.tag}
              </Hint>
            ))}
        </div>
        <p>{about}</p>
      </figcaption>
      {children}
    </figure>
  );
}
