/** One at a time with the same file: whoever waits hears how far the other one is. */
import type { Locks } from './locks.ts';

export interface Turn {
  /** Lets others who wait know how far this is. */
  announce(done: number): void;
  end(): void;
}

export interface Waiting {
  /** Of the whole file. */
  bytes: number;
  signal: AbortSignal;
  /** Hears how far somebody else is whose turn it is with the same file. */
  onProgress(progress: { done: number; total: number; tensor: null }): void;
}

export interface TurnPlatform {
  locks: Locks;
  /** A new channel between the workers of this site. */
  channel(): BroadcastChannel;
}

interface Announcement {
  key: string;
  done: number;
  total: number;
}

const ANNOUNCE_EVERY_MS = 100;

/** Rejects with the signal's reason once that fires. */
export async function waitForTurn(
  key: string,
  { bytes, signal, onProgress }: Waiting,
  { locks, channel: connect }: TurnPlatform,
): Promise<Turn> {
  const channel = connect();
  channel.onmessage = ({ data }: MessageEvent<Announcement>) => {
    if (data.key === key) onProgress({ done: data.done, total: data.total, tensor: null });
  };
  let release: (() => void) | null;
  try {
    release = await locks.hold(key, signal);
  } catch (thrown) {
    channel.close();
    throw thrown;
  }
  channel.onmessage = null;
  let last = -Infinity;
  return {
    announce(done) {
      const time = performance.now();
      if (!release || time - last < ANNOUNCE_EVERY_MS) return;
      last = time;
      channel.postMessage({ key, done, total: bytes } satisfies Announcement);
    },
    end() {
      release?.();
      if (release) channel.close();
      release = null;
    },
  };
}
