import layout from './layout.module.css';

/** Stands where a number would be. */
export const NONE = (
  <span className={layout.muted} aria-label="not measured">
    –
  </span>
);
