/** What this machine offers: backends, providers, threads. */

/** Execution providers of onnxruntime-web that models are run on. */
export const PROVIDER_IDS = ['wasm', 'webgpu'] as const;

/** An execution provider of onnxruntime-web. */
export type Provider = (typeof PROVIDER_IDS)[number];

/** What quantization kernels run on. `reference` is the readable implementation that tests compare the others with. */
export const BACKEND_IDS = ['webgpu', 'wasm', 'reference'] as const;

/** What the kernels of a job run on. */
export type Backend = (typeof BACKEND_IDS)[number];

/** What this machine offers, as a result rather than a silence. */
export interface Capabilities {
  /** The backend quantization kernels run on. */
  backend: Exclude<Backend, 'reference'>;
  /** `software`: emulated on the CPU, right but slow. */
  webgpu: { available: true; adapter: string; f16: boolean; software?: boolean } | { available: false; reason: string };
  /** Cross-origin isolated: shared memory and therefore WASM threads. */
  isolated: boolean;
  /** Threads the WASM evaluator uses. */
  threads: number;
  /** Parameters a second that one thread of the WASM kernel quantizes: how fast this machine is just now. Absent where it was not tried. */
  pace?: number;
}
