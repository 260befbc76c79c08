/** The baseline and levels continuing the same prompt, in columns, with the place where each first says something else. */
import { Button, Chip, NumberInput, SegmentedControl, Textarea } from '@mantine/core';
import { IconPlayerPlayFilled, IconPlayerStopFilled } from '@tabler/icons-react';
import { useId, useState } from 'react';
import type { GenerationJob } from '../../../workers/contract/generation.ts';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import { Mark, tone } from '../../ui/mark.tsx';
import { PROVIDERS } from '../runtimes/drifts.ts';
import { formatRate, plural } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import { ErrorText } from '../../ui/problems/error-text.tsx';
import { partingOf, type Continuation, type Parting } from '../../store/generation.ts';
import { isActive, type Figure, type Run } from '../../store/run.ts';
import { useGeneration, useGenerationActions, useWorkbench } from '../../store/use-workbench.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import classes from './side-by-side.module.css';

const MOST_TOKENS = 512;

interface Sampling {
  kind: 'greedy' | 'seeded';
  seed: number;
  temperature: number;
  topK: number;
}

export function SideBySide({ run, figures }: { run: Run; figures: Figure[] }) {
  const generationActions = useGenerationActions();
  const ready = figures.filter(({ blob }) => blob !== null);
  const baseline = ready.find((figure) => figure.baseline);
  const levels = ready.filter((figure) => !figure.baseline);
  const gpu = useWorkbench((state) => state.capabilities?.webgpu.available === true);
  const status = useGeneration((state) => state.status);
  const problem = useGeneration((state) => state.problem);
  const [prompt, setPrompt] = useState(() => promptFrom(run));
  const [chosen, setChosen] = useState<readonly string[]>(() => levels.slice(-2).map(({ level }) => level.uid));
  const [sampling, setSampling] = useState<Sampling>({ kind: 'greedy', seed: 1, temperature: 0.8, topK: 40 });
  const [maxTokens, setMaxTokens] = useState(64);
  const [provider, setProvider] = useState<Provider>('wasm');
  const promptId = useId();
  if (run.tokenizer.length === 0)
    return (
      <p className={layout.muted}>
        Drop the model’s tokenizer.json and compare again: a prompt has to be cut into tokens.
      </p>
    );
  if (!baseline) return <p className={layout.muted}>The levels can continue a prompt once their files are written.</p>;

  const columns = [baseline, ...levels.filter(({ level }) => chosen.includes(level.uid))];
  const go = () => {
    const job: GenerationJob = {
      models: columns.flatMap(({ level, blob, data }) =>
        blob ? [{ key: level.uid, model: { model: blob, data: data ?? null } }] : [],
      ),
      files: [...run.tokenizer],
      prompt,
      maxTokens,
      provider,
      sampling: sampling.kind === 'greedy' ? { kind: 'greedy' } : { ...sampling, kind: 'seeded' },
    };
    void generationActions.generate(job);
  };
  const busy = status !== 'idle';
  return (
    <div className={classes.view}>
      <div className={classes.form}>
        <label htmlFor={promptId} className={classes.label}>
          Prompt
        </label>
        <Textarea
          id={promptId}
          autosize
          minRows={2}
          maxRows={8}
          value={prompt}
          disabled={busy}
          onChange={(event) => {
            setPrompt(event.currentTarget.value);
          }}
        />
        <div className={classes.controls}>
          <Chip.Group
            multiple
            value={[...chosen]}
            onChange={(value: string[]) => {
              setChosen(value);
            }}
          >
            <div className={classes.chips} role="group" aria-label="Levels to compare with fp16">
              {levels.map(({ level, name }) => (
                <Chip key={level.uid} value={level.uid} size="xs" radius="sm" variant="outline" disabled={busy}>
                  {name}
                </Chip>
              ))}
            </div>
          </Chip.Group>
          <SegmentedControl
            size="xs"
            aria-label="How tokens are chosen"
            disabled={busy}
            value={sampling.kind}
            data={[
              { value: 'greedy', label: 'most likely' },
              { value: 'seeded', label: 'sampled' },
            ]}
            onChange={(kind) => {
              setSampling({ ...sampling, kind: kind === 'seeded' ? 'seeded' : 'greedy' });
            }}
          />
          {gpu && (
            <SegmentedControl
              size="xs"
              aria-label="Run on"
              disabled={busy}
              value={provider}
              data={[
                { value: 'wasm', label: PROVIDERS.wasm },
                { value: 'webgpu', label: PROVIDERS.webgpu },
              ]}
              onChange={(value) => {
                setProvider(value === 'webgpu' ? 'webgpu' : 'wasm');
              }}
            />
          )}
        </div>
        <div className={classes.numbers}>
          <Setting
            label={<Term id="tokens">Max tokens</Term>}
            value={maxTokens}
            min={1}
            max={MOST_TOKENS}
            disabled={busy}
            onChange={setMaxTokens}
          />
          <Setting
            label={<Term id="seeded">Seed</Term>}
            value={sampling.seed}
            min={0}
            max={4_294_967_295}
            disabled={busy || sampling.kind === 'greedy'}
            onChange={(seed) => {
              setSampling({ ...sampling, seed });
            }}
          />
          <Setting
            label={<Term id="temperature">Temperature</Term>}
            value={sampling.temperature}
            min={0.05}
            max={5}
            step={0.1}
            decimals={2}
            disabled={busy || sampling.kind === 'greedy'}
            onChange={(temperature) => {
              setSampling({ ...sampling, temperature });
            }}
          />
          <Setting
            label={<Term id="topK">Top-k</Term>}
            value={sampling.topK}
            min={1}
            max={100_000}
            disabled={busy || sampling.kind === 'greedy'}
            onChange={(topK) => {
              setSampling({ ...sampling, topK });
            }}
          />
          {busy ? (
            <Button
              variant="default"
              className={classes.go}
              disabled={status === 'cancelling'}
              leftSection={<IconPlayerStopFilled size={14} aria-hidden="true" />}
              onClick={() => {
                generationActions.cancel();
              }}
            >
              Stop
            </Button>
          ) : (
            <Button
              className={`${classes.go} ${classes.primary}`}
              disabled={isActive(run) || prompt === ''}
              leftSection={<IconPlayerPlayFilled size={14} aria-hidden="true" />}
              onClick={go}
            >
              Continue
            </Button>
          )}
        </div>
      </div>
      {problem && (
        <div className={classes.problem} role="alert">
          <ErrorText error={problem} />
        </div>
      )}
      <Columns columns={columns} />
    </div>
  );
}

interface SettingProps {
  label: React.ReactNode;
  value: number;
  min: number;
  max: number;
  step?: number;
  decimals?: number;
  suffix?: string;
  disabled: boolean;
  onChange(value: number): void;
}

function Setting({ label, value, min, max, step = 1, decimals = 0, suffix = '', disabled, onChange }: SettingProps) {
  const id = useId();
  return (
    <div className={classes.setting}>
      <span id={id}>{label}</span>
      <NumberInput
        size="xs"
        aria-labelledby={id}
        value={value}
        min={min}
        max={max}
        step={step}
        decimalScale={decimals}
        clampBehavior="blur"
        disabled={disabled}
        suffix={suffix}
        w={suffix ? 116 : 84}
        onChange={(next) => {
          if (typeof next === 'number' && next >= min && next <= max) onChange(next);
        }}
      />
    </div>
  );
}

/** Columns keep to what was asked for, not to what is chosen now; their place is kept before anything is asked. */
function Columns({ columns }: { columns: Figure[] }) {
  const job = useGeneration((state) => state.job);
  const continuations = useGeneration((state) => state.continuations);
  const running = useGeneration((state) => state.status !== 'idle');
  const asked = job ? columns.filter(({ level }) => job.models.some(({ key }) => key === level.uid)) : columns;
  const baselineText = continuations.get(columns[0]?.level.uid ?? '');
  return (
    <ul className={classes.columns} aria-label="Continuations" style={{ '--columns': Math.max(1, asked.length) }}>
      {asked.map((figure) => {
        const continuation = continuations.get(figure.level.uid);
        const parting = continuation && baselineText && !figure.baseline ? partingOf(continuation, baselineText) : null;
        return (
          <li key={figure.level.uid} className={layout.panel} style={{ '--tone': tone(figure.level.slot) }}>
            <h4>
              <Mark slot={figure.level.slot} /> {figure.name}
            </h4>
            <p className={classes.text}>
              {job && <span className={layout.muted}>{job.prompt}</span>}
              {continuation ? (
                <Written continuation={continuation} parting={parting} />
              ) : (
                <span className={layout.muted}>{job ? (running ? ' …' : '') : 'Press Continue.'}</span>
              )}
            </p>
            {continuation?.problem && <ErrorText error={continuation.problem} />}
            <p className={classes.foot}>
              <span>{said(figure, continuation, baselineText, parting)}</span>
              {continuation && <Pace continuation={continuation} provider={job?.provider ?? 'wasm'} />}
            </p>
          </li>
        );
      })}
    </ul>
  );
}

function Written({ continuation: { text }, parting }: { continuation: Continuation; parting: Parting | null }) {
  if (!parting) return text;
  const piece = text.slice(parting.same, parting.until);
  const space = piece.trim() === '' ? '' : (/^\s*/.exec(piece)?.[0] ?? '');
  return (
    <>
      {text.slice(0, parting.same)}
      {space}
      <mark>{piece.slice(space.length) || '■'}</mark>
      {text.slice(parting.until)}
    </>
  );
}

function said(
  { baseline }: Figure,
  continuation: Continuation | undefined,
  baselineText: Continuation | undefined,
  parting: Parting | null,
): string {
  if (!continuation) return '\u00a0';
  if (baseline) return 'Baseline.';
  if (!parting)
    return continuation.final && baselineText?.final
      ? 'The same as fp16, to the last token.'
      : 'The same as fp16 so far.';
  if (!parting.exact)
    return `Differs from fp16 ${parting.tokens === 0 ? 'within the first tokens' : `some tokens after the ${ordinal(parting.tokens)}`}.`;
  return parting.tokens === 0
    ? 'Differs from fp16 from the first token.'
    : `Differs from fp16 after ${plural(parting.tokens, 'token')}.`;
}

const ENDINGS: Partial<Record<Intl.LDMLPluralRule, string>> = { one: 'st', two: 'nd', few: 'rd' };
const ordinal = (count: number): string =>
  `${count}${ENDINGS[new Intl.PluralRules('en', { type: 'ordinal' }).select(count)] ?? 'th'}`;

function Pace({
  continuation: { tokens, tokensPerSecond, cached },
  provider,
}: {
  continuation: Continuation;
  provider: Provider;
}) {
  return (
    <Hint
      text={`${plural(tokens, 'token')} on ${PROVIDERS[provider]}; the pace is that of the tokens after the first. One run, other work on the machine included: the speed tab measures better.`}
    >
      {plural(tokens, 'token')}
      {tokensPerSecond !== null && <>, {formatRate(tokensPerSecond)}</>}, KV cache {cached ? 'used' : 'not used'}
    </Hint>
  );
}

/** The beginning of the text measured on: real words, whatever the language. */
function promptFrom({ report }: Run): string {
  const start = report?.words?.passages[0]?.tokens.slice(0, 16).join('').trim() ?? '';
  return start.length >= 8 ? start : 'Once upon a time';
}
