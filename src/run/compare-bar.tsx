/** How much text to measure on, what that costs and buys, and the one button that starts it. */
import { Button, NativeSelect, Slider } from '@mantine/core';
import { IconCheck, IconPlayerPlayFilled, IconPlayerStopFilled } from '@tabler/icons-react';
import { useEffect, useRef } from 'react';
import type { ProtocolName } from '../../workers/protocol.ts';
import { formatCount, formatDuration } from '../format/numbers.ts';
import layout from '../layout.module.css';
import { PROTOCOL_NAMES, PROTOCOLS, protocolNamed } from '../protocols/protocols.ts';
import { loadCharts } from '../report/load-charts.ts';
import { costOf, stops, tokensRun } from '../store/amount.ts';
import { isActive, type Run } from '../store/run.ts';
import { actions, useWorkbench } from '../store/use-workbench.ts';
import { canMeasure, tokensInText } from '../store/workbench.ts';
import { Hint, Term } from '../terms/term.tsx';
import classes from './run.module.css';

export function CompareBar() {
  const bar = useRef<HTMLElement>(null);
  const measuring = useWorkbench((state) => canMeasure(state.opened));
  const opening = useWorkbench((state) => state.openingSince !== null);
  const running = useWorkbench((state) => isActive(state.run));
  const stoppable = useWorkbench((state) => state.run?.measuring === true);
  const measured = useWorkbench((state) => state.run?.status === 'running' && state.run.live.stage === 'measure');
  const cancelling = useWorkbench((state) => state.run?.status === 'cancelling');
  useEffect(() => { void loadCharts(); }, []);
  // Puts the button, the stages and the rows in one view.
  useEffect(() => {
    if (!running) return;
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    bar.current?.scrollIntoView({ block: 'start', behavior: still ? 'instant' : 'smooth' });
  }, [running]);
  return (
    <section ref={bar} className={`${layout.panel} ${classes.bar}`} aria-label="Measure">
      {measuring ? <Amount disabled={running} /> : (
        <p className={classes.without}>Without a tokenizer and a text, file sizes and memory are compared, but not <Term id="perplexity">perplexity</Term>.</p>
      )}
      <div className={classes.actions}>
        {running && stoppable && (
          <Button size="sm" variant="default" className={classes.action} disabled={!measured} leftSection={<IconCheck size={16} aria-hidden="true" />}
            onClick={() => { void actions.finish(); }}>
            Stop here, keep the figures
          </Button>
        )}
        {running ? (
          <Button size="md" variant="default" className={classes.action} disabled={cancelling} leftSection={<IconPlayerStopFilled size={15} aria-hidden="true" />}
            onClick={() => { void actions.cancel(); }}>
            Cancel
          </Button>
        ) : (
          <Button size="md" className={`${classes.action} ${classes.primary}`} disabled={opening} leftSection={<IconPlayerPlayFilled size={15} aria-hidden="true" />}
            onClick={() => { void actions.compare(); }}>
            Compare
          </Button>
        )}
      </div>
    </section>
  );
}

function Amount({ disabled }: { disabled: boolean }) {
  const opened = useWorkbench((state) => state.opened);
  const maxTokens = useWorkbench((state) => state.maxTokens);
  const levels = useWorkbench((state) => state.levels.length);
  const threads = useWorkbench((state) => state.capabilities?.threads ?? 1);
  const measurement = useWorkbench((state) => state.measurement);
  const protocol = useWorkbench((state) => state.protocol);
  const text = tokensInText(opened);
  if (!opened?.model || !text) return null;

  const list = stops(text.tokens, protocol);
  const tokens = tokensRun(maxTokens, text.tokens, protocol);
  const position = nearest(list, tokens);
  const cost = costOf(tokens, { levels, parameters: opened.model.parameters, threads, bytesPerToken: (opened.text?.bytes ?? 0) / text.tokens }, measurement, protocol);
  const basis = cost.basis === 'measured'
    ? 'Predicted from the last comparison of this model on this machine.'
    : `Predicted from the model's size and ${threads === 1 ? 'one thread' : `${threads} threads`}, and from how much single tokens usually vary (a standard deviation of 3 nats); measured after the first comparison.`;
  const whole = position === list.length - 1;
  return (
    <div className={classes.amount}>
      <p className={classes.amountHead}>
        <span id="amount-label">Text to measure on</span>
        <strong>{whole ? 'the whole text, ' : ''}{text.counted ? '' : 'about '}{formatCount(tokens)} <Term id="tokens">tokens</Term></strong>
      </p>
      <Slider
        min={0} max={list.length - 1} step={1} value={position} disabled={disabled || list.length < 2}
        size={4} thumbSize={18} label={null}
        thumbProps={{ 'aria-labelledby': 'amount-label' }}
        thumbValueText={(index) => `${formatCount(list[index] ?? tokens)} tokens`}
        onChange={(index) => { actions.setMaxTokens(index === list.length - 1 ? null : list[index] ?? null); }}
      />
      <p className={classes.amountFoot}>
        <Hint text={`${basis} ${levels} levels, fp16 included, run over the same tokens.`}>about {formatDuration(cost.seconds)}</Hint>
        <span>
          {PROTOCOLS[protocol].unit === 'word' ? 'word perplexity' : 'perplexity'} to <Hint text={`One standard error, from ${formatCount(cost.scored)} scored tokens. ${basis} The difference between two levels is known far better, since both see the same tokens.`}>
            ± {(cost.relativeError * 100).toFixed(1)}&nbsp;%
          </Hint>
        </span>
      </p>
      <ProtocolChoice disabled={disabled} />
    </div>
  );
}

function ProtocolChoice({ disabled }: { disabled: boolean }) {
  const protocol = useWorkbench((state) => state.protocol);
  const shown = useWorkbench((state) => isActive(state.run) ? null : measuredBy(state.run));
  return (
    <div className={classes.protocol}>
      <span id="protocol-label"><Term id="protocol">Protocol</Term></span>
      <NativeSelect
        size="xs" aria-labelledby="protocol-label" value={protocol} disabled={disabled}
        data={PROTOCOL_NAMES.map((name) => ({ value: name, label: PROTOCOLS[name].label }))}
        onChange={(event) => { actions.setProtocol(protocolNamed(event.currentTarget.value)); }}
      />
      <p>
        {PROTOCOLS[protocol].about}
        {shown !== null && shown !== protocol && <strong> The results below were measured by the protocol {shown}; figures of the two do not compare.</strong>}
      </p>
    </div>
  );
}

/** The protocol of the figures on show. */
function measuredBy(run: Run | null): ProtocolName | null {
  if (!run?.measuring) return null;
  return run.report ? run.report.protocol?.name ?? null : run.protocol;
}

function nearest(list: readonly number[], tokens: number): number {
  let best = 0;
  list.forEach((stop, index) => { if (Math.abs(stop - tokens) < Math.abs((list[best] ?? 0) - tokens)) best = index; });
  return best;
}
