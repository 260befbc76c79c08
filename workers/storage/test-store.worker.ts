/** For tests: storage as the engine's worker has it, where only a worker can reach it. */
import { settle } from '../contract/errors.ts';
import { piecesLength } from '../onnx/writing/splice.ts';
import { atOnce, writePieces, type WriteProgress } from '../onnx/writing/write.ts';
import type { EngineError, Result } from '../contract/errors.ts';
import type { Storage } from '../contract/storage.ts';
import { expose, reporting } from '../rpc/remote.ts';
import { opfsDisk } from './disk/opfs.ts';
import { openBrowserRepository } from './storage.ts';
import { carryOut, orderedPieces, storeChecks, type WriteOrder } from './test-store-suite.ts';

export interface Written {
  blob: Blob;
  made: number;
  resumeAt: number;
  warnings: EngineError[];
}

export interface StoreFixture {
  /** Runs one of `storeChecks` on OPFS. */
  check(name: string, runs: number): Promise<void>;
  /** Writes a file of copies and tensors in turn; sends progress through `port`. */
  write(order: WriteOrder, port: MessagePort): Promise<Result<Written>>;
  storage(): Promise<Result<Storage>>;
  removeAll(): Promise<Result<Storage>>;
}

const { signal } = new AbortController();

const fixture: StoreFixture = {
  async check(name, runs) {
    const check = storeChecks(runs).get(name);
    if (!check) throw new Error(`no check called ${name}`);
    await check(await opfsDisk());
  },
  write: (order, port) =>
    reporting<WriteProgress, Result<Written>>(port, (report) =>
      settle(async () => {
        const { source, model, pace, gate, tensors } = order;
        const pieces = orderedPieces(order);
        const warnings: EngineError[] = [];
        let made = 0;
        const sink = await (
          await openBrowserRepository()
        )
          .job((error) => {
            warnings.push(error);
          })
          .sink('file.onnx', source, {
            name: 'file.onnx',
            source,
            fingerprint: model,
            level: 'int4',
            bytes: piecesLength(pieces),
            madeBytes: order.tensors * order.bytesEach,
            signal,
            onProgress: report,
          });
        const resumeAt = sink.resumeAt ?? 0;
        const blob = await writePieces({
          pieces,
          sink,
          signal,
          nameOf: ({ name }) => name,
          onProgress: report,
          ...atOnce(pieces, async (task) => {
            if (++made > tensors / 2 && gate) await navigator.locks.request(gate, () => undefined);
            await new Promise((resolve) => {
              setTimeout(resolve, pace);
            });
            return carryOut(task);
          }),
        });
        return { blob, made, resumeAt, warnings };
      }),
    ),
  storage: () => settle(async () => (await openBrowserRepository()).storage()),
  removeAll: () => settle(async () => (await openBrowserRepository()).removeAll()),
};

expose(fixture);
