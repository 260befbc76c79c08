/** What can be taken away of a level: its file, the second one where there is one, and the folder for the Hub. */
import { Button, Tooltip } from '@mantine/core';
import { IconDownload, IconFileDatabase, IconFolder, IconFolderCheck, IconPlayerStopFilled } from '@tabler/icons-react';
import { useState } from 'react';
import { formatBytes, formatProgress } from '../../lib/format/numbers.ts';
import { ErrorText } from '../../ui/problems/error-text.tsx';
import { save } from '../../lib/save.ts';
import type { Figure, Run } from '../../store/run.ts';
import { usePage } from '../../store/use-workbench.ts';
import type { EngineError } from '../../../workers/contract/errors.ts';
import { calledInRun } from './called.ts';
import { hubFolderHolds, hubFolderName, hubJob } from './hub-job.ts';
import classes from './run.module.css';

export function DownloadActions({ run, figure }: { run: Run; figure: Figure }) {
  const { blob, file, folder, data, level } = figure;
  const name = calledInRun(level, run.levels);
  if (!blob && run.storedAt !== undefined) return <p className={classes.notStored}>{notStored(run, figure)}</p>;
  if (!blob || file === null) return <span className={classes.take} />;
  if (folder !== null)
    return (
      <div className={classes.takes}>
        <InFolder files={[file, ...(data ? [data.file] : [])]} folder={folder} />
        <HubFolder run={run} figure={figure} />
      </div>
    );
  return (
    <div className={classes.takes}>
      <Button
        variant="default"
        size="sm"
        className={classes.take}
        aria-label={`Download ${name}`}
        leftSection={<IconDownload size={16} stroke={1.75} aria-hidden="true" />}
        onClick={() => {
          save(blob, file);
        }}
      >
        Download {level.id}
      </Button>
      {data && (
        <Button
          variant="default"
          size="sm"
          className={classes.take}
          aria-label={`Download the data of ${name}`}
          leftSection={<IconFileDatabase size={16} stroke={1.75} aria-hidden="true" />}
          onClick={() => {
            save(data.blob, data.file);
          }}
        >
          and its data, {formatBytes(data.bytes)}
        </Button>
      )}
      <HubFolder run={run} figure={figure} />
    </div>
  );
}

/** Why the file of an earlier result is not there to download. */
function notStored({ model }: Run, { baseline, file, bytes }: Figure): string {
  return baseline && bytes === model.bytes
    ? `Not stored: this is ${model.name} as it was dropped.`
    : `${file ?? 'The file'} is not stored any more.`;
}

function InFolder({ files, folder }: { files: readonly string[]; folder: string }) {
  return (
    <p className={classes.inFolder}>
      <IconFolderCheck size={16} stroke={1.75} aria-hidden="true" />
      <span>
        <strong>{files.join(' and ')}</strong> in the folder {folder}
      </span>
    </p>
  );
}

/** Its parts are read once for their checksums; of gigabytes that takes a while, and can be stopped. */
function HubFolder({ run, figure }: { run: Run; figure: Figure }) {
  const [making, setMaking] = useState<{ share: number; stop: AbortController } | null>(null);
  const [problem, setProblem] = useState<EngineError | null>(null);
  const { engine } = usePage();
  const job = hubJob(run, figure);
  const make = async () => {
    if (!job) return;
    const stop = new AbortController();
    setMaking({ share: 0, stop });
    setProblem(null);
    const made = await engine.hubFolder(
      job,
      ({ done, total }) => {
        setMaking({ share: total > 0 ? done / total : 0, stop });
      },
      stop.signal,
    );
    setMaking(null);
    if (stop.signal.aborted) return;
    if (made.ok) save(made.value, hubFolderName(figure.file ?? ''));
    else setProblem(made.error);
  };
  // Its place is kept while there is no report to make a card of.
  return (
    <>
      <Tooltip
        label={job ? hubFolderHolds(run) : 'Once the comparison is through: its figures go into the card.'}
        events={{ hover: true, focus: true, touch: true }}
        multiline
        w={280}
        openDelay={120}
        withArrow
      >
        <Button
          variant="subtle"
          size="compact-xs"
          className={classes.hub}
          aria-label={
            making
              ? `Stop making the Hub folder of ${calledInRun(figure.level, run.levels)}`
              : `Hub folder of ${calledInRun(figure.level, run.levels)}, a zip`
          }
          {...(job === null ? { 'aria-disabled': true, 'data-disabled': true } : {})}
          leftSection={
            making ? (
              <IconPlayerStopFilled size={12} aria-hidden="true" />
            ) : (
              <IconFolder size={14} stroke={1.75} aria-hidden="true" />
            )
          }
          onClick={() => {
            if (making) making.stop.abort();
            else void make();
          }}
        >
          {making ? `Stop, ${formatProgress(making.share)} read` : 'Hub folder (zip)'}
        </Button>
      </Tooltip>
      {problem && (
        <div className={classes.hubProblem}>
          <ErrorText error={problem} />
        </div>
      )}
    </>
  );
}
