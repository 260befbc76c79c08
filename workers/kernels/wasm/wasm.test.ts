import { kernelSuite } from '../suite.ts';
import { createWasmKernel } from './kernel.ts';

kernelSuite('wasm', createWasmKernel);
