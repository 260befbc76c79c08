/** What became of each tensor, level by level. A model may have ten thousand: only rows near the view are drawn. */
import { NativeSelect, TextInput } from '@mantine/core';
import { memo, useRef, useState } from 'react';
import type { LedgerLine } from '../../../workers/contract/level-plan.ts';
import { formatBytes, formatCount, formatShape, plural } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import type { Figure } from '../../store/run.ts';
import { Term } from '../../ui/terms/term.tsx';
import classes from './ledger.module.css';
import { widest, windowOf } from './window.ts';

export const Ledger = memo(function Ledger({ figures }: { figures: Figure[] }) {
  const [open, setOpen] = useState(false);
  return (
    <details
      className={layout.fold}
      onToggle={(event) => {
        setOpen(event.currentTarget.open);
      }}
    >
      <summary>Tensor by tensor: what was done to each, and why</summary>
      {open && <Inside figures={figures} />}
    </details>
  );
});

function Inside({ figures }: { figures: Figure[] }) {
  const [chosen, setChosen] = useState<string | null>(null);
  const [sought, setSought] = useState('');
  const listed = figures.filter(({ ledger }) => ledger.length > 0);
  const figure =
    listed.find(({ level }) => level.uid === chosen) ?? listed.find(({ baseline }) => !baseline) ?? listed[0];
  if (!figure) return null;
  const needle = sought.trim().toLowerCase();
  const lines = figure.ledger.filter(({ tensor }) => tensor.toLowerCase().includes(needle));
  const before = lines.reduce((sum, line) => sum + line.bytesBefore, 0);
  const after = lines.reduce((sum, line) => sum + line.bytesAfter, 0);
  return (
    <>
      <div className={classes.head}>
        <NativeSelect
          size="xs"
          aria-label="Level"
          value={figure.level.uid}
          data={listed.map(({ level, name }) => ({ value: level.uid, label: name }))}
          onChange={(event) => {
            setChosen(event.currentTarget.value);
          }}
        />
        <TextInput
          size="xs"
          aria-label="Find tensors by name"
          placeholder="Part of a name"
          value={sought}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          onChange={(event) => {
            setSought(event.currentTarget.value);
          }}
        />
        <p role="status">
          {plural(lines.length, 'tensor')}
          {lines.length < figure.ledger.length && ` of ${formatCount(figure.ledger.length)}`}, {formatBytes(before)} →{' '}
          {formatBytes(after)}
        </p>
      </div>
      <Table key={`${figure.level.uid}/${sought}`} name={figure.name} lines={lines} widths={widthsOf(figure.ledger)} />
    </>
  );
}

const COLUMNS = 7;

/** In characters, column by column. */
const widthsOf = (ledger: readonly LedgerLine[]): number[] => [
  widest(
    ledger.map(({ tensor }) => tensor),
    12,
    90,
  ),
  widest(
    ledger.map(({ shape }) => formatShape(shape)),
    6,
    40,
  ),
  widest(
    ledger.map(({ from }) => from),
    6,
    24,
  ),
  widest(
    ledger.map(({ to }) => to),
    6,
    24,
  ),
  13,
  13,
  widest(
    ledger.map(({ reason }) => reason),
    20,
    160,
  ),
];

function Table({ name, lines, widths }: { name: string; lines: readonly LedgerLine[]; widths: readonly number[] }) {
  const box = useRef<HTMLDivElement>(null);
  const [{ first, last }, setWindow] = useState(() => windowOf(0, 600, lines.length));
  const look = () => {
    if (!box.current) return;
    const next = windowOf(box.current.scrollTop, box.current.clientHeight, lines.length);
    setWindow((now) => (now.first === next.first && now.last === next.last ? now : next));
  };
  return (
    <div
      ref={box}
      className={`${layout.tableWrap} ${classes.box}`}
      tabIndex={0}
      role="region"
      aria-label="Ledger"
      onScroll={look}
    >
      <table className={`${layout.table} ${classes.table}`} aria-rowcount={lines.length + 1}>
        <caption className={classes.caption}>
          <Term id="ledger">Ledger</Term> of {name}
        </caption>
        <colgroup>
          {widths.map((width, index) => (
            <col key={index} style={{ '--letters': width }} />
          ))}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            <th scope="col">Tensor</th>
            <th scope="col" className={layout.text}>
              Shape
            </th>
            <th scope="col" className={layout.text}>
              From
            </th>
            <th scope="col" className={layout.text}>
              To
            </th>
            <th scope="col">Bytes before</th>
            <th scope="col">Bytes after</th>
            <th scope="col" className={layout.text}>
              Why
            </th>
          </tr>
        </thead>
        <tbody>
          <Gap rows={first} />
          {lines.slice(first, last).map((line, index) => (
            <Row key={first + index} line={line} index={first + index} />
          ))}
          <Gap rows={lines.length - last} />
        </tbody>
      </table>
    </div>
  );
}

const Row = memo(function Row({ line, index }: { line: LedgerLine; index: number }) {
  return (
    <tr aria-rowindex={index + 2}>
      <td className={layout.mono} title={line.tensor}>
        {line.tensor}
      </td>
      <td className={layout.text}>{formatShape(line.shape)}</td>
      <td className={layout.text}>{line.from}</td>
      <td className={layout.text}>{line.to}</td>
      <td>{formatCount(line.bytesBefore)}</td>
      <td>{formatCount(line.bytesAfter)}</td>
      <td className={layout.text} title={line.reason}>
        {line.reason}
      </td>
    </tr>
  );
});

/** As high as the rows that are not drawn. */
function Gap({ rows }: { rows: number }) {
  if (rows <= 0) return null;
  return (
    <tr aria-hidden="true" className={classes.gap} style={{ '--rows': rows }}>
      <td colSpan={COLUMNS} />
    </tr>
  );
}
