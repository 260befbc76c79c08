/**
 * A model and its second file as one blob, for the way through measuring: copies of a model are made there with other
 * nodes and outputs, and none of them is to lose its weights. The data is a field at the end that ONNX does not know,
 * which whoever walks or splices a model passes on; it may be longer than protobuf reads. Never written to a file.
 */
import { concatBytes, encodeHeader } from './wire.ts';

/** A file of external data, by the name the model calls it. */
export interface BundledData {
  file: string;
  blob: Blob;
}

/** Far from those ONNX uses, and below the largest protobuf has. */
const DATA_FIELD = 0x1ffffff0;
const ABOUT_FIELD = 0x1ffffff1;
/** At the very end: the length of what is said about the data, and this. */
const MARK = 0x4c42_424e;
const TAIL = 8;
/** More than any file name. */
const MOST = 1 << 16;

export function bundle(model: Blob, { file, blob }: BundledData): Blob {
  const said = new TextEncoder().encode(JSON.stringify({ file, bytes: blob.size }));
  const tail = new DataView(new ArrayBuffer(TAIL));
  tail.setUint32(0, said.length, true);
  tail.setUint32(4, MARK, true);
  const about = concatBytes([encodeHeader(ABOUT_FIELD, said.length + TAIL), said, new Uint8Array(tail.buffer)]);
  return new Blob([
    model,
    encodeHeader(DATA_FIELD, blob.size) as Uint8Array<ArrayBuffer>,
    blob,
    about as Uint8Array<ArrayBuffer>,
  ]);
}

/** The parts of a bundle, whose model may have been changed since; `data` is null for other blobs. Nothing is read but the end. */
export async function unbundle(blob: Blob): Promise<{ model: Blob; data: BundledData | null }> {
  const alone = { model: blob, data: null };
  if (blob.size < TAIL) return alone;
  const tail = new DataView(await blob.slice(blob.size - TAIL).arrayBuffer());
  const length = tail.getUint32(0, true);
  if (tail.getUint32(4, true) !== MARK || length > MOST || length + TAIL > blob.size) return alone;
  const said = JSON.parse(await blob.slice(blob.size - TAIL - length, blob.size - TAIL).text()) as {
    file: string;
    bytes: number;
  };
  const end = blob.size - TAIL - length - encodeHeader(ABOUT_FIELD, length + TAIL).length;
  const start = end - said.bytes;
  return {
    model: blob.slice(0, start - encodeHeader(DATA_FIELD, said.bytes).length),
    data: { file: said.file, blob: blob.slice(start, end) },
  };
}
