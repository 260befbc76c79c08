/** For tests: a worker that answers, reports, crashes, and starts a worker of its own. */
import { connect, expose, reporting } from './remote.ts';

export interface Fixture {
  double(value: number): Promise<number>;
  /** Reports 0 … count − 1 through `port` and returns count. */
  count(count: number, port: MessagePort): Promise<number>;
  /** Never settles. */
  hang(): Promise<void>;
  /** Throws where nothing catches, and never settles. */
  crash(message: string): Promise<void>;
  /** Ends the worker from within, which no event tells of. */
  leave(): Promise<void>;
  /** Throws to the caller. */
  fail(message: string): Promise<void>;
  /** Has a worker of its own crash; returns what its call rejected with. */
  crashNested(): Promise<string>;
}

const fixture: Fixture = {
  double: async (value) => 2 * value,
  count: (count, port) =>
    reporting<number, number>(port, async (report) => {
      for (let value = 0; value < count; value++) report(value);
      return count;
    }),
  hang: () => new Promise(() => undefined),
  crash(message) {
    setTimeout(() => {
      throw new Error(message);
    });
    return new Promise(() => undefined);
  },
  leave() {
    close();
    return new Promise(() => undefined);
  },
  fail: async (message) => {
    throw new Error(message);
  },
  async crashNested() {
    const nested = connect<Fixture>(
      new Worker(new URL('./remote-fixture.worker.ts', import.meta.url), { type: 'module' }),
    );
    return nested.call((api) => api.crash('nested')).then(() => 'no crash', String);
  },
};

expose(fixture);
