/** How long a step of a comparison took, as it is remembered. */
import type { Provider } from '../../../workers/contract/capabilities.ts';
import type { TimedStep } from '../../../workers/contract/events.ts';

/** What `amount` of a step took, of a model of `size` parameters. */
export interface Pace {
  step: TimedStep;
  provider: Provider | null;
  kind: string;
  size: number;
  amount: number;
  seconds: number;
}
