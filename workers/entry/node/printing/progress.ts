/** One line on standard error that says what is going on; on a terminal it is written over, elsewhere there is a line a step and tensor. */
import type { EngineEvent, Progress } from '../../../contract/events.ts';
import { shown } from '../../../lib/shown.ts';

export function printProgress(stream: NodeJS.WriteStream): { show(event: EngineEvent): void; end(): void } {
  let last = 0;
  let step = '';
  let tensor: string | null = null;
  let open = false;
  const line = (text: string) => {
    if (stream.isTTY) {
      stream.write(`\r\u001b[K${text.slice(0, Math.max(20, stream.columns - 1))}`);
      open = true;
    } else {
      stream.write(`${text}\n`);
    }
  };
  return {
    show(event) {
      if (event.type !== 'progress') return;
      const now = performance.now();
      const current = `${event.stage} ${event.level ?? ''}`;
      // A file's tensors go by quickly, and so do many small steps.
      const pause = stream.isTTY || event.tensor !== tensor ? 100 : 10_000;
      if (current === step && now - last < pause) return;
      step = current;
      tensor = event.tensor;
      last = now;
      line(describe(event));
    },
    end() {
      if (open) stream.write('\r\u001b[K');
    },
  };
}

const VERBS: Record<Progress['stage'], string> = {
  open: 'Reading',
  quantize: 'Writing',
  measure: 'Measuring',
  check: 'Checking',
};

function describe({ stage, level, done, total, unit, tensor, secondsLeft }: Progress): string {
  const amount =
    unit === 'bytes' ? `${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB` : `${done} of ${total} ${unit}`;
  return [
    VERBS[stage],
    level === null ? null : shown(level),
    amount,
    secondsLeft === null ? null : `${Math.ceil(secondsLeft)} s left`,
    tensor === null ? null : shown(tensor),
  ]
    .filter((part) => part !== null)
    .join('  ');
}
