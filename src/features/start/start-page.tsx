/** What one sees first: what this is, and how to begin. */
import { Button } from '@mantine/core';
import type { ReactNode } from 'react';
import { DEFAULT_IDS } from '../../../workers/contract/levels/level.ts';
import { SCHEMES } from '../../../workers/contract/levels/registry.ts';
import { Mark, tone } from '../../ui/mark.tsx';
import { FilePicker } from '../drop/file-picker.tsx';
import { formatBytes } from '../../lib/format/numbers.ts';
import { useActions, useWorkbench } from '../../store/use-workbench.ts';
import { Term } from '../../ui/terms/term.tsx';
import { useLate } from '../../lib/use-late.ts';
import classes from './start-page.module.css';

export function Empty() {
  return (
    <div className={classes.empty}>
      <section className={classes.hero} aria-labelledby="what">
        <div>
          <h1 id="what" className={classes.headline}>
            See what int8 and int4 cost your model, and what they save.
          </h1>
          <p className={classes.lead}>
            Drop an ONNX language model. Nibble <Term id="quantize">quantizes</Term> it in this tab and measures bytes,
            memory and <Term id="perplexity">perplexity</Term> against <Term id="fp16">fp16</Term>. Keep the version you
            like.
          </p>
        </div>
        <BitRows />
      </section>
      <section className={classes.drop} aria-label="Start">
        <p className={classes.invite}>Drop an ONNX model, its tokenizer and any text</p>
        <div className={classes.buttons}>
          <FilePicker prominent />
          <SampleButton />
        </div>
        <StartStatus />
      </section>
      <ul className={classes.facts}>
        <Fact title="Nothing leaves this tab">Files are read where they are. There is no server behind this page.</Fact>
        <Backend />
        <Fact title="What you will get">
          Sizes, memory, perplexity and drift side by side, and ONNX files to take away.
        </Fact>
      </ul>
    </div>
  );
}

function SampleButton() {
  const actions = useActions();
  const busy = useWorkbench((state) => state.download !== null || state.openingSince !== null);
  return (
    <Button
      variant="default"
      className={classes.sample}
      disabled={busy}
      onClick={() => {
        void actions.loadSample();
      }}
    >
      Try the sample model
    </Button>
  );
}

/** Keeps its line whether it has something to say or not. */
function StartStatus() {
  const download = useWorkbench((state) => state.download);
  const openingSince = useWorkbench((state) => state.openingSince);
  const downloadIsLate = useLate(download?.since ?? null);
  const openingIsLate = useLate(openingSince);
  const text =
    download && downloadIsLate
      ? `Fetching the sample: ${formatBytes(download.done)}${download.total === null ? '' : ` of ${formatBytes(download.total)}`}`
      : openingSince !== null && openingIsLate
        ? 'Reading the files'
        : null;
  return (
    <p className={classes.status} role="status">
      {text ?? (
        <span className={classes.aside}>
          The sample is a 5.8 million parameter language model, about 12 MB, fetched once.
        </span>
      )}
    </p>
  );
}

/** What this machine has, once that is known. */
function Backend() {
  const capabilities = useWorkbench((state) => state.capabilities);
  if (!capabilities)
    return <Fact title="Runs on your device">On the GPU with WebGPU, else on the CPU with WebAssembly.</Fact>;
  return capabilities.webgpu.available && capabilities.backend === 'webgpu' ? (
    <Fact title="Runs on your GPU">
      Weights are quantized with WebGPU. Text is measured on the CPU or the GPU, as you choose.
    </Fact>
  ) : (
    <Fact title="Runs on your CPU here">
      {capabilities.webgpu.available ? 'The GPU is not used.' : 'No GPU found.'} WebAssembly does the work.
    </Fact>
  );
}

function Fact({ title, children }: { title: string; children: ReactNode }) {
  return (
    <li>
      <h2>{title}</h2>
      <p>{children}</p>
    </li>
  );
}

/** Bits one weight takes on each level, drawn one square a bit. */
function BitRows() {
  const rows = [SCHEMES.fp16, ...DEFAULT_IDS.map((id) => SCHEMES[id])];
  return (
    <dl className={classes.bits} aria-label="Bits a weight takes">
      {rows.map(({ id, bits, slot }) => (
        <div key={id}>
          <dt>
            <Mark slot={slot} /> {id}
          </dt>
          <dd>
            <svg viewBox="0 0 256 12" aria-hidden="true">
              {Array.from({ length: bits }, (_, bit) => (
                <rect key={bit} x={bit * 16} width="13" height="12" rx="2.5" fill={tone(slot)} />
              ))}
            </svg>
            <span>{bits}&nbsp;bits</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}
