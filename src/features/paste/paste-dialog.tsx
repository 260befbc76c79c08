/** Where a text is pasted or typed. */
import { Button, Modal, Textarea } from '@mantine/core';
import { useState } from 'react';
import { formatBytes } from '../../lib/format/numbers.ts';
import { shortfall } from './pasted-text.ts';
import classes from './paste.module.css';

interface Props {
  opened: boolean;
  onClose(): void;
  onTake(text: string): void;
}

/**
 * Locking the page's scrolling would add a style element, which the content policy forbids; and the library's own
 * header would be a second banner of the page.
 */
export function PasteDialog({ opened, onClose, onTake }: Props) {
  const [text, setText] = useState('');
  const missing = text === '' ? 'Best one the model was not trained on. It stays in this tab.' : shortfall(text);
  return (
    <Modal.Root
      opened={opened}
      onClose={onClose}
      size="lg"
      lockScroll={false}
      transitionProps={{ duration: 0 }}
      classNames={{ content: classes.dialog ?? '' }}
    >
      <Modal.Overlay />
      <Modal.Content radius="lg">
        <Modal.Body className={classes.body}>
          <div className={classes.head}>
            <Modal.Title className={classes.title}>A text to measure on</Modal.Title>
            <Modal.CloseButton aria-label="Close" />
          </div>
          <Textarea
            aria-label="Text"
            data-autofocus
            autosize
            minRows={8}
            maxRows={16}
            value={text}
            placeholder="Paste or type here"
            onChange={(event) => {
              setText(event.currentTarget.value);
            }}
          />
          <div className={classes.foot}>
            <p role="status">
              {text !== '' && <>{formatBytes(new Blob([text]).size)}. </>}
              {missing ?? 'How much of it to use is chosen before the comparison.'}
            </p>
            <Button
              className={classes.primary}
              disabled={text.trim() === ''}
              onClick={() => {
                onTake(text);
                setText('');
              }}
            >
              Use this text
            </Button>
          </div>
        </Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}
