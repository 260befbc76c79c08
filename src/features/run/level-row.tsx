/** One level of a run: what is happening to it, then what it costs and saves, and its file. */
import { tone, Mark } from '../../ui/mark.tsx';
import { formatBytes, formatCount, formatDuration } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import { classSentence, outputsSentence } from '../outputs/outputs.ts';
import { agreementSentence, perplexitySentence, sizeSentence } from '../results/sentences.ts';
import { speedSentence } from '../speed/against-baseline.ts';
import { describeSettings, settingWords } from '../../../workers/contract/levels/words.ts';
import type { Provenance } from '../protocols/protocols.ts';
import type { Row } from '../../store/live.ts';
import { isActive, staleness, type Figure, type Run } from '../../store/run.ts';
import { useWorkbench } from '../../store/use-workbench.ts';
import { Hint } from '../../ui/terms/term.tsx';
import classes from './run.module.css';
import { DownloadActions } from './download-actions.tsx';

interface Props {
  run: Run;
  figure: Figure;
  baseline: Figure | undefined;
  provenance: Provenance | null;
}

export function LevelRow({ run, figure, baseline, provenance }: Props) {
  const row = run.live.rows.get(figure.level.uid);
  const active = isActive(run);
  const { stage, done: shares } = run.live;
  const measure = stage === 'check' ? shares.check : stage === 'measure' ? shares.measure : 0;
  const progress = row?.progress;
  const quantizing = progress && progress.total > 0 ? progress.done / progress.total : 0;
  const done = row?.written ? measure : quantizing;
  return (
    <li className={classes.row} style={{ '--tone': tone(figure.level.slot) }}>
      <div className={classes.rowName}>
        <Mark slot={figure.level.slot} size={14} />
        <span>
          {figure.level.id}
          <span className={classes.rowSettings}>{settingWords(figure.level).join(', ')}</span>
        </span>
      </div>
      <Words run={run} figure={figure} baseline={baseline} row={row} active={active} provenance={provenance} />
      <DownloadActions run={run} figure={figure} />
      <span className={classes.rowTrack} data-idle={!active || undefined} aria-hidden="true">
        <span className={classes.fill} style={{ '--done': done }} />
      </span>
    </li>
  );
}

function Words({
  run,
  figure,
  baseline,
  row,
  active,
  provenance,
}: {
  run: Run;
  figure: Figure;
  baseline: Figure | undefined;
  row: Row | undefined;
  active: boolean;
  provenance: Provenance | null;
}) {
  const levels = useWorkbench((state) => state.levels);
  const size = sizeSentence(figure, baseline, run.model.bytes);
  const outputs = figure.outputs ?? [];
  const cost = perplexitySentence(figure, baseline) ?? outputsSentence(outputs);
  const agreement = agreementSentence(figure) ?? classSentence(outputs);
  const speed = speedSentence(figure, baseline);
  const age = active || run.storedAt !== undefined ? 'current' : staleness(figure.level, levels);
  const hover = provenance?.sentence ?? '';
  if (active && !row?.written && row?.progress)
    return (
      <div className={classes.words}>
        <Passing row={row} />
      </div>
    );
  if (row?.skipped)
    return (
      <div className={classes.words}>
        <p className={classes.aside}>Not made: {row.skipped.message}</p>
      </div>
    );
  if (size === null)
    return (
      <div className={classes.words}>
        <p className={classes.aside}>{active ? 'Waiting' : 'Not finished'}</p>
      </div>
    );
  return (
    <div className={classes.words}>
      <p className={classes.sentence}>
        {size} {cost && <Hint text={hover}>{cost}</Hint>}
        {speed && <> {speed}</>}
      </p>
      <p className={classes.aside}>
        {figure.bytes !== null && (
          <Hint text={`${formatCount(figure.bytes)} bytes in ${figure.file ?? 'the file'}`}>
            {formatBytes(figure.bytes)}
          </Hint>
        )}
        {agreement && (
          <>
            {' '}
            · <Hint text={hover}>{agreement}</Hint>
          </>
        )}
      </p>
      {figure.sameFileAs != null && (
        <p className={classes.aside} data-same-file>
          Same file as {figure.sameFileAs}, but for its metadata: measured once.
        </p>
      )}
      {figure.data && figure.file !== null && (
        <p className={classes.aside}>
          Two files that belong together, side by side in one folder: <span className={layout.mono}>{figure.file}</span>{' '}
          and <span className={layout.mono}>{figure.data.file}</span>.
        </p>
      )}
      {age !== 'current' && (
        <p className={classes.madeWith}>
          Made with {describeSettings(figure.level)}; the level has been {age === 'removed' ? 'removed' : 'changed'}{' '}
          since.
        </p>
      )}
    </div>
  );
}

function Passing({ row }: { row: Row }) {
  const { progress, perSecond } = row;
  if (!progress) return null;
  const amount =
    progress.unit === 'bytes'
      ? `${formatBytes(progress.done)} of ${formatBytes(progress.total)}`
      : `${formatCount(progress.done)} of ${formatCount(progress.total)} ${progress.unit}`;
  return (
    <>
      <p className={`${classes.aside} ${classes.passing}`}>
        <span className={layout.mono}>{progress.tensor ?? 'Starting'}</span>
      </p>
      <p className={classes.aside}>
        {amount}
        {perSecond !== null && (
          <>
            {' '}
            ·{' '}
            {progress.unit === 'bytes'
              ? `${formatBytes(perSecond)}/s`
              : `${formatCount(Math.round(perSecond))} ${progress.unit}/s`}
          </>
        )}
        {progress.secondsLeft !== null && <> · {formatDuration(progress.secondsLeft)} left</>}
      </p>
    </>
  );
}
