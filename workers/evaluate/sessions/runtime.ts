/**
 * onnxruntime-web as the tab loads it: the build without WebGPU, whose one WASM file (SIMD, threads) and its loader
 * are named here as the site's own assets. In Node this build cannot be loaded; see evaluator.node.ts.
 */
import * as ort from 'onnxruntime-web/wasm';
import loaderUrl from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';

ort.env.wasm.wasmPaths = {
  mjs: new URL(loaderUrl, self.location.href).href,
  wasm: new URL(wasmUrl, self.location.href).href,
};

export { ort };
