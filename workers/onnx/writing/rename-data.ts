/** Gives the data file of a model another name, in the model that refers to it. */
import { encodePlace } from './encode.ts';
import { scanModel } from '../scan.ts';
import { splice, type Edit } from './splice.ts';
import { blobSink, atOnce, writePieces } from './write.ts';
import { blobSource } from '../../io/source.ts';

/** The model with every reference to the file `from` changed to `to`. The result refers to the model's bytes; only references are new. */
export async function renameData(model: Blob, from: string, to: string, signal: AbortSignal): Promise<Blob> {
  if (from === to) return model;
  const { externalTensors: outside, source } = await scanModel(blobSource(from, model));
  const edits = outside.flatMap(({ data: { location, offset, length }, place, span }): Edit<never>[] => {
    if (location !== from || length === null) return [];
    const within = [...place.within, span];
    return place.stored.map(({ start, end }, i) => ({
      start,
      end,
      within,
      pieces: i === 0 ? [{ kind: 'bytes', bytes: encodePlace({ location: to, offset, length }) }] : [],
    }));
  });
  const pieces = splice<never>(source.size, edits);
  return writePieces({
    pieces,
    ...atOnce(pieces, () => Promise.resolve(new Map())),
    nameOf: () => '',
    sink: blobSink(model),
    onProgress: () => undefined,
    signal,
  });
}
