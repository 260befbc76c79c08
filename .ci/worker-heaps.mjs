/**
 * What a page and all its workers hold, asked over and over: JavaScript heaps with their array buffers, as Chromium's
 * debugger tells them (`Runtime.getHeapUsage`), and WebAssembly memories, which it does not count.
 */
const SAMPLE_EVERY_MS = 15;

/** Runs in each worker before its own script: notes every memory a module exports. Memories do not shrink. */
const NOTE_MEMORIES = `{
  const memories = new Set();
  const note = (made) => {
    for (const value of Object.values((made.instance ?? made).exports ?? {})) if (value instanceof WebAssembly.Memory) memories.add(value);
    return made;
  };
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const original = WebAssembly[name].bind(WebAssembly);
    WebAssembly[name] = (...given) => original(...given).then(note);
  }
  WebAssembly.Instance = new Proxy(WebAssembly.Instance, { construct: (target, given) => note(new target(...given)) });
  globalThis.wasmBytes = () => [...memories].reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
}`;

/**
 * Watches from now on. Workers are found as they start, workers of workers too.
 * @param {import('playwright-core').BrowserContext} context
 * @param {import('playwright-core').Page} page
 * @returns {Promise<{ stop(): Promise<{ peakBytes: number, atPeak: { name: string, bytes: number }[], samples: number }> }>}
 */
export async function watchHeaps(context, page) {
  const root = await context.newCDPSession(page);
  /** @type {Map<string, { name: string, send(method: string, params?: object): Promise<any> }>} */
  const targets = new Map();

  /** A session inside another one: messages go through its parent, which is how workers of workers are reached. */
  const child = (parent, sessionId, name) => {
    let next = 1;
    const waiting = new Map();
    const listeners = new Map();
    const session = {
      name,
      send: (method, params = {}) =>
        new Promise((resolve, reject) => {
          const id = next++;
          waiting.set(id, { resolve, reject });
          parent
            .send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id, method, params }) })
            .catch(reject);
        }),
      on: (event, listener) => {
        listeners.set(event, listener);
      },
      receive(text) {
        const message = JSON.parse(text);
        if (message.id === undefined) return listeners.get(message.method)?.(message.params);
        const call = waiting.get(message.id);
        waiting.delete(message.id);
        if (message.error) call?.reject(new Error(message.error.message));
        else call?.resolve(message.result);
      },
      end() {
        for (const { reject } of waiting.values()) reject(new Error('ended'));
      },
    };
    return session;
  };

  const follow = async (session) => {
    const children = new Map();
    session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      const own = child(session, sessionId, targetInfo.title || targetInfo.url.split('/').at(-1));
      children.set(sessionId, own);
      targets.set(sessionId, own);
      follow(own)
        .then(() => own.send('Runtime.evaluate', { expression: NOTE_MEMORIES }))
        .finally(() => own.send('Runtime.runIfWaitingForDebugger'))
        .catch(() => undefined);
    });
    session.on('Target.receivedMessageFromTarget', ({ sessionId, message }) =>
      children.get(sessionId)?.receive(message),
    );
    session.on('Target.detachedFromTarget', ({ sessionId }) => {
      children.get(sessionId)?.end();
      targets.delete(sessionId);
    });
    await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: true, flatten: false });
  };
  targets.set('page', { name: 'page', send: (method, params) => root.send(method, params) });
  await follow(root);

  let watching = true;
  let best = { peakBytes: 0, atPeak: [], samples: 0 };
  const usage = async ({ name, send }) => {
    try {
      const [{ usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 }, { result }] = await Promise.all([
        send('Runtime.getHeapUsage'),
        send('Runtime.evaluate', { expression: 'globalThis.wasmBytes?.() ?? 0', returnByValue: true }),
      ]);
      return { name, bytes: usedSize + embedderHeapUsedSize + backingStorageSize + result.value };
    } catch {
      return { name, bytes: 0 };
    }
  };
  const sampling = (async () => {
    while (watching) {
      const atPeak = await Promise.all([...targets.values()].map(usage));
      const peakBytes = atPeak.reduce((sum, { bytes }) => sum + bytes, 0);
      best = { ...(peakBytes > best.peakBytes ? { peakBytes, atPeak } : best), samples: best.samples + 1 };
      await new Promise((resolve) => {
        setTimeout(resolve, SAMPLE_EVERY_MS);
      });
    }
  })();
  return {
    async stop() {
      watching = false;
      await sampling;
      await root.detach();
      return best;
    },
  };
}
