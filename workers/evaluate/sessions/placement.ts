/**
 * Which provider runs each node. onnxruntime-web tells it nowhere but in its log (`VerifyEachNodeIsAssignedToAnEp` of
 * onnxruntime's session_state.cc), which goes to the console line by line.
 */
import type { Placement } from './graph-session.ts';

/** Lines of onnxruntime's log below errors. */
const LOG_LINE = /\[[VIW]:onnxruntime:/;

let heard: string[] | null = null;
let listening = false;

/** Keeps onnxruntime's log off the console from now on. To be called before its first session: it holds on to the console's functions as it finds them. */
export function listenToLog(): void {
  if (listening) return;
  listening = true;
  const { error } = console;
  console.error = (...all: unknown[]) => {
    if (typeof all[0] === 'string' && LOG_LINE.test(all[0])) heard?.push(all[0]);
    else error.apply(console, all);
  };
}

/** What onnxruntime logged while `work` was done. */
export async function hear<T>(work: () => Promise<T>): Promise<{ value: T; lines: string[] }> {
  const lines: string[] = [];
  heard = lines;
  try {
    return { value: await work(), lines };
  } finally {
    heard = null;
  }
}

/** Nodes the runtime puts in itself, to move tensors between providers. */
const COPIES = /^Memcpy(To|From)Host$/;

/**
 * @param provider As onnxruntime calls it, e.g. `WebGpuExecutionProvider`.
 * Null when the log says nothing about nodes.
 */
export function readPlacement(lines: readonly string[], provider: string): Placement | null {
  const counts = new Map<string, { stated: number; listed: number; copies: number }>();
  let current: { stated: number; listed: number; copies: number } | undefined;
  for (const line of lines) {
    const text = line.split('VerifyEachNodeIsAssignedToAnEp]')[1];
    if (text === undefined) continue;
    const [, name, number] = /placed on \[(\w+)\]\. Number of nodes: (\d+)/.exec(text) ?? [];
    if (name !== undefined) {
      current = { stated: Number(number), listed: 0, copies: 0 };
      counts.set(name, current);
      continue;
    }
    const [, operator] = /^ {3}(\S+) \(/.exec(text) ?? [];
    if (operator === undefined || !current) continue;
    current.listed++;
    if (COPIES.test(operator)) current.copies++;
  }
  if (counts.size === 0) return null;
  let of = 0;
  let nodes = 0;
  for (const [name, { stated, copies }] of counts) {
    of += stated - copies;
    if (name !== provider) nodes += stated - copies;
  }
  return { nodes, of };
}
