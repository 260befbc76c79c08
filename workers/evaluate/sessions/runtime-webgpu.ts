/**
 * onnxruntime-web's build with the WebGPU provider, as the tab loads it: only when a model is to run on WebGPU, for its
 * WASM file is twice the size of the plain build's. The variant is the one that needs nothing of the browser beside
 * WebGPU (asyncify); the one built on JSPI is smaller, and not for every browser.
 */
import * as ort from 'onnxruntime-web/webgpu';
import loaderUrl from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';

ort.env.wasm.wasmPaths = {
  mjs: new URL(loaderUrl, self.location.href).href,
  wasm: new URL(wasmUrl, self.location.href).href,
};

export { ort };
