/** The charts of a comparison. Loaded only when there is something to draw. */
import type { ReactNode } from 'react';
import { formatBytes, formatBytesTick, formatEstimate, formatShare } from '../format/numbers.ts';
import layout from '../layout.module.css';
import type { Provenance } from '../protocols/protocols.ts';
import type { Figure } from '../store/run.ts';
import { Hint, Term } from '../terms/term.tsx';
import classes from './charts.module.css';
import { Frontier } from './frontier.tsx';
import { LevelBars, type Bar } from './level-bars.tsx';

interface Props {
  figures: Figure[];
  cacheBytes: number | null;
  measuring: boolean;
  provenance: Provenance | null;
  contextControl: ReactNode;
}

export function Charts({ figures, cacheBytes, measuring, provenance, contextControl }: Props) {
  const bars = (of: (figure: Figure) => Omit<Bar, 'uid' | 'slot' | 'id' | 'detail'> | null): Bar[] => figures.map((figure) => ({
    uid: figure.level.uid, slot: figure.level.slot, id: figure.level.id, detail: figure.name.slice(figure.level.id.length + 1),
    ...(of(figure) ?? { value: null, text: '' }),
  }));
  const byWord = figures.some(({ unit }) => unit === 'word');
  const share = cacheBytes ?? 0;
  return (
    <div className={classes.grid}>
      {measuring && (
        <Card wide title="Bytes against drift" about={<>Down and to the left is better. The dashed line joins the <Term id="frontier">frontier</Term>.</>} provenance={provenance}>
          <Frontier figures={figures} />
        </Card>
      )}
      <Card title="File size" about="Bytes on disk and over the wire.">
        <LevelBars
          name="File size" tick={formatBytesTick}
          bars={bars(({ bytes }) => bytes === null ? null : { value: bytes, text: formatBytes(bytes) })}
        />
      </Card>
      <Card
        title="Memory, predicted" control={contextControl}
        about={cacheBytes === null ? 'Weights alone.' : <>Weights, and in the lighter part the <Term id="kvCache">KV cache</Term>.</>}
      >
        <LevelBars
          name="Memory, predicted" tick={formatBytesTick}
          bars={bars(({ weightBytes }) => weightBytes === null ? null : { value: weightBytes, more: share, text: formatBytes(weightBytes + share) })}
        />
      </Card>
      {measuring && (
        <>
          <Card title={byWord ? <Term id="wordPerplexity">Word perplexity</Term> : <Term id="perplexity">Perplexity</Term>} about="Lower is better; the axis does not start at zero. Whiskers: one standard error of each level alone. The change between levels is known far better." provenance={provenance}>
            <LevelBars
              name={byWord ? 'Word perplexity' : 'Perplexity'} tick={String} dots
              bars={bars(({ perplexity }) => perplexity ? { value: perplexity.value, error: perplexity.error, text: formatEstimate(perplexity) } : null)}
            />
          </Card>
          <Card title={<Term id="kld">KL divergence from fp16</Term>} about="Nats per token, mean and one standard error; 0 is identical." provenance={provenance}>
            <LevelBars
              name="KL divergence from fp16, nats per token" tick={String}
              bars={bars(({ baseline, drift }) => baseline ? { value: 0, text: 'the yardstick' }
                : drift ? { value: drift.kld.mean, error: drift.kld.error, text: formatEstimate({ value: drift.kld.mean, error: drift.kld.error }) } : null)}
            />
          </Card>
          <Card title={<Term id="sameTop">Same top token</Term>} about="Share of tokens; the axis does not start at zero." provenance={provenance} wide>
            <LevelBars
              name="Same top token as fp16" tick={(value) => `${Number((value * 100).toPrecision(4))}\u00a0%`} dots limit={1}
              bars={bars(({ baseline, drift }) => baseline ? { value: 1, text: 'the yardstick' }
                : drift ? { value: drift.sameTop.value, error: drift.sameTop.error, text: formatShare(drift.sameTop) } : null)}
            />
          </Card>
        </>
      )}
    </div>
  );
}

interface CardProps { title: ReactNode; about: ReactNode; provenance?: Provenance | null; control?: ReactNode; wide?: boolean; children: ReactNode }

function Card({ title, about, provenance, control, wide = false, children }: CardProps) {
  return (
    <figure className={`${layout.panel} ${classes.card}`} data-wide={wide || undefined}>
      <figcaption>
        <div className={classes.cardHead}>
          <h3>{title}</h3>
          {control ?? (provenance && <Hint text={provenance.sentence} className={classes.how}>{provenance.tag}</Hint>)}
        </div>
        <p>{about}</p>
      </figcaption>
      {children}
    </figure>
  );
}
