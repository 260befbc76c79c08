/**
 * The theme's variables as a style sheet, made while building: left to itself Mantine writes them into the page as a
 * style element, which a strict content security policy forbids.
 */
import { convertCssVariables, DEFAULT_THEME, defaultCssVariablesResolver, mergeMantineTheme } from '@mantine/core';
import { theme } from './theme.ts';

export function themeCss(): string {
  const scheme = convertCssVariables(
    { variables: {}, dark: { '--mantine-color-scheme': 'dark' }, light: { '--mantine-color-scheme': 'light' } },
    ':root',
  );
  return convertCssVariables(defaultCssVariablesResolver(mergeMantineTheme(DEFAULT_THEME, theme)), ':root') + scheme;
}
