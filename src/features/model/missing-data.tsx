/** External data that a model needs and that is not there: a slot a file, each of which takes a drop or a chosen file. */
import { IconFile, IconFolder } from '@tabler/icons-react';
import { useDropzone } from 'react-dropzone';
import type { MissingData as Missing } from '../../../workers/contract/files.ts';
import drop from '../drop/drop.module.css';
import { formatBytes, formatCount, plural } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import { useActions, useWorkbench } from '../../store/use-workbench.ts';
import classes from './model-section.module.css';

/** More slots than this are a list nobody reads: then the folder is the way. */
const MOST_SLOTS = 4;
const FEW = 3;

export function MissingData({ missing }: { missing: readonly Missing[] }) {
  const model = useWorkbench((state) => state.files.find(({ kind }) => kind === 'onnx')?.file.name ?? 'The model');
  const there = useWorkbench((state) => state.files.filter(({ kind }) => kind === 'external-data').length);
  const shown = missing.length > MOST_SLOTS ? missing.slice(0, FEW) : missing;
  const tensors = missing.reduce((sum, entry) => sum + entry.tensors, 0);
  const bytes = missing.reduce((sum, entry) => sum + entry.bytes, 0);
  return (
    <div className={classes.missing} role="group" aria-label="Missing external data">
      <p>
        <span className={layout.mono}>{model}</span> keeps weights in other files. {plural(missing.length, 'file')} with{' '}
        {plural(tensors, 'tensor')}, {formatBytes(bytes)} at least,
        {missing.length === 1 ? ' is' : ' are'} missing
        {there > 0 && `; ${formatCount(there)} ${there === 1 ? 'is' : 'are'} there`}. Drop{' '}
        {missing.length === 1 ? 'it' : 'them'} anywhere, or drop the whole folder.
      </p>
      <ul className={classes.slots}>
        {shown.map((entry) => (
          <DataSlot key={entry.location} entry={entry} />
        ))}
        {missing.length > shown.length && (
          <li className={classes.slot}>
            <IconFolder size={16} stroke={2} aria-hidden="true" />
            <div>
              <span className={classes.slotLabel}>and {formatCount(missing.length - shown.length)} more</span>
              <span className={classes.slotText}>
                Drop the folder they are in, or choose it above: files are found by their names and folders.
              </span>
            </div>
          </li>
        )}
      </ul>
    </div>
  );
}

function DataSlot({ entry: { location, bytes, tensors } }: { entry: Missing }) {
  const actions = useActions();
  const take = (files: readonly File[]) => {
    const [only] = files;
    if (!only) return;
    // Several are told apart by their names.
    void (files.length === 1 ? actions.fillMissing(location, only) : actions.addFiles(files));
  };
  const { getRootProps, isDragActive } = useDropzone({
    noClick: true,
    noKeyboard: true,
    noDragEventsBubbling: true,
    onDrop: take,
  });
  return (
    // It stays an item of the list.
    <li {...getRootProps()} role={undefined} className={classes.slot} data-over={isDragActive || undefined}>
      <IconFile size={16} stroke={2} aria-hidden="true" />
      <div className={classes.slotBody}>
        <span className={`${classes.slotLabel} ${layout.mono}`}>{location}</span>
        <span className={classes.slotText}>
          {formatBytes(bytes)} at least, {plural(tensors, 'tensor')}
        </span>
      </div>
      <label className={drop.pick}>
        Choose file
        <input
          type="file"
          className={drop.input}
          aria-label={`Choose the file for ${location}`}
          onChange={(event) => {
            const files = [...(event.currentTarget.files ?? [])];
            event.currentTarget.value = '';
            take(files);
          }}
        />
      </label>
    </li>
  );
}
