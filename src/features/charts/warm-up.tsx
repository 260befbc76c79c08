/**
 * Renders one chart out of sight, a part at a time, while the person still looks at the model: the first chart of a page
 * takes three times as long as the next, because the library's code has not run yet.
 */
import { startTransition, useEffect, useState, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { ComposedChart, XAxis, YAxis } from 'recharts';
import { takeTurn } from './in-turn.ts';
import { LevelBarsPlot } from './level-bars.tsx';

const STEPS: readonly ReactNode[] = [
  <ComposedChart key="1" width={300} height={100} accessibilityLayer={false} />,
  <ComposedChart key="2" width={300} height={100} accessibilityLayer={false}>
    <XAxis type="number" domain={[0, 1]} ticks={[0, 1]} interval={0} />
    <YAxis type="number" domain={[0, 1]} ticks={[0, 1]} interval={0} />
  </ComposedChart>,
  <LevelBarsPlot
    key="3"
    name=""
    width={300}
    tick={String}
    bars={[{ uid: 'a', slot: 0, id: 'a', detail: '', value: 1, error: 0.1, text: '1' }]}
  />,
];

function WarmUp({ onEnd }: { onEnd: () => void }) {
  const [done, setDone] = useState(0);
  useEffect(
    () =>
      takeTurn(() => {
        startTransition(() => {
          if (done < STEPS.length) setDone(done + 1);
          else onEnd();
        });
      }),
    [done, onEnd],
  );
  return STEPS[done - 1];
}

let started = false;

/** Warms up the chart library; does nothing when called again. */
export function warmUp(): void {
  if (started) return;
  started = true;
  const root = createRoot(document.createElement('div'));
  root.render(
    <WarmUp
      onEnd={() => {
        root.unmount();
      }}
    />,
  );
}
