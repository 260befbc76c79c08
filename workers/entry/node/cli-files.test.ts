/** What the command line reads, what it writes, and what it leaves alone. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
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
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { byteTokenizer, matMulModel, randomValues, splitModel, tinyLanguageModel } from '../../../models/build.ts';
import type { Report } from '../../contract/report.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const program = join(import.meta.dirname, '..', '..', '..', '.ci', 'nibble.mjs');
let folder: string;
const at = (...names: string[]) => join(folder, ...names);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nibble-cli-files-'));
  writeFileSync(at('ok.onnx'), matMulModel(randomValues(1, 64 * 64), 64, 64));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function nibble(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...argv, '--quiet'], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

/** A product whose weights lie in another file. */
function split(location: string) {
  const { model, files } = splitModel(matMulModel(randomValues(1, 64 * 64), 64, 64), () => location);
  return { model, data: [...files.values()][0]! };
}

test('quantize writes the same files as compare, with their hashes in the report', () => {
  expect(
    nibble('quantize', 'ok.onnx', '--level', 'int8', '--level', 'int4', '--out', 'q/deep', '--json', 'q.json'),
  ).toMatchObject({ status: 0 });
  expect(nibble('compare', 'ok.onnx', '--level', 'int8', '--level', 'int4', '--out', 'c')).toMatchObject({ status: 0 });
  expect(readdirSync(at('q', 'deep'))).toEqual(readdirSync(at('c')));
  const report = JSON.parse(readFileSync(at('q.json'), 'utf8')) as Report;
  expect(report.levels.map(({ file, bytes, ledger }) => [file, bytes, ledger.length])).toEqual(
    readdirSync(at('c')).map((name) => [name, readFileSync(at('c', name)).length, 1]),
  );
  for (const { file, sha256 } of report.levels) {
    expect(readFileSync(at('q', 'deep', file))).toEqual(readFileSync(at('c', file)));
    expect(sha256).toBe(
      createHash('sha256')
        .update(readFileSync(at('c', file)))
        .digest('hex'),
    );
  }
  expect([report.protocol, report.inputs]).toEqual([null, null]);
});

test('the model may lie in a cache of links, as the Hugging Face Hub keeps it', () => {
  const { model, data } = split('model.onnx_data');
  mkdirSync(at('hub', 'blobs'), { recursive: true });
  mkdirSync(at('hub', 'snapshots', 'abc', 'onnx'), { recursive: true });
  writeFileSync(at('hub', 'blobs', '111'), data);
  writeFileSync(at('hub', 'blobs', '222'), model);
  symlinkSync('../../../blobs/222', at('hub', 'snapshots', 'abc', 'onnx', 'model.onnx'));
  symlinkSync('../../../blobs/111', at('hub', 'snapshots', 'abc', 'onnx', 'model.onnx_data'));
  expect(nibble('quantize', 'hub/snapshots/abc/onnx/model.onnx', '--level', 'int4', '--out', 'from-hub')).toMatchObject(
    { status: 0 },
  );
  // A link to anywhere else is refused.
  rmSync(at('hub', 'snapshots', 'abc', 'onnx', 'model.onnx_data'));
  writeFileSync(at('elsewhere'), data);
  symlinkSync('../../../../elsewhere', at('hub', 'snapshots', 'abc', 'onnx', 'model.onnx_data'));
  expect(nibble('quantize', 'hub/snapshots/abc/onnx/model.onnx', '--level', 'int4', '--out', 'never')).toMatchObject({
    status: 1,
  });
  expect(existsSync(at('never'))).toBe(false);
});

test('weights in a file of any name beside the model are left alone', () => {
  const { model, data } = split('part_q4.onnx.part');
  mkdirSync(at('part'));
  writeFileSync(at('part', 'part.onnx'), model);
  writeFileSync(at('part', 'part_q4.onnx.part'), data);
  expect(nibble('quantize', 'part/part.onnx', '--level', 'int4', '--out', 'part')).toMatchObject({ status: 0 });
  expect(readFileSync(at('part', 'part_q4.onnx.part'))).toEqual(Buffer.from(data));
  expect(readdirSync(at('part')).sort()).toEqual(['part.onnx', 'part_fp16.onnx', 'part_q4.onnx', 'part_q4.onnx.part']);
});

test.each<[string, string[]]>([
  ['the model as report', ['--out', 'n', '--json', 'ok.onnx']],
  ["a level's file as report", ['--out', 'n', '--json', 'n/ok_q4.onnx']],
  ['one file for report and archive', ['--out', 'n', '--json', 'r', '--zip', 'r']],
  ["a folder in place of a level's file", ['--out', 'taken']],
  ['a file in place of a folder', ['--out', 'ok.onnx/n']],
  ['a folder that takes no files', ['--out', '/proc/nibble']],
])('%s: refused with a sentence, and nothing is written', (_, argv) => {
  mkdirSync(at('taken', 'ok_q4.onnx'), { recursive: true });
  const before = readFileSync(at('ok.onnx'));
  const names = readdirSync(folder);
  const { status, stderr } = nibble('quantize', 'ok.onnx', '--level', 'int4', ...argv);
  expect(status).toBe(1);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(readFileSync(at('ok.onnx'))).toEqual(before);
  expect(readdirSync(folder)).toEqual(names);
  expect(readdirSync(at('taken'))).toEqual(['ok_q4.onnx']);
});

test('names from the model reach a terminal escaped and short', () => {
  writeFileSync(at('escape.onnx'), split(`\u001b]0;owned\u0007\u009b2J\u202e${'x'.repeat(100_000)}`).model);
  const { status, stderr } = nibble('quantize', 'escape.onnx', '--out', 'n');
  expect(status).toBe(1);
  expect(stderr.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  expect(stderr.length).toBeLessThan(1000);
});

test('a text is text, whatever is in it and whatever it is called', () => {
  writeFileSync(
    at('lm.onnx'),
    tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true }),
  );
  writeFileSync(at('tokenizer.json'), byteTokenizer());
  const text = 'The whiteness of the whale. '.repeat(40);
  const measure = (name: string, content: string | Buffer) => {
    writeFileSync(at(name), content);
    const { status } = nibble(
      'compare',
      'lm.onnx',
      '--tokenizer',
      'tokenizer.json',
      '--text',
      name,
      '--level',
      'int8',
      '--threads',
      '1',
      '--json',
      'text.json',
    );
    const { protocol, levels, notes } = JSON.parse(readFileSync(at('text.json'), 'utf8')) as Report;
    return { status, tokens: protocol?.textTokens, perplexity: levels[0]?.perplexity?.value, notes: notes.length };
  };
  const plain = measure('README.md', text);
  expect(plain).toMatchObject({ status: 0, tokens: text.length });
  expect(measure('utf16.json', Buffer.from(`\ufeff${text}`, 'utf16le'))).toEqual(plain);
  expect(measure('object.json', JSON.stringify({ text }))).toMatchObject({
    status: 0,
    tokens: JSON.stringify({ text }).length,
    notes: plain.notes + 1,
  });
  expect(measure('empty.txt', '')).toMatchObject({ status: 1, tokens: undefined });
});

test('a report that standard output does not take is an error', () => {
  const { status } = spawnSync(
    'bash',
    ['-c', `"${process.execPath}" "${program}" quantize ok.onnx --out f --quiet --json - > /dev/full`],
    { cwd: folder, encoding: 'utf8' },
  );
  expect(status).toBe(1);
});
