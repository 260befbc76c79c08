/**
 * Where a written model is to run, as data: which of the operators that levels write a runtime has no kernel for, how
 * large a model may be, and which names it looks for. What is said here of onnxruntime-web is held to the tables that
 * its package carries (targets.test.ts); of CUDA it is that of docs/OperatorKernels.md in onnxruntime.
 */
import type { LevelPlan, Target } from '../protocol.ts';
import { bytesInWords } from './ledger.ts';

/** What has to be known of a level's file to tell. */
export interface ToRun {
  /** Operators it has that the model did not, with their domain in front where they have one: `com.microsoft:MatMulNBits`. */
  operators: ReadonlySet<string>;
  /** Of all files. */
  bytes: number;
  data: { file: string } | null;
  /** File name of the model. */
  file: string;
}

interface TargetFacts {
  name: string;
  /** Operators it runs on the CPU for want of a kernel, activations copied there and back. */
  onCpu?: readonly string[];
  /** Bytes of address space a model has to fit into. */
  memory?: number;
  /** Ends of file names it looks for, by what it calls them. */
  suffixes?: Readonly<Record<string, string>>;
}

/** A WebAssembly memory of 32-bit addresses. */
const WASM_MEMORY = 2 ** 32;

const FACTS: Readonly<Record<Exclude<Target, 'both'>, TargetFacts>> = {
  'wasm': { name: 'onnxruntime-web on WebAssembly', memory: WASM_MEMORY },
  'webgpu': {
    name: 'onnxruntime-web on WebGPU', memory: WASM_MEMORY,
    onCpu: ['DynamicQuantizeLinear', 'MatMulInteger', 'ConvInteger', 'com.microsoft:DynamicQuantizeLSTM', 'com.microsoft:DequantizeLinear'],
  },
  'cpu': { name: 'onnxruntime on the CPU' },
  // Its MatMulInteger takes int8 activations only, and DynamicQuantizeLinear makes uint8 ones.
  'cuda': { name: 'onnxruntime on CUDA', onCpu: ['DynamicQuantizeLinear', 'MatMulInteger', 'ConvInteger', 'com.microsoft:DynamicQuantizeLSTM'] },
  'transformers.js': {
    name: 'transformers.js', memory: WASM_MEMORY,
    suffixes: { fp16: '_fp16', int8: '_int8', uint8: '_uint8', q8: '_quantized', q4: '_q4', q4f16: '_q4f16' },
  },
};

export const TARGETS: readonly Target[] = ['wasm', 'webgpu', 'both', 'cpu', 'cuda', 'transformers.js'];

/** Why a level's file is nothing for a target, in a sentence; null when it runs there as it should. */
export function whyNotOn(target: Target, written: ToRun): string | null {
  if (target === 'both') return whyNotOn('wasm', written) ?? whyNotOn('webgpu', written);
  const { name, onCpu, memory, suffixes } = FACTS[target];
  const { operators, bytes, file } = written;
  if (memory !== undefined && bytes > memory) return `It is ${bytesInWords(bytes)} large, and ${name} has ${bytesInWords(memory)} of memory for everything.`;
  const missing = onCpu?.filter((operator) => operators.has(operator)) ?? [];
  if (missing.length > 0) return `It uses ${missing.join(', ')}, which ${name} has no kernel for: those nodes run on the CPU, and what they compute with is copied there and back.`;
  const stem = file.replace(/\.onnx$/i, '');
  if (suffixes && !Object.values(suffixes).some((suffix) => stem.endsWith(suffix))) {
    return `It is called ${file}, and ${name} looks for names that end in ${Object.values(suffixes).join(', ')}: rename it to be found.`;
  }
  return null;
}

/** All targets a level's file is nothing for. */
export function notOn(written: ToRun): NonNullable<LevelPlan['notOn']> {
  return TARGETS.flatMap((target) => {
    const reason = whyNotOn(target, written);
    return reason === null ? [] : [{ target, reason }];
  });
}
