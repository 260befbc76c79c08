/** Fetches the sample model served beside the page and makes it into files, as if they had been dropped. */
import type { Result } from '../../workers/contract/errors.ts';

const MODEL = 'model_fp16.onnx';
const NAMES = [MODEL, 'tokenizer.json', 'tokenizer_config.json', 'config.json', 'held-out.txt'];

const failed = (name: string, details: string): Result<never> => ({
  ok: false,
  error: {
    code: 'file-unreadable',
    message: `The sample's ${name} could not be fetched.`,
    action: 'Check the connection and try again, or drop a model of your own.',
    details,
  },
});

async function fetchOne(
  url: string,
  name: string,
  onBytes: (bytes: number) => void,
  onTotal: (bytes: number | null) => void,
): Promise<Result<File>> {
  try {
    const response = await fetch(url);
    // A server that answers unknown addresses with the page itself has no sample.
    if (!response.ok || !response.body || response.headers.get('content-type')?.startsWith('text/html')) {
      return failed(
        name,
        `${url}: ${response.status} ${response.statusText} ${response.headers.get('content-type') ?? ''}`,
      );
    }
    // The length header counts compressed bytes where the response is compressed, which would be a false total.
    const length = response.headers.has('content-encoding')
      ? NaN
      : Number(response.headers.get('content-length') ?? NaN);
    onTotal(Number.isFinite(length) ? length : null);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    const reader = response.body.getReader();
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      parts.push(chunk.value);
      onBytes(chunk.value.byteLength);
    }
    return { ok: true, value: new File(parts, name) };
  } catch (reason) {
    return failed(name, `${url}: ${String(reason)}`);
  }
}

/** `base` ends with a slash. Progress counts the model, by far the largest of the files. */
export async function fetchSample(
  base: string,
  onProgress: (done: number, total: number | null) => void,
): Promise<Result<File[]>> {
  let done = 0;
  let total: number | null = null;
  const fetched = await Promise.all(
    NAMES.map((name) =>
      fetchOne(
        `${base}sample/${name}`,
        name,
        (bytes) => {
          if (name === MODEL) {
            done += bytes;
            onProgress(done, total);
          }
        },
        (bytes) => {
          if (name === MODEL) total = bytes;
        },
      ),
    ),
  );
  const files: File[] = [];
  for (const result of fetched) {
    if (!result.ok) return result;
    files.push(result.value);
  }
  return { ok: true, value: files };
}
