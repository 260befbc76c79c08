/** Where the drift is: the text itself, coloured by how much harder each token became, and the tokens hit hardest. */
import { Pagination, SegmentedControl } from '@mantine/core';
import { useId, useState, type KeyboardEvent } from 'react';
import type { DriftInWords, Guess } from '../../../workers/contract/report.ts';
import { Mark } from '../../ui/mark.tsx';
import { formatProbability, formatSigned } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import type { Provenance } from '../protocols/protocols.ts';
import { NONE } from '../../ui/none.tsx';
import { measuredAs, type Figure } from '../../store/run.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import { BOUNDS, pagesOf, stepOf, tokensOn, visible, worstFor, type ShownToken, type Step } from './passages.ts';
import classes from './words.module.css';

const WORST = 12;

interface Props {
  figures: Figure[];
  words: DriftInWords;
  provenance: Provenance | null;
}

export function Words({ figures, words, provenance }: Props) {
  const levels = figures.filter(
    (figure) =>
      !figure.baseline &&
      words.passages.some((passage) => passage.levels.some(({ level }) => level === measuredAs(figure))),
  );
  // The level that drifted most has most to show.
  const most = [...levels].sort((a, b) => (b.drift?.kld.mean ?? 0) - (a.drift?.kld.mean ?? 0))[0];
  const [chosen, setChosen] = useState<string | null>(null);
  const figure = levels.find(({ level }) => level.uid === chosen) ?? most;
  const shown = figure ? measuredAs(figure) : null;
  if (!figure || shown === null) return <p className={layout.muted}>No level has figures token by token.</p>;
  return (
    <div className={classes.view}>
      <div className={classes.head}>
        <SegmentedControl
          size="xs"
          aria-label="Level"
          value={figure.level.uid}
          onChange={setChosen}
          data={levels.map(({ level, name }) => ({
            value: level.uid,
            label: (
              <span className={classes.choice}>
                <Mark slot={level.slot} size={11} /> {name}
              </span>
            ),
          }))}
        />
        <Legend />
      </div>
      <Text words={words} level={shown} name={figure.name} provenance={provenance} />
      <Worst words={words} figure={figure} levels={levels} provenance={provenance} />
    </div>
  );
}

const STEPS: readonly Step[] = [-3, -2, -1, 0, 1, 2, 3];

function Legend() {
  const [low, middle, high] = BOUNDS;
  return (
    <div className={classes.legend}>
      <span>
        easier <span aria-hidden="true">←</span> <Term id="lossChange">change of loss</Term>, nats{' '}
        <span aria-hidden="true">→</span> harder
      </span>
      <div
        role="img"
        aria-label={`Colours: none within ±${low} nats; below it, easier for the level, and above it, harder, in steps from ${low}, ${middle} and ${high} nats`}
      >
        <div className={classes.scale}>
          {STEPS.map((step) => (
            <span key={step} data-step={step} />
          ))}
        </div>
        <div className={classes.bounds}>
          {[-high, -middle, -low, low, middle, high].map((bound) => (
            <span key={bound}>{formatSigned(bound, 1)}</span>
          ))}
        </div>
      </div>
    </div>
  );
}

function Text({
  words,
  level,
  name,
  provenance,
}: {
  words: DriftInWords;
  level: string;
  name: string;
  provenance: Provenance | null;
}) {
  const [at, setAt] = useState(1);
  const [active, setActive] = useState<number | null>(null);
  const prefix = useId();
  const pages = pagesOf(words.passages);
  const number = Math.min(at, Math.max(1, pages.length));
  const page = pages[number - 1];
  if (!page) return null;
  const tokens = tokensOn(page, words.passages, level);
  const scored = tokens.filter(({ baseline }) => baseline !== null);
  const shown = tokens.find(({ index }) => index === active) ?? null;
  const idOf = (index: number) => `${prefix}-${index}`;
  const move = (event: KeyboardEvent) => {
    const place = scored.findIndex(({ index }) => index === active);
    const to = {
      ArrowRight: place + 1,
      ArrowDown: place + 1,
      ArrowLeft: place - 1,
      ArrowUp: place - 1,
      Home: 0,
      End: scored.length - 1,
    }[event.key];
    const target = to === undefined ? undefined : scored[Math.min(scored.length - 1, Math.max(0, to))];
    if (!target) return;
    event.preventDefault();
    setActive(target.index);
  };
  return (
    <section aria-label="The text, token by token">
      <div
        className={`${layout.panel} ${classes.text}`}
        role="listbox"
        tabIndex={0}
        aria-label={`Text coloured by the change of loss at ${name}; arrow keys go from token to token`}
        aria-activedescendant={shown ? idOf(shown.index) : undefined}
        onKeyDown={move}
        onFocus={() => {
          if (!shown) setActive(scored[0]?.index ?? null);
        }}
        onPointerOver={(event) => {
          const index = event.target instanceof HTMLElement ? event.target.dataset.index : undefined;
          if (index !== undefined) setActive(Number(index));
        }}
      >
        {tokens[0] && tokens[0].index > 0 && (
          <span aria-hidden="true" className={classes.context}>
            …
          </span>
        )}
        {tokens.map((token) =>
          token.baseline === null || token.change === null ? (
            <span key={token.index} className={classes.context} role="presentation">
              {token.text}
            </span>
          ) : (
            <span
              key={token.index}
              id={idOf(token.index)}
              role="option"
              aria-selected={token.index === active}
              data-index={token.index}
              aria-label={readingOf(token, name)}
              className={classes.token}
            >
              {spaceOf(token.text)}
              <span data-index={token.index} data-step={stepOf(token.change)}>
                {token.text.slice(spaceOf(token.text).length)}
              </span>
            </span>
          ),
        )}
      </div>
      <div className={classes.foot}>
        <p className={classes.reading} aria-hidden="true">
          {shown ? (
            <Reading token={shown} name={name} />
          ) : (
            'Point at a token, or press Tab and the arrow keys, to see its figures.'
          )}
        </p>
        {pages.length > 1 && (
          <Pagination
            size="sm"
            total={pages.length}
            value={number}
            onChange={(next) => {
              setAt(next);
              setActive(null);
            }}
            siblings={0}
            getItemProps={(item) => ({ 'aria-label': `Page ${item} of the text` })}
            getControlProps={(control) => ({
              'aria-label': control === 'next' ? 'Next page of the text' : 'Previous page of the text',
            })}
          />
        )}
      </div>
      {provenance && (
        <p className={classes.aside}>
          <Hint text={provenance.sentence} className={classes.tag}>
            {provenance.tag}
          </Hint>
          ; the grey text is context, not scored on this page. The first passages of the text.
        </p>
      )}
    </section>
  );
}

/** Space in front stays uncoloured: where a line ends there, a stripe of colour would be left standing. */
const spaceOf = (text: string): string => (text.trim() === '' ? '' : (/^\s*/.exec(text)?.[0] ?? ''));

const probabilities = ({ baseline, change }: ShownToken): { before: number; after: number } => {
  const before = Math.exp(-(baseline ?? 0));
  return { before, after: before * Math.exp(-(change ?? 0)) };
};

function readingOf(token: ShownToken, name: string): string {
  const { before, after } = probabilities(token);
  return `${visible(token.text)}: ${formatProbability(before)} at fp16, ${formatProbability(after)} at ${name}, ${formatSigned(token.change ?? 0)} nats`;
}

function Reading({ token, name }: { token: ShownToken; name: string }) {
  const { before, after } = probabilities(token);
  return (
    <>
      <strong className={layout.mono}>{visible(token.text)}</strong>
      <span>fp16 {formatProbability(before)}</span>
      <span>
        {name} {formatProbability(after)}
      </span>
      <span>{formatSigned(token.change ?? 0)} nats</span>
    </>
  );
}

function Worst({
  words,
  figure,
  levels,
  provenance,
}: {
  words: DriftInWords;
  figure: Figure;
  levels: Figure[];
  provenance: Provenance | null;
}) {
  const worst = worstFor(words, measuredAs(figure) ?? '', WORST);
  if (worst.length === 0) return null;
  return (
    <section aria-labelledby="worst-heading">
      <h4 id="worst-heading" className={classes.heading}>
        Tokens {figure.name} loses most on, and what would have been said instead
      </h4>
      <div className={layout.tableWrap} tabIndex={0} role="region" aria-label="Worst tokens">
        <table className={`${layout.table} ${classes.worst}`}>
          <thead>
            <tr>
              <th scope="col">In the text</th>
              <th scope="col" className={layout.text}>
                <span className={classes.choice}>
                  <Mark slot={0} size={11} /> fp16
                </span>
              </th>
              {levels.map(({ level, name }) => (
                <th key={level.uid} scope="col" className={layout.text}>
                  <span className={classes.choice}>
                    <Mark slot={level.slot} size={11} /> {name}
                  </span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {worst.map(({ before, token, baseline, levels: lines }, index) => (
              <tr key={`${index}:${token}`}>
                <td className={classes.place}>
                  <span className={classes.before}>{tail(before)}</span>
                  <mark>{visible(token)}</mark>
                </td>
                <td className={layout.text}>
                  <Said
                    probability={baseline.probability}
                    guess={baseline.guess}
                    token={token}
                    provenance={provenance}
                  />
                </td>
                {levels.map((each) => {
                  const { level } = each;
                  const line = lines.find((entry) => entry.level === measuredAs(each));
                  return (
                    <td key={level.uid} className={layout.text}>
                      {line ? (
                        <Said
                          probability={line.probability}
                          guess={line.guess}
                          token={token}
                          change={line.change}
                          provenance={provenance}
                        />
                      ) : (
                        NONE
                      )}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

const TAIL = 64;
const tail = (text: string): string => {
  const line = text.replaceAll(/\s*\n\s*/g, ' ↵ ');
  // A cut may go through a pair of surrogates, of which no half is left standing.
  return line.length > TAIL ? `…${line.slice(-TAIL).replace(/^[\udc00-\udfff]/, '')}` : line;
};

function Said({
  probability,
  guess,
  token,
  change,
  provenance,
}: {
  probability: number;
  guess: Guess;
  token: string;
  change?: number;
  provenance: Provenance | null;
}) {
  return (
    <span className={classes.said} title={provenance?.sentence}>
      <span>
        {formatProbability(probability)}
        {change !== undefined && (
          <span className={classes.change} data-step={stepOf(change)}>
            {formatSigned(change)} nats
          </span>
        )}
      </span>
      <span className={layout.muted}>
        {guess.token === token ? (
          'would say the same'
        ) : (
          <>
            would say <span className={layout.mono}>{visible(guess.token)}</span>,{' '}
            {formatProbability(guess.probability)}
          </>
        )}
      </span>
    </span>
  );
}
