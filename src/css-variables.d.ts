import 'react';

declare module 'react' {
  /** The page passes a level's colour, and how far a bar has come, to its style sheets as custom properties. */
  interface CSSProperties {
    '--tone'?: string;
    '--done'?: number;
  }
}
