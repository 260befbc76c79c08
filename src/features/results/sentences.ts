/** What a result says in words. */
import { METRICS } from '../../../workers/contract/metrics.ts';
import { formatChange, formatEstimate, formatShare, formatSmaller, formatValue } from '../../lib/format/numbers.ts';
import type { Figure } from '../../store/run.ts';

/** Perplexity by word is another quantity than perplexity by token, and many times as large. */
export const perplexityName = (unit: Figure['unit']): string =>
  METRICS[unit === 'word' ? 'wordPerplexity' : 'perplexity'].label;

/**
 * `int4 is 3.4× smaller than fp16.`; for fp16, that it is the baseline.
 * @param dropped Bytes of the model as it was dropped, of which is said where they are not those of fp16; undefined when unknown.
 */
export function sizeSentence(figure: Figure, baseline: Figure | undefined, dropped?: number): string | null {
  if (figure.bytes === null) return null;
  if (figure.baseline) return 'fp16 is the baseline.';
  if (!baseline?.bytes) return null;
  const size = formatSmaller(figure.bytes, baseline.bytes);
  const file =
    dropped === undefined || dropped === baseline.bytes
      ? ''
      : `, ${comparedWith(figure.bytes, dropped, 'the dropped file')}`;
  return `${figure.name} is ${comparedWith(figure.bytes, baseline.bytes, 'fp16', size)}${file}.`;
}

/** `3.4× smaller than fp16`, `the same size as fp16` */
function comparedWith(bytes: number, other: number, name: string, size = formatSmaller(bytes, other)): string {
  return size === 'same size' ? `the same size as ${name}` : `${size} than ${name}`;
}

/** `Perplexity 8.52 → 10.36 (+21.6 % ± 0.4).` The change carries the paired error. */
export function perplexitySentence(figure: Figure, baseline: Figure | undefined): string | null {
  if (!figure.perplexity) return null;
  const sofar = figure.final ? '' : ' so far';
  const name = perplexityName(figure.unit);
  if (figure.baseline || !baseline?.perplexity || !figure.drift)
    return `${name}${sofar} ${formatEstimate(figure.perplexity)}.`;
  // The text's own error moves both alike; how far they lie apart is known to the paired error, and so are the decimals.
  const error = figure.perplexity.value * figure.drift.lnRatio.error;
  const [before, after] = [baseline.perplexity, figure.perplexity].map(({ value }) => formatValue({ value, error }));
  return `${name}${sofar} ${before} → ${after} (${formatChange(figure.drift.lnRatio)}).`;
}

/** `The most likely next token stays the same for 91.25 % ± 0.11 of tokens.` */
export function agreementSentence(figure: Figure): string | null {
  return figure.drift
    ? `The most likely next token is the same for ${formatShare(figure.drift.sameTop)} of tokens.`
    : null;
}
