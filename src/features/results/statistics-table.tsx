/** All statistics, one column a level. */
import { Mark } from '../../ui/mark.tsx';
import layout from '../../ui/layout.module.css';
import type { Provenance } from '../protocols/protocols.ts';
import type { Figure } from '../../store/run.ts';
import { Hint, Term } from '../../ui/terms/term.tsx';
import { NONE } from '../../ui/none.tsx';
import classes from './results.module.css';
import { statisticsOf } from './statistics.ts';

export function StatisticsTable({ figures, provenance }: { figures: Figure[]; provenance: Provenance }) {
  return (
    <div className={layout.tableWrap} tabIndex={0} role="region" aria-label="All statistics">
      <table className={`${layout.table} ${classes.statistics}`}>
        <caption className={classes.caption}>
          Measured by the protocol{' '}
          <Hint text={provenance.sentence} className={classes.tag}>
            {provenance.tag}
          </Hint>
          ; ± is one <Term id="error">standard error</Term>.
        </caption>
        <thead>
          <tr>
            <th scope="col">Statistic</th>
            {figures.map(({ level, name }) => (
              <th key={level.uid} scope="col">
                <span className={classes.levelHead}>
                  <Mark slot={level.slot} /> {name}
                </span>
              </th>
            ))}
          </tr>
        </thead>
        {statisticsOf(figures).map((group) => (
          <tbody key={group.name}>
            <tr>
              <th scope="rowgroup" colSpan={figures.length + 1} className={classes.group}>
                <span>{group.name}</span>
              </th>
            </tr>
            {group.rows.map(({ id, label, unit, cells }) => (
              <tr key={id}>
                <th scope="row">
                  <Term id={id}>{label}</Term>
                  {unit && (
                    <span className={classes.unit}>
                      <span>, </span>
                      {unit}
                    </span>
                  )}
                </th>
                {/* A tab stop for each of these would be a hundred; the caption has one. */}
                {cells.map((cell, index) => (
                  <td key={figures[index]?.level.uid} title={cell === null ? undefined : provenance.sentence}>
                    {cell ?? NONE}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}
