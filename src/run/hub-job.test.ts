import { expect, it } from 'vitest';
import { languageReport as REPORT } from '../report/test-reports.ts';
import { hubFolderName, hubJob } from './hub-job.ts';

const blob = new Blob(['model']);

it('has the model, its data and what came along, once there is a report', () => {
  const companions = [new File(['{}'], 'tokenizer.json')];
  const figure = { reported: 'int4', file: 'model_q4.onnx', blob, data: { file: 'model_q4.onnx_data', bytes: 4, blob } };
  expect(hubJob({ report: null, companions }, figure)).toBeNull();
  expect(hubJob({ report: REPORT, companions }, { ...figure, blob: null })).toBeNull();
  expect(hubJob({ report: REPORT, companions }, figure)).toEqual({
    files: companions, report: REPORT, models: [{ level: 'int4', file: 'model_q4.onnx', blob, data: { file: 'model_q4.onnx_data', blob } }],
  });
  expect(hubJob({ report: REPORT, companions }, { ...figure, data: null })?.models).toEqual([{ level: 'int4', file: 'model_q4.onnx', blob }]);
  expect(hubFolderName('model_q4.onnx')).toBe('model_q4-hub.zip');
});
