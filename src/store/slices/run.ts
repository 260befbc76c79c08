/** The comparison under way, or the last one with findings. */
import type { EngineEvent } from '../../../workers/contract/events.ts';
import type { FileKind } from '../../../workers/contract/files.ts';
import { spreadOf, tokensRun } from '../amount.ts';
import { createBatch } from '../batch.ts';
import { canMeasure, tokensInText } from '../can-measure.ts';
import { forecast, samplesOf } from '../forecast/forecast.ts';
import type { Paces } from '../forecast/paces.ts';
import { shapeOf } from '../forecast/run-shape.ts';
import { stepsOf } from '../forecast/steps.ts';
import { toRequests } from '../levels.ts';
import { applyEvent, startLive } from '../live.ts';
import { advance } from '../progress.ts';
import { hasFindings, isActive, type Run } from '../run.ts';
import type { RunSlice } from '../state.ts';
import { offered } from '../targets.ts';
import type { SliceContext } from './context.ts';
import type { Notify } from './notices.ts';

interface Others {
  notify: Notify;
  /** Whether files may be written to a folder; reports when they may not. */
  mayWrite(folder: FileSystemDirectoryHandle): Promise<boolean>;
  /** Keeps what the steps of a run took. */
  remember(samples: Paces): void;
  fromSample: ReadonlySet<File>;
  /** Called when a run has ended, however it did. */
  ended(): Promise<void>;
}

/** Kinds that go along into a Hub folder, where the engine finds the name among those that belong there. */
const COMPANIONS: ReadonlySet<FileKind> = new Set(['tokenizer', 'tokenizer-config', 'model-config', 'unknown']);
const SHOW_EVERY_MS = 100;
/** How often what is left of a run is worked out again, whether something has happened or not. */
const ADVANCE_EVERY_MS = 500;

export function createRunSlice(
  { set, get, dependencies: { engine, origin, session } }: SliceContext,
  { notify, mayWrite, remember, fromSample, ended }: Others,
): RunSlice {
  /** Changes the run as long as it is the one on show. */
  const update = (id: string, change: (run: Run) => Run) => {
    set(({ run }) => (run?.id === id ? { run: change(run) } : {}));
  };

  /** What the run that is asked for now will do, to forecast it; null where nothing is known. */
  const nextShape = () => {
    const { opened, levels, offers, target, maxTokens, protocol, extras, provider, plans, paces, capabilities } = get();
    const text = tokensInText(opened);
    if (!canMeasure(opened) || !text) return null;
    return shapeOf({
      opened,
      levels: offered(levels, offers, target),
      plans,
      tokens: tokensRun(maxTokens, text.tokens, protocol),
      protocol,
      extras,
      provider,
      capabilities,
      paces,
    });
  };

  return {
    run: null,

    async compare() {
      const { folder } = get();
      if (folder && !(await mayWrite(folder))) return;
      const { run: before, opened, files, maxTokens, protocol, provider, extras, offers, target } = get();
      if (!opened?.model || isActive(before)) return;
      const { paces, capabilities } = get();
      const levels = offered(get().levels, offers, target);
      const { name, bytes, cacheBytesPerToken, baseline } = opened.model;
      const text = tokensInText(opened);
      const shape = nextShape();
      const run: Run = {
        id: origin.uid(),
        startedAt: origin.now(),
        endedAt: null,
        status: 'running',
        levels,
        model: { name, bytes, cacheBytesPerToken, baseline },
        subject: canMeasure(opened) ? 'text' : 'inputs',
        protocol,
        extras,
        tokenizer: files
          .filter(({ kind }) => kind === 'tokenizer' || kind === 'tokenizer-config')
          .map(({ file }) => file),
        companions: files.filter(({ kind }) => COMPANIONS.has(kind)).map(({ file }) => file),
        live: startLive(levels.map(({ uid }) => uid)),
        forecast: shape && forecast(stepsOf(shape), paces, capabilities?.pace ?? null),
        report: null,
        error: null,
      };
      set({ run, notices: [], interrupted: null });
      void session?.begin(
        name,
        files.map(({ file }) => file),
        fromSample,
        folder,
      );
      const events = createBatch<{ event: EngineEvent; at: number }>(SHOW_EVERY_MS, (items) => {
        update(run.id, (shown) =>
          advance(
            { ...shown, live: items.reduce((live, { event, at }) => applyEvent(live, event, at), shown.live) },
            origin.now(),
          ),
        );
      });
      const ticking = setInterval(() => {
        update(run.id, (shown) => advance(shown, origin.now()));
      }, ADVANCE_EVERY_MS);
      const result = await engine.compare(
        {
          files: files.map(({ file }) => file),
          levels: toRequests(levels),
          protocol,
          provider,
          extras,
          ...(folder && { folder }),
          maxTokens: maxTokens === null || !text ? null : tokensRun(maxTokens, text.tokens, protocol),
        },
        (event) => {
          events.add({ event, at: origin.now() });
        },
      );
      clearInterval(ticking);
      events.flush();
      void session?.end();
      const seen = get().run;
      if (shape && seen?.id === run.id) remember(samplesOf(seen.live.observed, shape));
      if (result.ok) {
        const report = result.value;
        update(run.id, (shown) => ({ ...shown, endedAt: origin.now(), status: 'done', report }));
        const base = report.levels.find((level) => level.baseline)?.perplexity;
        const spread = report.protocol && base ? spreadOf(report.protocol, base) : null;
        if (spread !== null) set({ measurement: { spread } });
      } else {
        const { error } = result;
        const status = error.code === 'cancelled' ? 'cancelled' : 'failed';
        update(run.id, (shown) => ({ ...shown, endedAt: origin.now(), status, error }));
        if (status === 'failed') notify(error);
        const last = get().run;
        // Earlier results are worth more than a run that found nothing or broke off.
        if (before?.report) set({ run: before });
        else if (last && !hasFindings(last)) set({ run: null });
      }
      await ended();
    },

    async compareIntoFolder() {
      if (await get().chooseFolder()) await get().compare();
    },

    async finish() {
      const { run } = get();
      if (run?.status !== 'running' || run.live.stage !== 'measure') return;
      set({ run: { ...run, status: 'finishing' } });
      await engine.finish();
    },

    async cancel() {
      const { run } = get();
      if (run?.status !== 'running' && run?.status !== 'finishing') return;
      set({ run: { ...run, status: 'cancelling' } });
      await engine.cancel();
    },
  };
}
