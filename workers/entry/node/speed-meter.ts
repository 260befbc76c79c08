/** Measures speed in Node, each model in a thread of its own, which is ended with its heap. */
import { Worker } from 'node:worker_threads';
import { engineError, toEngineError } from '../../contract/errors.ts';
import { notMeasured, type SpeedMeter } from '../../evaluate/speed/speed-meter.ts';
import type { Speed } from '../../contract/report.ts';
import type { SpeedWork } from './speed-worker.ts';

/** @param entry Where speed-worker.ts is, built. */
export function createNodeSpeedMeter(entry: URL): SpeedMeter {
  return {
    providers: () => Promise.resolve(['wasm']),
    async measure(model, provider, threads, signal) {
      if (signal.aborted) return notMeasured(provider, threads, toEngineError(signal.reason));
      // A blob of a file on disk cannot go to a thread.
      const bytes = await model.model.arrayBuffer();
      const data = model.data && { file: model.data.file, bytes: await model.data.blob.arrayBuffer() };
      const worker = new Worker(entry, {
        workerData: { bytes, data, threads } satisfies SpeedWork,
        transferList: data ? [bytes, data.bytes] : [bytes],
      });
      const stop = () => {
        void worker.terminate();
      };
      signal.addEventListener('abort', stop);
      try {
        return await new Promise<Speed>((resolve) => {
          const failed = (details: string) => {
            resolve(
              notMeasured(
                provider,
                threads,
                engineError(
                  'worker-crashed',
                  'The measurement of speed stopped unexpectedly.',
                  'Try again with a smaller model.',
                  details,
                ),
              ),
            );
          };
          worker.once('message', resolve);
          worker.once('error', (thrown: Error) => {
            failed(thrown.message);
          });
          worker.once('exit', (status) => {
            failed(`exit status ${status}`);
          });
        });
      } finally {
        signal.removeEventListener('abort', stop);
        await worker.terminate();
      }
    },
  };
}
