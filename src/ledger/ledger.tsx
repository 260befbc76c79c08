/** What became of each tensor, level by level. A page at a time, since a model may have thousands. */
import { NativeSelect, Pagination } from '@mantine/core';
import { useState } from 'react';
import { formatBytes, formatCount, formatShape, plural } from '../format/numbers.ts';
import layout from '../layout.module.css';
import type { Figure } from '../store/run.ts';
import { Term } from '../terms/term.tsx';
import classes from './ledger.module.css';

const PAGE = 100;

export function Ledger({ figures }: { figures: Figure[] }) {
  const [chosen, setChosen] = useState<string | null>(null);
  const [page, setPage] = useState(1);
  const listed = figures.filter(({ ledger }) => ledger.length > 0);
  const figure = listed.find(({ level }) => level.uid === chosen) ?? listed.find(({ baseline }) => !baseline) ?? listed[0];
  if (!figure) return null;
  const pages = Math.max(1, Math.ceil(figure.ledger.length / PAGE));
  const at = Math.min(page, pages);
  const before = figure.ledger.reduce((sum, line) => sum + line.bytesBefore, 0);
  const after = figure.ledger.reduce((sum, line) => sum + line.bytesAfter, 0);
  return (
    <details className={layout.fold}>
      <summary>Tensor by tensor: what was done to each, and why</summary>
      <div className={classes.head}>
        <NativeSelect
          size="xs" aria-label="Level" value={figure.level.uid}
          data={listed.map(({ level, name }) => ({ value: level.uid, label: name }))}
          onChange={(event) => { setChosen(event.currentTarget.value); setPage(1); }}
        />
        <p>{plural(figure.ledger.length, 'tensor')}, {formatBytes(before)} → {formatBytes(after)}</p>
      </div>
      <div className={layout.tableWrap} tabIndex={0} role="region" aria-label="Ledger">
        <table className={layout.table}>
          <caption className={classes.caption}><Term id="ledger">Ledger</Term> of {figure.name}</caption>
          <thead>
            <tr>
              <th scope="col">Tensor</th><th scope="col" className={layout.text}>Shape</th><th scope="col" className={layout.text}>From</th>
              <th scope="col" className={layout.text}>To</th><th scope="col">Bytes before</th><th scope="col">Bytes after</th><th scope="col" className={layout.text}>Why</th>
            </tr>
          </thead>
          <tbody>
            {figure.ledger.slice((at - 1) * PAGE, at * PAGE).map((line, index) => (
              <tr key={`${index}:${line.tensor}`}>
                <td className={layout.mono}>{line.tensor}</td>
                <td className={layout.text}>{formatShape(line.shape)}</td>
                <td className={layout.text}>{line.from}</td>
                <td className={layout.text}>{line.to}</td>
                <td>{formatCount(line.bytesBefore)}</td>
                <td>{formatCount(line.bytesAfter)}</td>
                <td className={layout.wrap}>{line.reason}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {pages > 1 && (
        <Pagination
          className={classes.pages} size="sm" total={pages} value={at} onChange={setPage}
          getItemProps={(item) => ({ 'aria-label': `Page ${item}` })}
          getControlProps={(control) => ({ 'aria-label': control === 'next' ? 'Next page' : 'Previous page' })}
        />
      )}
    </details>
  );
}
