/** The charts of a comparison. Loaded only when there is something to draw. */
import type { ReactNode } from 'react';
import type { Estimate } from '../../../workers/contract/report.ts';
import type { Provider } from '../../../workers/contract/capabilities.ts';
import { PROVIDERS } from '../runtimes/drifts.ts';
import { memoryFor, memoryTotal } from '../results/memory.ts';
import { formatBytes, formatBytesTick, formatDecibels, formatEstimate, formatShare } from '../../lib/format/numbers.ts';
import { headline } from '../outputs/outputs.ts';
import type { Provenance } from '../protocols/protocols.ts';
import type { Figure } from '../../store/run.ts';
import { Term } from '../../ui/terms/term.tsx';
import { Card } from './card.tsx';
import classes from './charts.module.css';
import { Frontier, SignalFrontier } from './frontier.tsx';
import { LevelBars, type Bar } from './level-bars.tsx';

interface Props {
  figures: Figure[];
  /** Where models are run, and tokens at once, to predict memory for. */
  provider: Provider;
  context: number;
  /** What was run through the models; null where only sizes are compared. */
  measured: 'text' | 'inputs' | null;
  provenance: Provenance | null;
  contextControl: ReactNode;
}

export function Charts({ figures, provider, context, measured, provenance, contextControl }: Props) {
  const bars = (of: (figure: Figure) => Omit<Bar, 'uid' | 'slot' | 'id' | 'detail'> | null): Bar[] =>
    figures.map((figure) => ({
      uid: figure.level.uid,
      slot: figure.level.slot,
      id: figure.level.id,
      detail: figure.name.slice(figure.level.id.length + 1),
      ...(of(figure) ?? { value: null, text: '' }),
    }));
  const byWord = figures.some(({ unit }) => unit === 'word');
  return (
    <div className={classes.grid}>
      {measured === 'text' && (
        <Card
          wide
          title="Size vs. drift"
          about={
            <>
              Down and to the left is better. The dashed line joins the <Term id="frontier">frontier</Term>.
            </>
          }
          provenance={provenance}
        >
          <Frontier figures={figures} />
        </Card>
      )}
      {measured === 'inputs' && (
        <Card
          wide
          title="Size vs. output accuracy"
          about={
            <>
              Up and to the left is better. The dashed line joins the <Term id="frontier">frontier</Term>; of several
              outputs the one that drifted most counts.
            </>
          }
          provenance={provenance}
        >
          <SignalFrontier figures={figures} />
        </Card>
      )}
      <Card title="File size" about="Bytes on disk and over the wire.">
        <LevelBars
          name="File size"
          tick={formatBytesTick}
          bars={bars(({ bytes }) => (bytes === null ? null : { value: bytes, text: formatBytes(bytes) }))}
        />
      </Card>
      <Card
        title="Memory, predicted"
        control={contextControl}
        about={
          <>
            On {PROVIDERS[provider]}: weights, and in the lighter part <Term id="kvCache">KV cache</Term>, logits and
            what the runtime takes.
          </>
        }
      >
        <LevelBars
          name="Memory, predicted"
          tick={formatBytesTick}
          bars={bars((figure) => {
            const parts = memoryFor(figure, provider, context);
            return (
              parts && {
                value: parts.weights,
                more: memoryTotal(parts) - parts.weights,
                text: formatBytes(memoryTotal(parts)),
              }
            );
          })}
        />
      </Card>
      {measured === 'inputs' && <SignalCards figures={figures} bars={bars} provenance={provenance} />}
      {measured === 'text' && (
        <>
          <Card
            title={byWord ? <Term id="wordPerplexity">Word perplexity</Term> : <Term id="perplexity">Perplexity</Term>}
            about="Lower is better; the axis does not start at zero. Whiskers: one standard error of each level alone. The change between levels is known far better."
            provenance={provenance}
          >
            <LevelBars
              name={byWord ? 'Word perplexity' : 'Perplexity'}
              tick={String}
              dots
              bars={bars(({ perplexity }) =>
                perplexity
                  ? { value: perplexity.value, error: perplexity.error, text: formatEstimate(perplexity) }
                  : null,
              )}
            />
          </Card>
          <Card
            title={<Term id="kld">KL divergence from fp16</Term>}
            about="Nats per token, mean and one standard error; 0 is identical."
            provenance={provenance}
          >
            <LevelBars
              name="KL divergence from fp16, nats per token"
              tick={String}
              bars={bars(({ baseline, drift }) =>
                baseline
                  ? { value: 0, text: 'baseline' }
                  : drift
                    ? {
                        value: drift.kld.mean,
                        error: drift.kld.error,
                        text: formatEstimate({ value: drift.kld.mean, error: drift.kld.error }),
                      }
                    : null,
              )}
            />
          </Card>
          <Card
            title={<Term id="sameTop">Same top token</Term>}
            about="Share of tokens; the axis does not start at zero."
            provenance={provenance}
            wide
          >
            <LevelBars
              name="Same top token as fp16"
              tick={(value) => `${Number((value * 100).toPrecision(4))}\u00a0%`}
              dots
              limit={1}
              bars={bars(({ baseline, drift }) =>
                baseline
                  ? { value: 1, text: 'baseline' }
                  : drift
                    ? { value: drift.sameTop.value, error: drift.sameTop.error, text: formatShare(drift.sameTop) }
                    : null,
              )}
            />
          </Card>
        </>
      )}
    </div>
  );
}

/** What the outputs of a model on inputs keep, level by level. */
function SignalCards({
  figures,
  bars,
  provenance,
}: {
  figures: Figure[];
  bars(of: (figure: Figure) => Omit<Bar, 'uid' | 'slot' | 'id' | 'detail'> | null): Bar[];
  provenance: Provenance | null;
}) {
  const scores = (figure: Figure) =>
    (figure.outputs ?? [])
      .flatMap(({ top1 }) => top1 ?? [])
      .reduce<Estimate | null>((worst, share) => (worst && worst.value <= share.value ? worst : share), null);
  const hasScores = figures.some((figure) => scores(figure) !== null);
  return (
    <>
      <Card
        wide={!hasScores}
        title={<Term id="sqnr">Signal-to-noise ratio</Term>}
        about="Decibels, of the output that drifted most; higher is better."
        provenance={provenance}
      >
        <LevelBars
          name="Signal-to-noise ratio, decibels"
          tick={String}
          bars={bars((figure) => {
            const worst = headline(figure.outputs ?? []);
            return figure.baseline
              ? { value: null, text: 'baseline' }
              : worst
                ? { value: worst.sqnr, text: formatDecibels(worst.sqnr) }
                : null;
          })}
        />
      </Card>
      {hasScores && (
        <Card
          title={<Term id="top1">Same top class</Term>}
          about="Share of rows of scores, errors over inputs; the axis does not start at zero."
          provenance={provenance}
        >
          <LevelBars
            name="Same top class as fp16"
            tick={(value) => `${Number((value * 100).toPrecision(4))}\u00a0%`}
            dots
            limit={1}
            bars={bars((figure) => {
              const share = scores(figure);
              return figure.baseline
                ? { value: 1, text: 'baseline' }
                : share
                  ? { value: share.value, error: share.error, text: formatShare(share) }
                  : null;
            })}
          />
        </Card>
      )}
    </>
  );
}
