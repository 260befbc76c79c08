import { expect, it } from 'vitest';
import { imageReport, languageReport } from '../results/test-reports.ts';
import { reportCsv } from './csv.ts';

const rowsOf = (csv: string) =>
  csv
    .trimEnd()
    .split('\r\n')
    .map((line) => line.split(','));

it('has a line for each level, with every figure and its error in full', () => {
  const [head = [], fp16 = [], int8 = []] = rowsOf(reportCsv(languageReport));
  const of = (row: string[], column: string) => row[head.indexOf(column)];
  const [baseline, level] = languageReport.levels;
  expect(of(fp16, 'level')).toBe('fp16');
  expect(Number(of(fp16, 'perplexity'))).toBe(baseline?.perplexity?.value);
  expect(of(fp16, 'kld')).toBe('');
  expect(Number(of(int8, 'kld'))).toBe(level?.drift?.kld.mean);
  expect(Number(of(int8, 'kld_error'))).toBe(level?.drift?.kld.error);
  expect(Number(of(int8, 'kldP99'))).toBe(level?.drift?.kld.p99);
  expect(Number(of(int8, 'decode_wasm'))).toBe(
    level?.speed?.find(({ provider }) => provider === 'wasm')?.decode?.tokensPerSecond.median,
  );
  expect(head).not.toContain('sqnr');
});

it('has the worst of the outputs of a model that is run on inputs', () => {
  const [head = [], , int8 = []] = rowsOf(reportCsv(imageReport));
  const worst = Math.min(...(imageReport.levels[1]?.outputs ?? []).map(({ sqnr }) => sqnr ?? Infinity));
  expect(Number(int8[head.indexOf('sqnr')])).toBe(worst);
  expect(head).not.toContain('perplexity');
});

it('quotes what would end a cell', () => {
  const [level] = languageReport.levels;
  const named = { ...languageReport, levels: level ? [{ ...level, file: 'a,"b".onnx' }] : [] };
  expect(reportCsv(named)).toContain('"a,""b"".onnx"');
});
