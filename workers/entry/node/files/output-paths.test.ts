/** Nothing that is read is ever written over, by any of its names. */
import { execFileSync } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { settle } from '../../../contract/errors.ts';
import { fileSink } from './file-sink.ts';
import { makeFolder, protectInputs } from './output-paths.ts';
import { openWholeFile } from './whole-file.ts';
import { writeText } from './write-file.ts';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nibble-paths-'));
  writeFileSync(at('model.onnx'), 'weights');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const bytes = (text: string) => new TextEncoder().encode(text);
const codeOf = async (work: () => Promise<unknown>) => {
  const result = await settle(work);
  return result.ok ? 'ok' : result.error.code;
};

describe('an output that is an input is refused', () => {
  test.each<[string, () => string]>([
    ['by its own name', () => at('model.onnx')],
    ['by another spelling of it', () => `${folder}/./x/../model.onnx`],
    ['by a name that a system may take for the same', () => at('MODEL.onnx')],
    [
      'by a symbolic link',
      () => {
        symlinkSync('model.onnx', at('link'));
        return at('link');
      },
    ],
    [
      'by a chain of them',
      () => {
        symlinkSync('model.onnx', at('one'));
        symlinkSync('one', at('two'));
        return at('two');
      },
    ],
    [
      'by a hard link',
      () => {
        linkSync(at('model.onnx'), at('hard'));
        return at('hard');
      },
    ],
    [
      'through a folder that is a link',
      () => {
        symlinkSync('.', at('here'));
        return at('here', 'model.onnx');
      },
    ],
  ])('%s', async (_, path) => {
    mkdirSync(at('x'));
    const output = path();
    const before = readdirSync(folder);
    const { check } = await protectInputs([at('model.onnx')]);
    expect(await codeOf(() => check([{ path: output, role: '--json', stream: false }]))).toBe('write-failed');
    expect(readdirSync(folder)).toEqual(before);
  });

  test('also where the input was named by a link', async () => {
    symlinkSync('model.onnx', at('named.onnx'));
    const { check } = await protectInputs([at('named.onnx')]);
    for (const name of ['named.onnx', 'model.onnx'])
      expect(await codeOf(() => check([{ path: at(name), role: '--zip' }]))).toBe('write-failed');
  });
});

test.each<[string, () => string[]]>([
  ['two outputs of one name', () => [at('a'), at('a')]],
  ['two that a system may take for the same', () => [at('a'), at('A')]],
  [
    'a folder',
    () => {
      mkdirSync(at('folder'));
      return [at('folder')];
    },
  ],
  [
    'a pipe',
    () => {
      execFileSync('mkfifo', [at('pipe')]);
      return [at('pipe')];
    },
  ],
  ['a folder that is not there', () => [at('nowhere', 'file')]],
  ['a file in place of a folder', () => [at('model.onnx', 'file')]],
])('%s: refused before anything is written', async (_, paths) => {
  const outputs = paths().map((path) => ({ path, role: 'a file' }));
  const before = readdirSync(folder);
  expect(await codeOf(async () => (await protectInputs([])).check(outputs))).toBe('write-failed');
  expect(readdirSync(folder)).toEqual(before);
});

test('other names are free, and checking leaves nothing behind', async () => {
  writeFileSync(at('old.json'), 'old');
  const { check } = await protectInputs([at('model.onnx')]);
  await check([
    { path: at('old.json'), role: '--json' },
    { path: at('new.zip'), role: '--zip' },
  ]);
  expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'old.json']);
});

describe('a file appears when it is whole', () => {
  test('under a name of its own until then, which nobody has', async () => {
    // What earlier versions wrote to.
    writeFileSync(at('out.onnx.part'), 'mine');
    symlinkSync('model.onnx', at('out.onnx'));
    const file = await openWholeFile(at('out.onnx'));
    await file.write(bytes('new'));
    expect(readFileSync(at('out.onnx'), 'utf8')).toBe('weights');
    await file.finish();
    await file.handle.close();
    expect(['out.onnx', 'model.onnx', 'out.onnx.part'].map((name) => readFileSync(at(name), 'utf8'))).toEqual([
      'new',
      'weights',
      'mine',
    ]);
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'out.onnx', 'out.onnx.part']);
  });

  test('two of one name at once are both whole, and each reads its own', async () => {
    const source = new File(['weights'], 'model.onnx');
    const [first, second] = await Promise.all([fileSink(at('out.onnx'), source), fileSink(at('out.onnx'), source)]);
    await first.write(bytes('first'));
    await second.write(bytes('second!'));
    const one = await first.finish();
    const other = await second.finish();
    expect(await other.text()).toBe('second!');
    if (process.platform === 'linux') expect(await one.text()).toBe('first');
    expect(readFileSync(at('out.onnx'), 'utf8')).toBe('second!');
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'out.onnx']);
  });

  test('given up, or with a folder in its place, nothing of it stays', async () => {
    await (await openWholeFile(at('a'))).discard();
    const late = await openWholeFile(at('b'));
    mkdirSync(at('b'));
    expect(await codeOf(() => late.finish())).toBe('write-failed');
    expect(readdirSync(folder).sort()).toEqual(['b', 'model.onnx']);
  });

  test('a copied range and a hash are those of the file', async () => {
    let hash = '';
    const sink = await fileSink(at('out.onnx'), new File(['weights'], 'model.onnx'), {
      onHash: (sha256) => {
        hash = sha256;
      },
    });
    await sink.write(bytes('>'));
    await sink.copy(2, 5);
    await sink.finish();
    expect(readFileSync(at('out.onnx'), 'utf8')).toBe('>igh');
    expect(hash).toBe(Buffer.from(await crypto.subtle.digest('SHA-256', bytes('>igh'))).toString('hex'));
  });
});

test('a report that cannot be written is an error; a pipe is written to and not replaced', async () => {
  if (process.platform === 'linux') expect(await codeOf(() => writeText('/dev/full', 'report'))).toBe('write-failed');
  execFileSync('mkfifo', [at('pipe')]);
  const reading = import('node:fs/promises').then(({ readFile }) => readFile(at('pipe'), 'utf8'));
  await writeText(at('pipe'), 'report');
  expect(await reading).toBe('report');
});

test('folders are made as far as needed, and undone as far as they are empty', async () => {
  const made = await makeFolder(at('a', 'b', 'c'));
  writeFileSync(at('a', 'kept'), '');
  await made.undo();
  expect(readdirSync(at('a'))).toEqual(['kept']);
  expect(await codeOf(() => makeFolder(at('model.onnx', 'x')))).toBe('write-failed');
  if (process.platform === 'linux') expect(await codeOf(() => makeFolder('/proc/nibble-x'))).toBe('write-failed');
});
