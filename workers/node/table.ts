/** A report as a table for a terminal. */
import type { Report } from '../protocol.ts';

export function reportTable({ model, protocol, levels, notes }: Report): string {
  const rows = [
    ['level', 'bytes', 'weights', protocol?.unit === 'word' ? 'word perplexity' : 'perplexity', 'bits per byte', 'ratio', 'ln ratio', 'KL divergence', 'same top'],
    ...levels.map(({ level, bytes, weightBytes, perplexity, drift }) => [
      level, bytes.toLocaleString('en'), weightBytes.toLocaleString('en'),
      perplexity ? `${perplexity.value.toFixed(4)} ± ${perplexity.error.toFixed(4)}` : '',
      perplexity?.bitsPerByte ? `${perplexity.bitsPerByte.value.toFixed(4)} ± ${perplexity.bitsPerByte.error.toFixed(4)}` : '',
      drift?.ratio ? `${drift.ratio.value.toFixed(5)} ± ${drift.ratio.error.toFixed(5)}` : '',
      drift ? `${drift.lnRatio.value.toFixed(5)} ± ${drift.lnRatio.error.toFixed(5)}` : '',
      drift ? `${drift.kld.mean.toFixed(6)} ± ${drift.kld.error.toFixed(6)}` : '',
      drift ? `${(drift.sameTop.value * 100).toFixed(2)} ± ${(drift.sameTop.error * 100).toFixed(2)} %` : '',
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const used = widths.map((_, column) => rows.slice(1).some((row) => row[column] !== ''));
  const lines = rows.map((row) => row
    .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
    .filter((_, column) => used[column]).join('  ').trimEnd());
  const head = `${model.name}: ${model.bytes.toLocaleString('en')} bytes, ${model.parameters.toLocaleString('en')} parameters`;
  const measured = protocol
    ? `Measured by ${protocol.name}'s protocol: ${protocol.tokens.toLocaleString('en')} tokens scored in windows of ${protocol.context}${protocol.stride === undefined ? '' : ` every ${protocol.stride}`} of ${protocol.text}, ${protocol.provider} with ${protocol.threads} thread${protocol.threads === 1 ? '' : 's'}; drift is against fp16, errors are one standard error.`
    : null;
  return `${[head, '', ...lines, '', ...(measured === null ? [] : [measured]), ...notes].join('\n').trimEnd()}\n`;
}
