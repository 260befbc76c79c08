/** Names of the files levels are written to, as transformers.js looks for them. */

/** `model_fp16.onnx` at level int4 becomes `model_q4.onnx`, the names transformers.js looks for. */
export function fileName(model: string, suffix: string): string {
  // On Windows a backslash parts folders, too.
  const base = model.split(/[/\\]/).at(-1) ?? model;
  return `${base.replace(/\.onnx$/i, '').replace(/_(fp16|fp32|float16|float32)$/i, '') || 'model'}${suffix}.onnx`;
}

/** What transformers.js and Optimum call the data file of a model. */
export function dataFileName(model: string): string {
  return `${model}_data`;
}
