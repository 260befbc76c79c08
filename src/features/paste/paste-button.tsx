/** A text of one's own without a file: a button for it, and the clipboard wherever one pastes on the page. */
import { Button } from '@mantine/core';
import { IconClipboardText } from '@tabler/icons-react';
import { lazy, Suspense, useEffect, useState } from 'react';
import { useActions } from '../../store/use-workbench.ts';
import { asFile, textOfPaste } from './pasted-text.ts';
import classes from './paste.module.css';

const PasteDialog = lazy(async () => ({ default: (await import('./paste-dialog.tsx')).PasteDialog }));

/** Pasting anywhere but into a field is dropping a text. */
export function usePaste(): void {
  const actions = useActions();
  useEffect(() => {
    const onPaste = (event: ClipboardEvent) => {
      const text = textOfPaste(event);
      if (text === null) return;
      event.preventDefault();
      void actions.addFiles([asFile(text)]);
    };
    document.addEventListener('paste', onPaste);
    return () => {
      document.removeEventListener('paste', onPaste);
    };
  }, [actions]);
}

/** Opens a dialog to paste a text into. */
export function PasteButton() {
  const actions = useActions();
  const [open, setOpen] = useState(false);
  const [used, setUsed] = useState(false);
  return (
    <>
      <Button
        variant="default"
        className={classes.button}
        leftSection={<IconClipboardText size={16} stroke={1.75} aria-hidden="true" />}
        onClick={() => {
          setUsed(true);
          setOpen(true);
        }}
      >
        Paste text
      </Button>
      {used && (
        <Suspense>
          <PasteDialog
            opened={open}
            onClose={() => {
              setOpen(false);
            }}
            onTake={(text) => {
              setOpen(false);
              void actions.addFiles([asFile(text)]);
            }}
          />
        </Suspense>
      )}
    </>
  );
}
