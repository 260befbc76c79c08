/** How much text to measure on, what that costs and buys, and the one button that starts it. */
import { Button, NativeSelect, Slider, Switch } from '@mantine/core';
import { IconCheck, IconPlayerPlayFilled, IconPlayerStopFilled } from '@tabler/icons-react';
import { useEffect, useRef } from 'react';
import type { Extras, ProtocolName, ProtocolRequest } from '../../../workers/contract/job.ts';
import { ForecastTime } from '../../store/forecast/forecast-time.tsx';
import { FolderChoice } from '../folder/folder-choice.tsx';
import { formatCount } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import {
  lengthsOf,
  PROTOCOL_NAMES,
  PROTOCOLS,
  protocolNamed,
  sameProtocol,
  stridesFor,
  WINDOWS,
} from '../protocols/protocols.ts';
import { loadCharts, loadViews, warmCharts } from '../results/load-charts.ts';
import { differenceError } from '../../store/difference.ts';
import { precisionOf, shortSentence, stops, tokensRun } from '../../store/amount.ts';
import { isActive, provenance, type Run } from '../../store/run.ts';
import { useActions, useIsRunActive, useWorkbench } from '../../store/use-workbench.ts';
import { canMeasure, tokensInText } from '../../store/can-measure.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import classes from './run.module.css';

const WITHOUT_TEXT = (
  <>
    Without a tokenizer and a text, file sizes, memory and outputs on <Term id="randomInputs">random inputs</Term> are
    compared, but not <Term id="perplexity">perplexity</Term>.
  </>
);
const ON_INPUTS = (
  <>
    File sizes, memory and <Term id="sqnr">what is left of the outputs</Term> are compared: on the input files you drop,
    else on <Term id="randomInputs">random inputs</Term> shaped from the graph.
  </>
);

export function CompareBar() {
  const bar = useRef<HTMLElement>(null);
  const measuring = useWorkbench((state) => canMeasure(state.opened));
  const language = useWorkbench((state) => state.opened?.model?.languageModel != null);
  const running = useIsRunActive();
  useEffect(() => {
    void loadCharts().then(warmCharts);
    void loadViews();
  }, []);
  // Shows the buttons, the stages and the rows in one view, once the browser has laid them out.
  useEffect(() => {
    if (!running) return;
    const frame = requestAnimationFrame(() => {
      const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
      bar.current?.scrollIntoView({ block: 'start', behavior: still ? 'instant' : 'smooth' });
    });
    return () => {
      cancelAnimationFrame(frame);
    };
  }, [running]);
  return (
    <section ref={bar} className={`${layout.panel} ${classes.bar}`} aria-label="Measure">
      <div className={classes.what}>
        {measuring ? (
          <Amount disabled={running} />
        ) : (
          <p className={classes.without}>{language ? WITHOUT_TEXT : ON_INPUTS}</p>
        )}
        <ExtrasFold disabled={running} onText={measuring} />
        <FolderChoice disabled={running} />
      </div>
      <RunButtons />
    </section>
  );
}

/** Starts and ends a comparison. Apart from the settings, which need not be rendered before a click is answered. */
function RunButtons() {
  const actions = useActions();
  const main = useRef<HTMLButtonElement>(null);
  const wasRunning = useRef(false);
  const opening = useWorkbench((state) => state.openingSince !== null);
  // A plan may give new levels the settings that suit the model; what is compared is what the cards show.
  const planning = useWorkbench(
    (state) => state.planProblem === null && state.levels.some(({ uid }) => !state.plans.has(uid)),
  );
  const running = useWorkbench((state) => isActive(state.run));
  const stoppable = useWorkbench((state) => state.run?.subject === 'text');
  const measured = useWorkbench(
    (state) =>
      state.run?.status === 'running' && (state.run.live.stage === 'measure' || state.run.live.stage === 'check'),
  );
  const cancelling = useWorkbench((state) => state.run?.status === 'cancelling');
  // The button that had the focus may have ended with the run.
  useEffect(() => {
    if (wasRunning.current && !running && document.activeElement === document.body)
      main.current?.focus({ preventScroll: true });
    wasRunning.current = running;
  }, [running]);
  return (
    <div className={classes.actions}>
      {running && stoppable && (
        <Button
          size="sm"
          variant="default"
          className={classes.action}
          disabled={!measured}
          leftSection={<IconCheck size={16} aria-hidden="true" />}
          onClick={() => {
            void actions.finish();
          }}
        >
          Stop here, keep the figures
        </Button>
      )}
      {running ? (
        // Not disabled while it ends: that would take the focus away.
        <Button
          ref={main}
          size="md"
          variant="default"
          className={classes.action}
          {...(cancelling && { 'aria-disabled': true, 'data-disabled': true })}
          leftSection={<IconPlayerStopFilled size={15} aria-hidden="true" />}
          onClick={() => {
            void actions.cancel();
          }}
        >
          Cancel
        </Button>
      ) : (
        <Button
          ref={main}
          size="md"
          className={`${classes.action} ${classes.primary}`}
          disabled={opening || planning}
          leftSection={<IconPlayerPlayFilled size={15} aria-hidden="true" />}
          onClick={() => {
            void actions.compare();
          }}
        >
          Compare
        </Button>
      )}
    </div>
  );
}

function Amount({ disabled }: { disabled: boolean }) {
  const actions = useActions();
  const opened = useWorkbench((state) => state.opened);
  const maxTokens = useWorkbench((state) => state.maxTokens);
  const spread = useWorkbench((state) => state.measurement?.spread ?? null);
  const report = useWorkbench((state) =>
    state.run?.model.name === state.opened?.model?.name ? (state.run?.report ?? null) : null,
  );
  const protocol = useWorkbench((state) => state.protocol);
  const text = tokensInText(opened);
  if (!opened?.model || !text) return null;

  const list = stops(text.tokens, protocol);
  const tokens = tokensRun(maxTokens, text.tokens, protocol);
  const position = nearest(list, tokens);
  const precision = precisionOf(tokens, { bytesPerToken: (opened.text?.bytes ?? 0) / text.tokens, spread }, protocol);
  const basis =
    precision.basis === 'measured'
      ? 'Predicted from the last comparison of this model.'
      : 'Predicted from how much single tokens usually vary (a standard deviation of 3 nats); measured after the first comparison.';
  const difference = differenceError(precision.scored, report);
  const short = shortSentence(text.tokens, lengthsOf(protocol).window);
  const whole = position === list.length - 1;
  return (
    <div className={classes.amount}>
      <p className={classes.amountHead}>
        <span id="amount-label">Text to measure on</span>
        <strong>
          {whole ? 'the whole text, ' : ''}
          {text.counted ? '' : 'about '}
          {formatCount(tokens)} <Term id="tokens">tokens</Term>
        </strong>
      </p>
      <Slider
        min={0}
        max={list.length - 1}
        step={1}
        value={position}
        disabled={disabled || list.length < 2}
        size={4}
        thumbSize={18}
        label={null}
        thumbProps={{ 'aria-labelledby': 'amount-label' }}
        thumbValueText={(index) => `${formatCount(list[index] ?? tokens)} tokens`}
        onChange={(index) => {
          actions.setMaxTokens(index === list.length - 1 ? null : (list[index] ?? null));
        }}
      />
      {short && <p className={classes.short}>{short}</p>}
      <p className={classes.amountFoot}>
        <ForecastTime tokens={tokens} />
        <span>
          difference to{' '}
          <Hint
            text={`One standard error of the difference between two levels, from ${formatCount(precision.scored)} scored tokens. Both see the same tokens; ${PROTOCOLS[protocol.name].unit === 'word' ? 'word perplexity' : 'perplexity'} itself is known to ± ${(precision.relativeError * 100).toFixed(1)} %. ${basis}`}
          >
            ± {(difference * 100).toFixed(difference < 0.001 ? 2 : 1)}&nbsp;%
          </Hint>
        </span>
      </p>
      <ProtocolChoice disabled={disabled} />
    </div>
  );
}

function ProtocolChoice({ disabled }: { disabled: boolean }) {
  const actions = useActions();
  const protocol = useWorkbench((state) => state.protocol);
  const provider = useWorkbench((state) => state.provider);
  const gpu = useWorkbench((state) => state.capabilities?.webgpu.available === true);
  const finished = useWorkbench((state) => (isActive(state.run) ? null : state.run));
  const shown = measuredBy(finished);
  const lengths = lengthsOf(protocol);
  const tokens = (count: number) => ({ value: String(count), label: `${formatCount(count)} tokens` });
  return (
    <div className={classes.protocol}>
      <div className={classes.choices}>
        <div>
          <span id="protocol-label">
            <Term id="protocol">Protocol</Term>
          </span>
          <NativeSelect
            size="xs"
            aria-labelledby="protocol-label"
            value={protocol.name}
            disabled={disabled}
            data={PROTOCOL_NAMES.map((name) => ({ value: name, label: PROTOCOLS[name].label }))}
            onChange={(event) => {
              actions.setProtocol({ name: protocolNamed(event.currentTarget.value) });
            }}
          />
        </div>
        <div>
          <span id="window-label">
            <Term id="windowLength">Window</Term>
          </span>
          <NativeSelect
            size="xs"
            aria-labelledby="window-label"
            value={String(lengths.window)}
            disabled={disabled}
            data={WINDOWS.map(tokens)}
            onChange={(event) => {
              actions.setProtocol(withWindow(protocol.name, Number(event.currentTarget.value)));
            }}
          />
        </div>
        {PROTOCOLS[protocol.name].slides && (
          <div>
            <span id="stride-label">
              <Term id="stride">Stride</Term>
            </span>
            <NativeSelect
              size="xs"
              aria-labelledby="stride-label"
              value={String(lengths.step)}
              disabled={disabled}
              data={stridesFor(lengths.window).map(tokens)}
              onChange={(event) => {
                actions.setProtocol({
                  ...withWindow(protocol.name, lengths.window),
                  stride: Number(event.currentTarget.value),
                });
              }}
            />
          </div>
        )}
        {gpu && (
          <div>
            <span id="provider-label">
              <Term id="provider">Measure on</Term>
            </span>
            <NativeSelect
              size="xs"
              aria-labelledby="provider-label"
              value={provider}
              disabled={disabled}
              data={[
                { value: 'wasm', label: 'WASM' },
                { value: 'webgpu', label: 'WebGPU' },
                { value: 'faster', label: 'the faster of both' },
              ]}
              onChange={(event) => {
                const { value } = event.currentTarget;
                actions.setProvider(value === 'webgpu' || value === 'faster' ? value : 'wasm');
              }}
            />
          </div>
        )}
      </div>
      <p>
        {PROTOCOLS[protocol.name].about(lengths)}
        {shown && !sameProtocol(shown.asked, protocol) && (
          <strong>
            {' '}
            The results below were measured by another protocol, {shown.tag}; figures of the two do not compare.
          </strong>
        )}
      </p>
    </div>
  );
}

/** The protocol's own window is left unsaid, so that the engine may take less where a model or a text allows less. */
const withWindow = (name: ProtocolName, window: number): ProtocolRequest =>
  window === PROTOCOLS[name].window ? { name } : { name, context: window };

const EXTRAS: readonly { name: keyof Extras; label: string; cost: string; text: boolean }[] = [
  { name: 'words', label: 'Where the drift is, in words', cost: 'next to nothing: it is noted on the way', text: true },
  {
    name: 'noiseFloor',
    label: 'Noise floor',
    cost: 'the baseline once more in float32, over the first windows',
    text: true,
  },
  {
    name: 'runtimeDrift',
    label: 'Runtime drift',
    cost: 'each file once more on WebGPU, over the first windows',
    text: false,
  },
  {
    name: 'speed',
    label: 'Speed and memory',
    cost: 'each file loaded and run several times by itself, some seconds a level',
    text: false,
  },
];

function ExtrasFold({ disabled, onText }: { disabled: boolean; onText: boolean }) {
  const actions = useActions();
  const extras = useWorkbench((state) => state.extras);
  const gpu = useWorkbench((state) => state.capabilities?.webgpu.available ?? true);
  const offered = EXTRAS.filter(({ text }) => onText || !text);
  const on = offered.filter(({ name }) => extras[name]).length;
  return (
    <details className={`${layout.fold} ${classes.extras}`}>
      <summary>What to measure: {on === offered.length ? 'everything' : `${on} of ${offered.length} extras`}</summary>
      <ul>
        {offered.map(({ name, label, cost }) => (
          <li key={name}>
            <Switch
              size="sm"
              label={label}
              checked={extras[name]}
              disabled={disabled}
              description={
                name === 'runtimeDrift' && !gpu
                  ? 'not measured here: this browser has no WebGPU adapter to compare with'
                  : cost
              }
              onChange={(event) => {
                actions.setExtra(name, event.currentTarget.checked);
              }}
            />
          </li>
        ))}
      </ul>
    </details>
  );
}

/** The protocol of the figures on show. */
function measuredBy(run: Run | null): { tag: string; asked: ProtocolRequest } | null {
  if (run?.subject !== 'text' || (run.report && !run.report.protocol)) return null;
  // A text or a model may have been too short for the window asked for: what was asked for is what can be asked again.
  return { tag: provenance(run)?.tag ?? run.protocol.name, asked: run.protocol };
}

function nearest(list: readonly number[], tokens: number): number {
  let best = 0;
  list.forEach((stop, index) => {
    if (Math.abs(stop - tokens) < Math.abs((list[best] ?? 0) - tokens)) best = index;
  });
  return best;
}
