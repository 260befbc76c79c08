import { expect, it } from 'vitest';
import { languageReport as REPORT } from '../results/test-reports.ts';
import { hubFolderHolds, hubFolderName, hubJob } from './hub-job.ts';

const blob = new Blob(['model']);

it('has the model, its data and what came along, once there is a report', () => {
  const companions = [new File(['{}'], 'tokenizer.json')];
  const figure = {
    reported: 'int4',
    file: 'model_q4.onnx',
    blob,
    data: { file: 'model_q4.onnx_data', bytes: 4, blob },
  };
  expect(hubJob({ report: null, companions }, figure)).toBeNull();
  expect(hubJob({ report: REPORT, companions }, { ...figure, blob: null })).toBeNull();
  expect(hubJob({ report: REPORT, companions }, figure)).toEqual({
    files: companions,
    report: REPORT,
    models: [{ level: 'int4', file: 'model_q4.onnx', blob, data: { file: 'model_q4.onnx_data', blob } }],
  });
  expect(hubJob({ report: REPORT, companions }, { ...figure, data: null })?.models).toEqual([
    { level: 'int4', file: 'model_q4.onnx', blob },
  ]);
  expect(hubFolderName('model_q4.onnx')).toBe('model_q4-hub.zip');
});

it('says what is in it, and why something is not', () => {
  expect(hubFolderHolds({ companions: [new File(['{}'], 'tokenizer.json')] })).toContain(
    'its configuration and tokenizer files, and a card',
  );
  expect(hubFolderHolds({ companions: [] })).toContain('were dropped, so there are none in it.');
  const none = hubFolderHolds({ companions: [] });
  const storedAt = '2026-01-01T00:00:00.000Z';
  expect(hubFolderHolds({ companions: [], storedAt })).not.toBe(none);
  expect(hubFolderHolds({ companions: [], storedAt, companionsStored: true })).toBe(none);
});
