import { expect, it } from 'vitest';
import { spellingInWords } from './level-words.ts';

it.each([
  ['fp16', 'fp16'],
  ['int4:block=128,embedding=tokens', 'int4, block 128, embedding'],
  ['int4:asymmetric,head=keep,embedding', 'int4, asymmetric, head kept, all tables'],
  ['int8:mode=dequantize', 'int8, per channel'],
  ['int4:mode=dequantize,source=original', 'int4, DequantizeLinear, from float32'],
  ['int8:mode=dynamic,exclude=lm_head*|model.0', 'int8, dynamic, without lm_head* model.0'],
  ['int4:override=a=b=int8|c=int4', 'int4, a=b as int8, c as int4'],
  ['int4:later=7', 'int4, later=7'],
])('%s', (spelling, words) => {
  expect(spellingInWords(spelling)).toBe(words);
});
