/** What the scan of the model found: element types, operators, bytes by layer. */
import { greatest } from '../../../workers/contract/extremes.ts';
import type { ModelSummary } from '../../../workers/contract/files.ts';
import { formatBytes, formatCount } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import classes from './model-section.module.css';

export function ModelDetails({ model }: { model: ModelSummary }) {
  const most = greatest(
    model.layers.map(({ bytes }) => bytes),
    1,
  );
  return (
    <details className={layout.fold}>
      <summary>Inside the model</summary>
      <div className={classes.details}>
        <div className={`${layout.tableWrap} ${classes.layers}`} tabIndex={0} role="region" aria-label="Bytes by layer">
          <table className={layout.table}>
            <thead>
              <tr>
                <th scope="col">Layer</th>
                <th scope="col" className={layout.text}>
                  Share
                </th>
                <th scope="col">Bytes</th>
              </tr>
            </thead>
            <tbody>
              {model.layers.map(({ layer, bytes }) => (
                <tr key={layer}>
                  <td className={layout.mono}>{layer}</td>
                  <td className={layout.text}>
                    <svg width="80" height="8" aria-hidden="true">
                      <rect width={Math.max(1, (bytes / most) * 80)} height="8" rx="2" fill="var(--faint)" />
                    </svg>
                  </td>
                  <td>{formatBytes(bytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <div className={`${layout.tableWrap} ${classes.layers}`} tabIndex={0} role="region" aria-label="Operators">
          <table className={layout.table}>
            <thead>
              <tr>
                <th scope="col">Operator</th>
                <th scope="col">Nodes</th>
              </tr>
            </thead>
            <tbody>
              {model.operators.map(({ domain, type, count }) => (
                <tr key={`${domain}/${type}`}>
                  <td>
                    {type}
                    {domain !== '' && <span className={layout.muted}> {domain}</span>}
                  </td>
                  <td>{formatCount(count)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <div className={layout.tableWrap} tabIndex={0} role="region" aria-label="Element types">
          <table className={layout.table}>
            <thead>
              <tr>
                <th scope="col">Element type</th>
                <th scope="col">Tensors</th>
                <th scope="col">Bytes</th>
              </tr>
            </thead>
            <tbody>
              {model.elementTypes.map(({ type, tensors, bytes }) => (
                <tr key={type}>
                  <td>{type}</td>
                  <td>{formatCount(tensors)}</td>
                  <td>{formatBytes(bytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </div>
    </details>
  );
}
