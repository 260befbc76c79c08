/** How much text to measure on, what that costs and buys, and the one button that starts it. */
import { Button, Slider } from '@mantine/core';
import { IconPlayerPlayFilled, IconPlayerStopFilled } from '@tabler/icons-react';
import { useEffect, useRef } from 'react';
import { formatCount, formatDuration } from '../format/numbers.ts';
import layout from '../layout.module.css';
import { loadCharts } from '../report/load-charts.ts';
import { costOf, stops, tokensRun } from '../store/amount.ts';
import { isActive } from '../store/run.ts';
import { actions, useWorkbench } from '../store/use-workbench.ts';
import { canMeasure, tokensInText } from '../store/workbench.ts';
import { Hint, Term } from '../terms/term.tsx';
import classes from './run.module.css';

export function CompareBar() {
  const bar = useRef<HTMLElement>(null);
  const measuring = useWorkbench((state) => canMeasure(state.opened));
  const opening = useWorkbench((state) => state.openingSince !== null);
  const running = useWorkbench((state) => isActive(state.run));
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
    </section>
  );
}

function Amount({ disabled }: { disabled: boolean }) {
  const opened = useWorkbench((state) => state.opened);
  const maxTokens = useWorkbench((state) => state.maxTokens);
  const levels = useWorkbench((state) => state.levels.length);
  const threads = useWorkbench((state) => state.capabilities?.threads ?? 1);
  const measurement = useWorkbench((state) => state.measurement);
  const text = tokensInText(opened);
  if (!opened?.model || !text) return null;

  const list = stops(text.tokens);
  const tokens = tokensRun(maxTokens, text.tokens);
  const position = nearest(list, tokens);
  const cost = costOf(tokens, { levels, parameters: opened.model.parameters, threads }, measurement);
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
          perplexity to <Hint text={`One standard error, from ${formatCount(cost.scored)} scored tokens. ${basis} The difference between two levels is known far better, since both see the same tokens.`}>
            ± {(cost.relativeError * 100).toFixed(1)}&nbsp;%
          </Hint>
        </span>
      </p>
    </div>
  );
}

function nearest(list: readonly number[], tokens: number): number {
  let best = 0;
  list.forEach((stop, index) => { if (Math.abs(stop - tokens) < Math.abs((list[best] ?? 0) - tokens)) best = index; });
  return best;
}
