/** Predicted memory for a number of tokens, from the engine's one model of it. Pure. */
import type { MemoryParts } from '../../../workers/contract/report.ts';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import { formatBytes, formatCount } from '../../lib/format/numbers.ts';
import type { Figure, Run } from '../../store/run.ts';

export const MEMORY_PARTS: readonly { part: keyof MemoryParts; name: string }[] = [
  { part: 'weights', name: 'weights' },
  { part: 'cache', name: 'KV cache' },
  { part: 'activations', name: 'logits' },
  { part: 'runtime', name: 'runtime' },
];

/** Null where the engine has not said. */
export function memoryFor({ memory }: Pick<Figure, 'memory'>, provider: Provider, tokens: number): MemoryParts | null {
  const prediction = memory?.[provider];
  if (!prediction) return null;
  const at = (part: keyof MemoryParts) => Math.round(prediction.fixed[part] + tokens * prediction.perToken[part]);
  return { weights: at('weights'), cache: at('cache'), activations: at('activations'), runtime: at('runtime') };
}

export const memoryTotal = (parts: MemoryParts): number => MEMORY_PARTS.reduce((sum, { part }) => sum + parts[part], 0);

/** `Weights 35.2 MB, KV cache 1.57 MB, logits 4.19 MB, runtime 27.9 MB, for 256 tokens.` */
export function memoryInWords(parts: MemoryParts, tokens: number): string {
  const named = MEMORY_PARTS.map(({ part, name }) => `${name} ${formatBytes(parts[part])}`).join(', ');
  return `${named.charAt(0).toUpperCase()}${named.slice(1)}, for ${formatCount(tokens)} tokens.`;
}

/** Where a run's models are run, and so where their memory is predicted. */
export const providerOf = ({ report }: Pick<Run, 'report'>): Provider =>
  report?.protocol?.provider ?? report?.inputs?.provider ?? 'wasm';
