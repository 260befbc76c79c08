/** The command as people and scripts run it: exit codes, standard output, standard error, files. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { byteTokenizer, randomValues, splitModel, tinyLanguageModel, twoOutputModel } from '../../../models/build.ts';
import type { Report } from '../../contract/report.ts';

const root = join(import.meta.dirname, '..', '..', '..');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nibble-cli-'));
  writeFileSync(
    join(folder, 'tiny.onnx'),
    tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: true }),
  );
  writeFileSync(join(folder, 'tokenizer.json'), byteTokenizer());
  writeFileSync(join(folder, 'text.md'), 'The whiteness of the whale. '.repeat(50));
  writeFileSync(join(folder, 'short.txt'), 'short');
  writeFileSync(join(folder, 'pointer.onnx'), 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n');
  writeFileSync(join(folder, 'empty.onnx'), '');
  writeFileSync(join(folder, 'two.onnx'), twoOutputModel());
  writeFileSync(
    join(folder, 'features.json'),
    JSON.stringify({ features: [Array.from(randomValues(1, 48)), Array.from(randomValues(2, 48))] }),
  );
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Runs the command in the folder; the first run builds it. */
function nibble(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, '.ci', 'nibble.mjs'), ...argv], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

describe('compare', () => {
  test('writes every level and the report', () => {
    const { status, stdout } = nibble(
      'compare',
      'tiny.onnx',
      '--tokenizer',
      'tokenizer.json',
      '--text',
      'text.md',
      '--level',
      'int8',
      '--level',
      'int4:block=16,embedding',
      '--out',
      'out',
      '--json',
      'report.json',
      '--threads',
      '1',
    );
    expect(status).toBe(0);
    expect(readdirSync(join(folder, 'out')).sort()).toEqual([
      'tiny_fp16.onnx',
      'tiny_int8.onnx',
      'tiny_q4_block16_embedding.onnx',
    ]);
    const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as Report;
    expect(report.schema).toBe('nibble.report/1');
    expect(report.levels.map(({ file, bytes }) => readFileSync(join(folder, 'out', file)).length === bytes)).toEqual([
      true,
      true,
      true,
    ]);
    expect(report.levels[2]?.drift?.kld.mean).toBeGreaterThan(0);
    expect(stdout).toMatch(/int4:block=16,embedding/);
  });

  test('--speed measures each level in a heap of its own', () => {
    const { status, stdout } = nibble(
      'compare',
      'tiny.onnx',
      '--level',
      'int8',
      '--threads',
      '1',
      '--speed',
      '--json',
      'speed.json',
    );
    expect(status).toBe(0);
    const { levels } = JSON.parse(readFileSync(join(folder, 'speed.json'), 'utf8')) as Report;
    for (const { speed } of levels) {
      expect(speed).toMatchObject([
        { provider: 'wasm', threads: 1, problem: null, decode: { cached: false }, run: null, memory: { gpu: null } },
      ]);
      expect(speed?.[0]?.load?.low).toBeGreaterThan(0);
      expect(speed?.[0]?.prefill?.tokensPerSecond.median).toBeGreaterThan(0);
      // Of a model of some kilobytes: what the runtime begins with, which several levels in one heap would exceed.
      expect(speed?.[0]?.memory?.heap).toBeGreaterThan(1e6);
      expect(speed?.[0]?.memory?.heap).toBeLessThan(60e6);
    }
    expect(stdout).toMatch(/prefill, tokens\/s/);
  });

  test('external data beside the model, a zip of all, and levels that a target runs', () => {
    const { model, files } = splitModel(
      tinyLanguageModel({ vocabulary: 256, width: 64, hidden: 96, type: 'float32', tied: false }),
      (name) => `weights/${name}`,
    );
    mkdirSync(join(folder, 'export', 'weights'), { recursive: true });
    writeFileSync(join(folder, 'export', 'apart.onnx'), model);
    writeFileSync(join(folder, 'export', 'config.json'), '{"model_type": "tiny"}');
    for (const [location, bytes] of files) writeFileSync(join(folder, 'export', location), bytes);
    const argv = [
      'compare',
      'export/apart.onnx',
      '--quiet',
      '--level',
      'int8:mode=dynamic',
      '--level',
      'int4',
      '--target',
      'webgpu',
      '--out',
      'whole',
      '--zip',
      'hub.zip',
    ];
    const { status, stderr } = nibble(...argv);
    expect(stderr).toMatch(/int8:mode=dynamic: .*MatMulInteger/);
    expect(status).toBe(1);
    expect(readdirSync(join(folder, 'whole')).sort()).toEqual(['apart_fp16.onnx', 'apart_q4.onnx']);
    const archive = readFileSync(join(folder, 'hub.zip'), 'latin1');
    for (const name of ['README.md', 'config.json', 'onnx/model_fp16.onnx', 'onnx/model_q4.onnx'])
      expect(archive).toContain(name);

    rmSync(join(folder, 'export', 'weights', 'embed.weight'));
    expect(nibble('compare', 'export/apart.onnx', '--quiet')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/weights\/embed\.weight is missing/) as string,
    });
    writeFileSync(join(folder, 'outside'), '');
    symlinkSync(join(folder, 'outside'), join(folder, 'export', 'weights', 'embed.weight'));
    expect(nibble('compare', 'export/apart.onnx', '--quiet')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/a link that leads out of its folder/) as string,
    });
  });

  test('--json - prints nothing but the report', () => {
    const { status, stdout } = nibble('compare', 'tiny.onnx', '--level', 'int8', '--json', '-');
    expect(status).toBe(0);
    expect((JSON.parse(stdout) as Report).levels).toHaveLength(2);
  });

  test.each<[string, string[], number, RegExp]>([
    ['a missing file', ['nowhere.onnx'], 1, /nowhere\.onnx cannot be read/],
    ['an empty file', ['empty.onnx'], 1, /empty\.onnx is empty/],
    ['a Git LFS pointer', ['pointer.onnx'], 1, /Git LFS pointer/],
    ['a text too short', ['tiny.onnx', '--tokenizer', 'tokenizer.json', '--text', 'short.txt'], 1, /needs at least 64/],
    [
      'something that is no tokenizer',
      ['tiny.onnx', '--tokenizer', 'text.md', '--text', 'text.md'],
      1,
      /text\.md is not a tokenizer\.json/,
    ],
    ['an input that is none', ['two.onnx', '--input', 'text.md'], 1, /text\.md is nothing a model can be run on/],
    ['an unknown level', ['tiny.onnx', '--level', 'int3'], 2, /no level called "int3"/],
    ['an unknown option', ['tiny.onnx', '--fast'], 2, /--fast/],
  ])('%s: exit code and a sentence', (_, argv, code, message) => {
    const { status, stderr, stdout } = nibble('compare', ...argv);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(status).toBe(code);
    expect(stdout).not.toMatch(/KL divergence/);
  });

  test('without tokenizer and text outputs are compared on random inputs, and that is said', () => {
    const { status, stdout } = nibble('compare', 'tiny.onnx', '--quiet', '--level', 'int8');
    expect(status).toBe(0);
    expect(stdout).toMatch(/There is no tokenizer.* random inputs/);
    expect(stdout).toMatch(/int8 +logits \[1, 16, 256\] +\d+\.\d+ dB +0\.999\d+/);
  });

  test('--input gives what the model is run on', () => {
    const { status, stdout, stderr } = nibble('compare', 'two.onnx', '--input', 'features.json', '--json', 'two.json');
    expect([status, stderr.includes('not a language model')]).toEqual([0, false]);
    expect(stdout).toMatch(
      /Against fp16 on 2 samples of inputs from files: features float32\[1, 48\] \(features\.json\)/,
    );
    expect(stdout.match(/^int[48] +(embedding|label) /gm)).toEqual([
      expect.stringMatching(/^int8 +embedding /),
      expect.stringMatching(/^int8 +label /),
      expect.stringMatching(/^int4 +embedding /),
      expect.stringMatching(/^int4 +label /),
    ]);
    const report = JSON.parse(readFileSync(join(folder, 'two.json'), 'utf8')) as Report;
    expect(report.inputs).toMatchObject({ kind: 'files', samples: 2 });
    expect(report.levels[2]?.outputs?.[0]?.sqnr).toBeGreaterThan(10);
  });
});

test('Ctrl-C while measuring reports what has been measured', async () => {
  writeFileSync(join(folder, 'long.txt'), 'The whiteness of the whale. '.repeat(60_000));
  const child = spawn(
    process.execPath,
    [
      join(root, '.ci', 'nibble.mjs'),
      'compare',
      'tiny.onnx',
      '--tokenizer',
      'tokenizer.json',
      '--text',
      'long.txt',
      '--level',
      'int8',
      '--threads',
      '1',
      '--json',
      'partial.json',
    ],
    { cwd: folder },
  );
  let stderr = '';
  child.stdout.resume();
  child.stderr.on('data', (data: Buffer) => {
    if (!stderr.includes('Measuring') && `${stderr}${data.toString()}`.includes('Measuring')) child.kill('SIGINT');
    stderr += data.toString();
  });
  const status = await new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  expect(stderr).toMatch(/Finished early: \d+ of 3281 windows/);
  expect(status).toBe(0);
  const report = JSON.parse(readFileSync(join(folder, 'partial.json'), 'utf8')) as Report;
  expect(report.protocol).toMatchObject({ stoppedEarly: true, plannedChunks: 3281 });
  expect(report.notes.join()).toMatch(/Stopped early/);
});

test('--help prints the usage', () => {
  expect(nibble('--help')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Usage: /) as string });
});
