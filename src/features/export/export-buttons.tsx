/** Buttons that save the report: as it is, and its figures as a table. Their places are kept while there is no report. */
import { Button } from '@mantine/core';
import { IconBraces, IconTable } from '@tabler/icons-react';
import { reportFileName, type Run } from '../../store/run.ts';
import { save } from '../../lib/save.ts';
import { reportCsv } from './csv.ts';

/** Saves a run's report as JSON or as CSV. */
export function ExportButtons({ run: { report, model } }: { run: Run }) {
  const name = reportFileName(model.name);
  return (
    <div>
      <Button
        variant="subtle"
        size="compact-sm"
        disabled={report === null}
        leftSection={<IconBraces size={15} stroke={1.75} aria-hidden="true" />}
        onClick={() => {
          if (report) save(new Blob([`${JSON.stringify(report, null, 2)}\n`], { type: 'application/json' }), name);
        }}
      >
        Export JSON
      </Button>
      <Button
        variant="subtle"
        size="compact-sm"
        disabled={report === null}
        leftSection={<IconTable size={15} stroke={1.75} aria-hidden="true" />}
        onClick={() => {
          if (report) save(new Blob([reportCsv(report)], { type: 'text/csv' }), name.replace(/\.json$/, '.csv'));
        }}
      >
        Export CSV
      </Button>
    </div>
  );
}
