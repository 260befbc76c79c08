/**
 * Paces that are assumed before anything was measured on a machine: those of the sample model on two cores of a shared
 * x86 server, as `npm run bench:forecast -- --paces` prints them. On another machine they are scaled by its pace.
 */
import type { Pace } from './paces.ts';

/** `Capabilities.pace` of the machine these are of. */
export const ASSUMED_MACHINE_PACE = 8e8;

export const ASSUMED: readonly Pace[] = [
  { step: 'open', provider: null, kind: '', size: 5_830_656, amount: 11_733_455, seconds: 0.3 },
];
