/** Levels as reports spell them, in words. Pure. */

const WORDS: readonly [RegExp, string | ((value: string, id: string) => string)][] = [
  [/^mode=dynamic$/, 'dynamic'],
  [/^mode=dequantize$/, (_, id) => (id === 'int8' ? 'per channel' : 'DequantizeLinear')],
  [/^block=(\d+)$/, (block) => `block ${block}`],
  [/^asymmetric$/, 'asymmetric'],
  [/^head=keep$/, 'head kept'],
  [/^embedding=tokens$/, 'embedding'],
  [/^embedding$/, 'all tables'],
  [/^source=original$/, 'from float32'],
  [/^exclude=(.*)$/, (patterns) => `without ${patterns.replaceAll('|', ' ')}`],
  [
    /^override=(.*)$/,
    (list) =>
      list
        .split('|')
        .map((entry) => entry.replace(/=([^=]*)$/, ' as $1'))
        .join(', '),
  ],
];

/** `int4:block=128,embedding=tokens` → `int4, block 128, embedding`. What is not known stays as it is. */
export function spellingInWords(spelling: string): string {
  const at = spelling.indexOf(':');
  if (at < 0) return spelling;
  const id = spelling.slice(0, at);
  return [
    id,
    ...spelling
      .slice(at + 1)
      .split(',')
      .map((part) => {
        for (const [pattern, words] of WORDS) {
          const match = pattern.exec(part);
          if (match) return typeof words === 'string' ? words : words(match[1] ?? '', id);
        }
        return part;
      }),
  ].join(', ');
}
