import fc from 'fast-check';
import { expect, test } from 'vitest';
import { normalizeLocation, whyLocationInvalid } from './location.ts';

test.each([
  'model.onnx_data',
  'a/b/c.bin',
  './weights',
  'weights..bin',
  '..hidden',
  'ümlaut data',
  'a//b',
  'sub//../ok.bin',
  'a/b/../../c',
])('%s is beside the model', (location) => {
  expect(whyLocationInvalid(location)).toBeNull();
});

test.each<[string, RegExp]>([
  ['', /no file/],
  ['.', /no file/],
  ['/etc/passwd', /absolute/],
  ['//server/share', /absolute/],
  ['C:weights', /drive/],
  ['c:/weights', /drive/],
  ['..\\weights', /backslash/],
  ['a\\b', /backslash/],
  ['../weights', /out of its folder/],
  ['a/../../weights', /out of its folder/],
  ['a/../../a/weights', /out of its folder/],
  ['a/..', /no file/],
  ['..', /out of its folder/],
  ['*/_ORT_MEM_ADDR_/*', /memory/],
  ['a\0b', /no file name/],
  ['folder/', /folder/],
])('%j is not', (location, why) => {
  expect(whyLocationInvalid(location)).toMatch(why);
});

test('what is accepted stays inside whatever it is joined to', () => {
  const step = fc.constantFrom('..', '.', '', 'a', 'b.bin', '\\', 'C:');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6 }), (steps) => {
      const location = steps.join('/');
      fc.pre(whyLocationInvalid(location) === null);
      expect(new URL(normalizeLocation(location), 'file:///model/folder/').pathname).toMatch(/^\/model\/folder\//);
    }),
  );
});

test('two spellings of a file are one', () => {
  expect([normalizeLocation('./a//b/./c'), normalizeLocation('x/..//a/b/c')]).toEqual(['a/b/c', 'a/b/c']);
});
