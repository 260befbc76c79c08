/**
 * Writes planned files. Ranges of the source are copied; the data of quantized weights is made by the kernel ahead of the
 * place where it is written, in kernel workers where there are some.
 */
import pLimit from 'p-limit';
import { windowedSource, windowedSources } from '../io/windowed-source.ts';
import type { Kernel } from '../kernels/kernel.ts';
import type { Model } from '../onnx/model.ts';
import { gatheredSink } from '../onnx/writing/gathered-sink.ts';
import { writePieces, type ExternalBlobs, type Sink, type WriteProgress } from '../onnx/writing/write.ts';
import type { Plan } from '../plan/plan.ts';
import { CHUNK_LIMITS, outputBytes } from './chunks.ts';
import { executeTasks } from './execute-tasks.ts';
import { prefetch } from './prefetch.ts';
import { quantizeChunk } from './quantize-chunk.ts';
import type { WorkerPool } from './worker-pool.ts';

export interface QuantizerOptions {
  kernel: Kernel;
  /** The scanned source, whose bytes are read. */
  model: Pick<Model, 'source' | 'external'>;
  /** Kernel workers, with the files they read; they are used in place of a WASM kernel, and not at all beside a GPU. */
  workers?: { pool: WorkerPool; file: File; external: ExternalBlobs };
}

export interface WriteOptions {
  onProgress?(progress: WriteProgress): void;
  signal: AbortSignal;
}

export interface Quantizer {
  /**
   * Writes the pieces of a plan, or of its data file, to a sink: all but the bytes the sink has already.
   * @returns The finished file.
   * Errors: those of the sink and of `quantizeChunk`, and `worker-crashed`. The sink is discarded then.
   */
  write(plan: Pick<Plan, 'pieces'>, sink: Sink, options: WriteOptions): Promise<Blob>;
}

/** Chunks made at once where there are no kernel workers: one is computed while the next is read. */
const CHUNKS_IN_PLACE = 2;
/** Output chunks begun for each worker, so that none waits for the file to be written. */
const OUTPUT_CHUNKS_A_WORKER = 3;
/** Bytes made and not written yet; a weight whose chunks are joined may take as much alone. */
const BYTES_UNDER_WAY = CHUNK_LIMITS.joined;

/** Makes a quantizer for one source model. It holds no memory between writes. */
export function createQuantizer({ kernel, model, workers }: QuantizerOptions): Quantizer {
  return {
    write({ pieces }, sink, { onProgress = () => undefined, signal }) {
      const [source, external] = [windowedSource(model.source), windowedSources(model.external)];
      const inWorkers = workers && kernel.backend === 'wasm' ? workers : null;
      const inPlace = pLimit(CHUNKS_IN_PLACE);
      // What comes from workers is in memory of its own.
      const release = inWorkers?.pool.recycle;
      const tasks = executeTasks(
        (chunk, stop) =>
          inWorkers
            ? inWorkers.pool.make(chunk, inWorkers.file, stop, inWorkers.external)
            : inPlace(() => quantizeChunk(chunk, source, kernel, stop, external)),
        { release },
      );
      const made = new Set(pieces.flatMap((piece) => (piece.kind === 'made' ? [piece.task] : [])));
      const ahead = prefetch([...made].flatMap(tasks.chunksOf), outputBytes, tasks.make, {
        count: OUTPUT_CHUNKS_A_WORKER * (workers?.pool.threads ?? CHUNKS_IN_PLACE),
        bytes: BYTES_UNDER_WAY,
      });
      // The file may begin with a long copy. Which chunks a resumed file still needs is not known here.
      if (!sink.resumeAt) ahead.begin(signal);
      return writePieces({
        pieces,
        chunksOf: tasks.chunksOf,
        make: ahead.make,
        nameOf: (task) => task.tensor.name,
        // A level that is the model as it is goes to its sink as one copy.
        sink:
          pieces.length < 2
            ? sink
            : gatheredSink(sink, (start, end, location) =>
                sourceAt(location, source, external).read(start, end - start),
              ),
        onProgress,
        signal,
        release,
      });
    },
  };
}

function sourceAt<Source>(location: string | undefined, model: Source, external: ReadonlyMap<string, Source>): Source {
  const source = location === undefined ? model : external.get(location);
  if (!source) throw new Error(`${location ?? ''} is not there to copy from`);
  return source;
}
