/** One line on standard error that says what is going on; on a terminal it is written over, elsewhere a line a step. */
import type { EngineEvent, Progress } from '../protocol.ts';

export function printProgress(stream: NodeJS.WriteStream): { show(event: EngineEvent): void; end(): void } {
  let last = 0;
  let step = '';
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
      if (current === step && (!stream.isTTY || now - last < 100)) {
        if (stream.isTTY || now - last < 10_000) return;
      }
      step = current;
      last = now;
      line(describe(event));
    },
    end() {
      if (open) stream.write('\r\u001b[K');
    },
  };
}

const VERBS: Record<Progress['stage'], string> = { open: 'Reading', quantize: 'Writing', measure: 'Measuring', check: 'Checking' };

function describe({ stage, level, done, total, unit, tensor, secondsLeft }: Progress): string {
  const amount = unit === 'bytes' ? `${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB` : `${done} of ${total} ${unit}`;
  return [VERBS[stage], level, amount, secondsLeft === null ? null : `${Math.ceil(secondsLeft)} s left`, tensor].filter((part) => part !== null).join('  ');
}
