/** Long work in pieces: lets other tasks of the thread run (a cancel among them) and notices an abort. */

/** Resolves in a task of its own, without the delay nested timers have. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
    } else {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    }
  });
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new DOMException('Quantization was cancelled', 'AbortError');
}

/** Call the result between pieces: it gives the thread away every `sliceMs` and rejects with an `AbortError` after an abort. */
export function createYielder(signal: AbortSignal | undefined, sliceMs: number): () => Promise<void> {
  let since = performance.now();
  return async () => {
    throwIfAborted(signal);
    if (performance.now() - since < sliceMs) return;
    await nextTask();
    throwIfAborted(signal);
    since = performance.now();
  };
}
