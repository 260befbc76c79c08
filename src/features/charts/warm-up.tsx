/**
 * The first chart of a page takes three times as long as the next, as the library has not run yet. So one is drawn
 * where nobody sees it, a part at a time, while a person still looks at the model.
 */
import { createRoot } from 'react-dom/client';
import { BarChart, XAxis, YAxis } from 'recharts';
import { takeTurn } from './in-turn.ts';
import { Drawn } from './level-bars.tsx';

let done = false;

export function warmUp(): void {
  if (done) return;
  done = true;
  const root = createRoot(document.createElement('div'));
  takeTurn(() => {
    root.render(<BarChart width={300} height={100} data={[{ uid: 'a', value: 1 }]} accessibilityLayer={false} />);
  });
  takeTurn(() => {
    root.render(
      <BarChart width={300} height={100} layout="vertical" data={[{ uid: 'a', value: 1 }]} accessibilityLayer={false}>
        <XAxis type="number" />
        <YAxis type="category" dataKey="uid" />
      </BarChart>,
    );
  });
  takeTurn(() => {
    root.render(
      <Drawn
        name=""
        width={300}
        tick={String}
        bars={[{ uid: 'a', slot: 0, id: 'a', detail: '', value: 1, error: 0.1, text: '1' }]}
      />,
    );
  });
  takeTurn(() => {
    root.unmount();
  });
}
