/** What is known of how long comparisons take on this machine, and how much their figures scatter. */
import { canMeasure } from '../can-measure.ts';
import { isKnown, learn, type Paces } from '../forecast/paces.ts';
import { FLOAT32 } from '../forecast/steps.ts';
import { isActive } from '../run.ts';
import type { ForecastSlice } from '../state.ts';
import type { SliceContext } from './context.ts';

/** @returns The slice, and for the other slices: `calibrate` times the open model, `remember` keeps what steps took. */
export function createForecastSlice({ set, get, dependencies: { engine, paceStore } }: SliceContext) {
  /** Another tab may have learned something meanwhile. */
  const remember = (samples: Paces) => {
    const learned = learn(paceStore?.read() ?? get().paces, samples);
    set({ paces: learned });
    paceStore?.write(learned);
  };

  /** Runs a model of a size not compared before for a moment, so that its first comparison has a forecast. */
  const calibrate = async (): Promise<void> => {
    const { opened, files, paces } = get();
    if (!opened?.model || !canMeasure(opened) || !engine.calibrate || isActive(get().run)) return;
    const { parameters: size, baseline } = opened.model;
    if (size < 1 || isKnown(paces, size)) return;
    const result = await engine.calibrate(files.map(({ file }) => file));
    if (!result.ok) return;
    const kind = baseline === 'as-is' ? 'fp16' : FLOAT32;
    remember(
      result.value.map(({ step, provider, amount, seconds }) => ({
        step,
        provider,
        kind: step === 'start' ? '' : kind,
        size,
        amount,
        seconds,
      })),
    );
  };

  const slice: ForecastSlice = { paces: paceStore?.read() ?? [], measurement: null };
  return { slice, calibrate, remember };
}
