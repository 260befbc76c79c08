/** Mantine, quietened: no brand colour, since colours belong to the levels. */
import { Button, createTheme, Tooltip, type MantineColorsTuple } from '@mantine/core';

const ink: MantineColorsTuple = [
  '#f6f7f8',
  '#eceef0',
  '#dadde1',
  '#b9bec6',
  '#8f96a1',
  '#6b7280',
  '#4b5260',
  '#343a46',
  '#20242d',
  '#12151b',
];

export const theme = createTheme({
  primaryColor: 'ink',
  primaryShade: { light: 8, dark: 3 },
  colors: { ink },
  defaultRadius: 'md',
  fontFamily: 'var(--font)',
  fontFamilyMonospace: 'var(--mono)',
  headings: { fontFamily: 'var(--font)', fontWeight: '600' },
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    Tooltip: Tooltip.extend({ defaultProps: { color: 'ink.9' } }),
    Button: Button.extend({ defaultProps: { fw: 550 } }),
  },
});
