/** Inputs of a model that was widened to float32. */
import type { HostTensor } from './graph-session.ts';
import { floatValues } from '../outputs/tensor-difference.ts';

/** The same inputs with float16 as float32. */
export function widenFeeds(feeds: Readonly<Record<string, HostTensor>>): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => {
      const values = tensor.type === 'float16' ? floatValues(tensor) : null;
      return [name, values ? { ...tensor, type: 'float32', data: values } : tensor];
    }),
  );
}
