/** The model in a line, and what came with it or is missing. */
import { Button, Loader } from '@mantine/core';
import { IconCheck, IconPlus } from '@tabler/icons-react';
import { useEffect, useRef, type ReactNode } from 'react';
import type { ModelSummary, Opened } from '../../../workers/contract/files.ts';
import { FilePicker } from '../drop/file-picker.tsx';
import { formatBytes, formatCount, formatLargeCount, plural } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import { PasteButton } from '../paste/paste-button.tsx';
import { useActions, useWorkbench } from '../../store/use-workbench.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import { useLate } from '../../lib/use-late.ts';
import { MissingData } from './missing-data.tsx';
import { ModelDetails } from './model-details.tsx';
import classes from './model-section.module.css';

export function ModelSection() {
  const opened = useWorkbench((state) => state.opened);
  const choices = useWorkbench((state) => state.choices);
  const openingSince = useWorkbench((state) => state.openingSince);
  const late = useLate(openingSince);
  const heading = useRef<HTMLHeadingElement>(null);
  const model = opened?.model ?? null;
  const shown = model?.name ?? (choices.length > 0 ? 'choices' : null);
  // What had the focus, the button of the sample or of a choice, is gone with what it led to.
  useEffect(() => {
    if (document.activeElement === document.body) heading.current?.focus({ preventScroll: true });
  }, [shown]);
  return (
    <section aria-labelledby="model-heading">
      <div className={layout.sectionHead}>
        <h1 ref={heading} tabIndex={-1} id="model-heading" className={classes.name}>
          {model?.name ??
            (choices.length > 0
              ? 'Which model?'
              : opened?.problems.some(({ code }) => code === 'onnx-external-data')
                ? 'A model without its weights'
                : 'No model yet')}
        </h1>
        <div className={classes.pickers}>
          {late && <Loader size="xs" color="gray" aria-label="Reading the files" />}
          <FilePicker />
          <PasteButton />
        </div>
      </div>
      {choices.length > 0 && <Choices />}
      {model && <ModelLine model={model} />}
      {choices.length === 0 && opened?.missing && <MissingData missing={opened.missing} />}
      {opened && choices.length === 0 && <Slots opened={opened} />}
      {model && <ModelDetails model={model} />}
    </section>
  );
}

function Choices() {
  const actions = useActions();
  const choices = useWorkbench((state) => state.choices);
  return (
    <div className={classes.choices}>
      <p>There are several models among these files. Choose one to work on.</p>
      <ul>
        {choices.map(({ name, bytes, index }) => (
          <li key={index}>
            <Button
              variant="default"
              size="sm"
              onClick={() => {
                void actions.chooseModel(index);
              }}
            >
              <span className={layout.mono}>{name}</span>&ensp;
              <span className={layout.muted}>{formatBytes(bytes)}</span>
            </Button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function ModelLine({ model }: { model: ModelSummary }) {
  const opset = model.opsets.find(({ domain }) => domain === '' || domain === 'ai.onnx');
  const types = model.elementTypes
    .filter(({ parameters }) => parameters > 0)
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, 2)
    .map(({ type }) => type);
  return (
    <ul className={classes.line}>
      <li>
        <Hint text={`${formatCount(model.parameters)} parameters`}>{formatLargeCount(model.parameters)}</Hint>{' '}
        <Term id="parameters">parameters</Term>
      </li>
      <li>
        <Hint text={`${formatCount(model.bytes)} bytes, external data included`}>{formatBytes(model.bytes)}</Hint>
      </li>
      {types.length > 0 && (
        <li>
          <Term id="elementTypes">{types.join(', ')}</Term>
        </li>
      )}
      {opset && (
        <li>
          <Term id="opset">opset</Term> {opset.version}
        </li>
      )}
      {model.cacheBytesPerToken !== null && (
        <li>
          {formatBytes(model.cacheBytesPerToken)} of <Term id="kvCache">KV cache</Term> a token
        </li>
      )}
    </ul>
  );
}

const RANDOM = 'they are compared on 8 random inputs (seed 1)';

function Slots({ opened }: { opened: Opened }) {
  const { model, tokenizer, text, problems } = opened;
  const problemOf = (...codes: string[]) => problems.find(({ code }) => codes.includes(code));
  const externalData = problemOf('onnx-external-data');
  const inputs = opened.files.filter(({ kind, problem }) => kind === 'input' && !problem);
  const waits = (opened.missing ?? []).length > 0;
  // What they are for is known only with the model: nothing else can be said to be missing.
  const onlyInputs = model === null && inputs.length > 0 && !tokenizer && !text;
  const noLanguage = model !== null && model.languageModel === null;
  return (
    <ul className={classes.slots}>
      {!model && !externalData && (
        <Slot label="Model" unlocks={problemOf('no-model')?.message ?? 'Drop an .onnx file to begin.'} />
      )}
      {externalData && !waits && (
        <Slot label="External data" unlocks={`${externalData.message} ${externalData.action}`} />
      )}
      {!noLanguage && inputs.length > 0 && (
        <Slot label="Input files" unlocks="">
          {inputs.map(({ name }) => name).join(', ')}:{' '}
          {model ? 'not used, as a language model is measured on text' : 'used with a model that takes such inputs'}
        </Slot>
      )}
      {onlyInputs ? null : noLanguage ? (
        <Slot
          optional
          label="Input files"
          unlocks={`Drop .npy, .pb or JSON files named after the inputs, or images, to compare outputs on data of your own; else ${RANDOM}.`}
        >
          {inputs.length > 0 && <>{inputs.map(({ name }) => name).join(', ')}</>}
        </Slot>
      ) : (
        <>
          <Slot
            label={<Term id="tokenizer">Tokenizer</Term>}
            unlocks="Drop its tokenizer.json to measure perplexity; sizes are compared without it."
          >
            {tokenizer && (
              <>
                {tokenizer.name}, {plural(tokenizer.vocabulary, 'token')} in its vocabulary
              </>
            )}
          </Slot>
          <Slot
            label="Text"
            unlocks="Drop or paste any text to measure perplexity on, best one the model was not trained on."
          >
            {text && (
              <>
                {text.name}, {formatBytes(text.bytes)}
                {text.tokens !== null && (
                  <>
                    , {formatCount(text.tokens)} <Term id="tokens">tokens</Term>
                  </>
                )}
                {text.note !== undefined && <>. {text.note}</>}
              </>
            )}
          </Slot>
        </>
      )}
    </ul>
  );
}

function Slot({
  label,
  unlocks,
  optional = false,
  children,
}: {
  label: ReactNode;
  unlocks: string;
  optional?: boolean;
  children?: ReactNode;
}) {
  const filled = Boolean(children);
  return (
    <li className={classes.slot} data-filled={filled || undefined}>
      {filled ? (
        <IconCheck size={16} stroke={2} aria-hidden="true" />
      ) : (
        <IconPlus size={16} stroke={2} aria-hidden="true" />
      )}
      <div>
        <span className={classes.slotLabel}>
          {label}
          {!filled && (optional ? ', none yet' : ' missing')}
        </span>
        <span className={classes.slotText}>{filled ? children : unlocks}</span>
      </div>
    </li>
  );
}
