/**
 * How long each kind of step took on this machine, and how long one will take. The only numbers that are not measured
 * here are the assumed ones, which serve until there are measured ones. Pure.
 */
import { greatest } from '../../../workers/contract/extremes.ts';
import type { TimedStep } from '../../../workers/contract/events.ts';
import { ASSUMED, ASSUMED_MACHINE_PACE } from './assumed.ts';
import type { Pace } from './pace.ts';
import type { Step } from './steps.ts';

/** The last learned last. */
export type Paces = readonly Pace[];

/** The work of a step, without its place in a run. */
export type Work = Pick<Step, 'step' | 'provider' | 'kind' | 'size' | 'amount'>;

/**
 * How the time of a unit grows with the model: a token takes time in proportion to the parameters; measuring speed
 * takes some seconds whatever the model is. Where the amount is in bytes the model does not count again.
 */
const GROWTH: Readonly<Record<TimedStep, number>> = {
  open: 0,
  quantize: 0,
  start: 0,
  tokenize: 0,
  load: 0,
  run: 1,
  overflow: 0.5,
  'runtime-drift': 0.3,
  speed: 0.25,
};
/** Seconds that models and files take however small they are; the last two start a worker and a runtime of their own. */
const LEAST: Partial<Record<TimedStep, number>> = { quantize: 0.02, load: 0.05, overflow: 1, speed: 2 };
/** A model this many times as large or as small is another case: what is assumed of it, and how this machine compares, says more. */
const SIMILAR = 4;
/** Models within this factor share an entry. */
const SAME = Math.SQRT2;
/** Share of the newest in a remembered pace. */
const NEWEST = 0.6;
const MOST_PACES = 200;

const secondsBy = (pace: Pace, { step, size, amount }: Work): number =>
  pace.seconds * (amount / pace.amount) * (GROWTH[step] === 0 ? 1 : (size / pace.size) ** GROWTH[step]);

const isSame = (a: Work, b: Work): boolean => a.step === b.step && a.provider === b.provider && a.kind === b.kind;
const timesApart = (a: number, b: number): number => Math.max(a / b, b / a);

/** Of those for the same work, the one of the model nearest in size. */
function nearest(paces: Paces, work: Work): Pace | null {
  return paces
    .filter((pace) => isSame(pace, work))
    .reduce<Pace | null>(
      (best, pace) => (best && timesApart(best.size, work.size) <= timesApart(pace.size, work.size) ? best : pace),
      null,
    );
}

/** By the assumed paces: of the same kind, else of kinds that compute alike, else of the slowest of the step. */
function assumedSeconds(work: Work): number {
  const [id = ''] = work.kind.split(' ');
  const ofStep = ASSUMED.filter(({ step, provider }) => step === work.step && provider === work.provider);
  const candidates =
    [ofStep.filter(({ kind }) => kind === work.kind), ofStep.filter(({ kind }) => kind === id), ofStep].find(
      (list) => list.length > 0,
    ) ?? ASSUMED.filter(({ step }) => step === work.step);
  return greatest(
    candidates.map((pace) => secondsBy(pace, work)),
    LEAST[work.step] ?? 0,
  );
}

/** How many times as long as assumed this machine takes: by what was measured, else by a moment's calibration. */
function slowness(paces: Paces, { step, provider }: Work, machinePace: number | null): number {
  const list = [
    paces.filter((pace) => pace.step === step && pace.provider === provider),
    paces.filter((pace) => pace.step === step),
    paces,
  ].find((some) => some.length > 0);
  if (!list) return machinePace ? ASSUMED_MACHINE_PACE / machinePace : 1;
  // By time: a step of seconds says more than one of milliseconds.
  return (
    list.reduce((sum, { seconds }) => sum + seconds, 0) / list.reduce((sum, pace) => sum + assumedSeconds(pace), 0)
  );
}

/**
 * Seconds that a step will take.
 * @param machinePace `Capabilities.pace`, for a machine that nothing was measured on; null when unknown.
 */
export function secondsOf(work: Work, paces: Paces, machinePace: number | null): number {
  const measured = nearest(paces, work);
  if (measured && timesApart(measured.size, work.size) <= SIMILAR)
    return Math.max(LEAST[work.step] ?? 0, secondsBy(measured, work));
  return assumedSeconds(work) * slowness(paces, work, machinePace);
}

/** Whether a model of this size has been run on this machine. */
export const isKnown = (paces: Paces, size: number): boolean =>
  paces.some((pace) => pace.step === 'run' && timesApart(pace.size, size) <= SIMILAR);

/** `paces` with what a run took. The newest counts most, as machines have good days and bad ones. */
export function learn(paces: Paces, samples: Paces): Paces {
  return samples
    .filter(({ amount, seconds, size }) => amount > 0 && seconds > 0 && size > 0)
    .reduce<Paces>((known, sample) => {
      const same = known.find((pace) => isSame(pace, sample) && timesApart(pace.size, sample.size) <= SAME);
      const seconds = same ? secondsBy(same, sample) ** (1 - NEWEST) * sample.seconds ** NEWEST : sample.seconds;
      return [...known.filter((pace) => pace !== same), { ...sample, seconds }];
    }, paces)
    .slice(-MOST_PACES);
}
