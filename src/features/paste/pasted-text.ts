/** Text that is pasted becomes a file like any other. Pure, but for the event it reads. */

/** The text of a paste that was meant for the page: not one into a field, and not files. */
export function textOfPaste(
  event: Pick<ClipboardEvent, 'target' | 'clipboardData' | 'defaultPrevented'>,
): string | null {
  if (
    event.defaultPrevented ||
    (event.target instanceof Element &&
      event.target.closest('input, textarea, select, [contenteditable]:not([contenteditable=false])'))
  )
    return null;
  const text = event.clipboardData?.getData('text/plain') ?? '';
  return text.trim() === '' ? null : text;
}

export const PASTED_NAME = 'pasted.txt';

export const asFile = (text: string): File => new File([text], PASTED_NAME, { type: 'text/plain' });

/** Below this there is nothing to measure, whatever the tokenizer: a token stands for one byte at least. */
const LEAST_BYTES = 64;
/** A page of print. */
const SHORT_WORDS = 400;

/** What is missing, for the one who pastes; null when it will do. Only the tokenizer knows how many tokens there are. */
export function shortfall(text: string): string | null {
  const bytes = new TextEncoder().encode(text).length;
  const words = text.split(/\s+/u).filter((word) => word !== '').length;
  if (bytes < LEAST_BYTES)
    return 'Too short to measure on: a few hundred words are the least that says something, some thousands are better.';
  if (words < SHORT_WORDS)
    return `About ${words} words: enough for a first look; the error will be large. Some thousands are better.`;
  return null;
}
