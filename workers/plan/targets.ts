/**
 * Where a written model is to run, as data: which of the operators that levels write a runtime has no kernel for and how
 * large a model may be. A file's name is never a reason: it can be changed. What is said here of onnxruntime-web is held to the tables that
 * its package carries (targets.test.ts); of CUDA it is that of docs/OperatorKernels.md in onnxruntime.
 */
import type { LevelPlan, Target } from '../contract/level-plan.ts';
import { bytesInWords } from '../lib/bytes-in-words.ts';

/** Facts about a level's file that decide which targets run it. */
export interface WrittenModel {
  /**
   * Operators it has that the model did not, with their domain in front where they have one:
   * `com.microsoft:MatMulNBits`.
   */
  operators: ReadonlySet<string>;
  /** Bytes of all its files. */
  bytes: number;
  data: { file: string } | null;
}

interface TargetFacts {
  name: string;
  /** Operators it runs on the CPU for want of a kernel, activations copied there and back. */
  onCpu?: readonly string[];
  /** Bytes of address space a model has to fit into. */
  memory?: number;
}

/** A WebAssembly memory of 32-bit addresses. */
const WASM_MEMORY = 2 ** 32;

const FACTS: Readonly<Record<Exclude<Target, 'both'>, TargetFacts>> = {
  wasm: { name: 'onnxruntime-web on WebAssembly', memory: WASM_MEMORY },
  webgpu: {
    name: 'onnxruntime-web on WebGPU',
    memory: WASM_MEMORY,
    onCpu: [
      'DynamicQuantizeLinear',
      'MatMulInteger',
      'ConvInteger',
      'com.microsoft:DynamicQuantizeLSTM',
      'com.microsoft:DequantizeLinear',
    ],
  },
  cpu: { name: 'onnxruntime on the CPU' },
  // Its MatMulInteger takes int8 activations only, and DynamicQuantizeLinear makes uint8 ones.
  cuda: {
    name: 'onnxruntime on CUDA',
    onCpu: ['DynamicQuantizeLinear', 'MatMulInteger', 'ConvInteger', 'com.microsoft:DynamicQuantizeLSTM'],
  },
  'transformers.js': { name: 'transformers.js', memory: WASM_MEMORY },
};

/** All targets, in the order they are listed. */
export const TARGETS: readonly Target[] = ['wasm', 'webgpu', 'both', 'cpu', 'cuda', 'transformers.js'];

/** Why a target does not run a level's file as it should, in a sentence; null when it does. */
export function whyUnsupported(target: Target, written: WrittenModel): string | null {
  if (target === 'both') return whyUnsupported('wasm', written) ?? whyUnsupported('webgpu', written);
  const { name, onCpu, memory } = FACTS[target];
  const { operators, bytes } = written;
  if (memory !== undefined && bytes > memory)
    return `The file is ${bytesInWords(bytes)}; ${name} has ${bytesInWords(memory)} of memory for everything.`;
  const missing = onCpu?.filter((operator) => operators.has(operator)) ?? [];
  if (missing.length > 0)
    return `${name} has no kernel for ${missing.join(', ')}: these nodes would run on the CPU, with a copy there and back each time.`;
  return null;
}

/** All targets that do not run a level's file as they should. */
export function unsupportedTargets(written: WrittenModel): NonNullable<LevelPlan['notOn']> {
  return TARGETS.flatMap((target) => {
    const reason = whyUnsupported(target, written);
    return reason === null ? [] : [{ target, reason }];
  });
}
