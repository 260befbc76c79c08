import 'react';

declare module 'react' {
  /** The page passes a level's colour, how far a bar has come, and how many columns, letters and rows there are to its style sheets as custom properties. */
  interface CSSProperties {
    '--tone'?: string;
    '--done'?: number;
    '--columns'?: number;
    '--letters'?: number;
    '--rows'?: number;
  }
}
