import { Button } from '@mantine/core';
import { IconBraces } from '@tabler/icons-react';
import { reportFileName, type Run } from '../../store/run.ts';
import { save } from '../../lib/save.ts';

/** Saves the engine's report as it is. Its place is kept while there is none. */
export function ExportButton({ run: { report, model } }: { run: Run }) {
  return (
    <Button
      variant="subtle"
      size="compact-sm"
      disabled={report === null}
      leftSection={<IconBraces size={15} stroke={1.75} aria-hidden="true" />}
      onClick={() => {
        if (report)
          save(
            new Blob([`${JSON.stringify(report, null, 2)}\n`], { type: 'application/json' }),
            reportFileName(model.name),
          );
      }}
    >
      Export JSON
    </Button>
  );
}
