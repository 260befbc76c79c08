/** A model of a tokenizer as a function: a piece of text to token ids. */

/** `dropped` counts characters that are in no token, not even an unknown one; where there are any, Python's `tokenizers` leaves them out or fails. */
export type EncodeWord = (word: string) => { ids: number[]; dropped: number };
