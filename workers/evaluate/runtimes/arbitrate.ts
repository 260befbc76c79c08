/**
 * Tells which of two providers is wrong about a model. The arbiter is the graph as it is written: run without
 * onnxruntime's optimizations, where no fused kernel stands for several nodes. Where the two providers differ even then,
 * a single kernel is at fault, and a model with float16 has one more arbiter: itself in float32.
 */
import type { Arbitration } from '../../contract/report.ts';
import type { Provider } from '../../contract/capabilities.ts';
import type { Result } from '../../contract/errors.ts';
import { settle } from '../../contract/errors.ts';
import { scanModel } from '../../onnx/scan.ts';
import { widenModel } from '../../onnx/widen.ts';
import { blobSource } from '../../io/source.ts';
import type { GraphRuntime, HostTensor } from '../sessions/graph-session.ts';
import { isFinal, observer, type Observe, type ObservedModel, type Side } from './observe-values.ts';
import { floatValues, tensorDifference } from '../outputs/tensor-difference.ts';
import { widenFeeds } from '../sessions/widen-feeds.ts';

export interface ArbitrationJob extends ObservedModel {
  /** What the report calls `against`, and `provider`. */
  left: GraphRuntime;
  right: GraphRuntime;
  output: string;
  /** Relative difference above which outputs differ, and that of the two providers, which is larger. */
  tolerance: number;
  difference: number;
}

/** What to compare in order to find the fault: `suspect` differs from `reference`. */
export interface Suspicion {
  reference: Side;
  suspect: Side;
}

export interface Arbitrated {
  arbitration: Arbitration;
  suspicion: Suspicion;
}

/** The smaller of two differences is beside the point when it is this many times smaller. */
const CLEARLY = 4;

/** @param plain The output on each side with all optimizations. Fails only with what ends all observing. */
export async function arbitrate(
  job: ArbitrationJob,
  observe: Observe,
  plain: { left: HostTensor; right: HostTensor },
): Promise<Result<Arbitrated>> {
  const { left, right, output, tolerance, difference } = job;
  const unoptimized: (HostTensor | null)[] = [];
  for (const runtime of [left, right]) {
    const found = await observe({ runtime, optimized: false }, [output]);
    if (isFinal(found) && !found.ok) return found;
    unoptimized.push(found.ok ? (found.value[output] ?? null) : null);
  }
  const [ofLeft, ofRight] = [unoptimized[0] ?? null, unoptimized[1] ?? null];
  const between = apart(ofLeft, ofRight);
  const fused = { left: apart(plain.left, ofLeft), right: apart(plain.right, ofRight) };
  const figures = { optimized: difference, provider: fused.right, against: fused.left, unoptimized: between };
  const both = { left: left.provider, right: right.provider };
  const decided = (wrong: Provider[], arbiter: Arbitration['arbiter'], suspicion: Suspicion): Result<Arbitrated> => ({
    ok: true,
    value: { arbitration: { wrong, arbiter, ...figures }, suspicion },
  });

  const [sideLeft, sideRight]: [Side, Side] = [
    { runtime: left, optimized: true },
    { runtime: right, optimized: true },
  ];
  const [plainLeft, plainRight]: [Side, Side] = [
    { runtime: left, optimized: false },
    { runtime: right, optimized: false },
  ];

  if (between !== null && between <= Math.max(tolerance, difference / CLEARLY)) {
    // Both give the same as long as nothing is fused: what differs from it on a provider is its optimizer's doing.
    const wrong = sidesApart(fused.left ?? 0, fused.right ?? 0, tolerance);
    const suspects =
      (fused.left ?? 0) > (fused.right ?? 0)
        ? { reference: plainLeft, suspect: sideLeft }
        : { reference: plainRight, suspect: sideRight };
    return decided(
      wrong.map((side) => both[side]),
      wrong.length > 0 ? 'both' : null,
      suspects,
    );
  }
  if (between !== null) {
    const suspicion = { reference: plainLeft, suspect: plainRight };
    const inFloat32 = await widened(job);
    if (!inFloat32.ok) return inFloat32;
    if (inFloat32.value) {
      const [a, b] = [apart(ofLeft, inFloat32.value) ?? 0, apart(ofRight, inFloat32.value) ?? 0];
      if (Math.max(a, b) >= CLEARLY * Math.min(a, b))
        return decided([a > b ? left.provider : right.provider], 'float32', suspicion);
      return decided([], null, suspicion);
    }
    const [own, other] = [fused.left ?? 0, apart(plain.right, ofLeft) ?? 0];
    const wrong = sidesApart(own, other, tolerance);
    return wrong.length === 1
      ? decided(
          wrong.map((side) => both[side]),
          'against',
          suspicion,
        )
      : decided([], null, suspicion);
  }
  const known = ofLeft ?? ofRight;
  if (!known) return decided([], null, { reference: sideLeft, suspect: sideRight });
  const [a, b] = [apart(plain.left, known) ?? 0, apart(plain.right, known) ?? 0];
  const wrong = sidesApart(a, b, tolerance);
  return decided(
    wrong.map((side) => both[side]),
    wrong.length > 0 ? (ofLeft ? 'against' : 'provider') : null,
    { reference: ofLeft ? plainLeft : plainRight, suspect: a > b ? sideLeft : sideRight },
  );
}

/** The sides that are away from the arbiter: one, or both where neither is clearly nearer. */
function sidesApart(left: number, right: number, tolerance: number): ('left' | 'right')[] {
  const least = Math.max(tolerance / 2, Math.max(left, right) / CLEARLY);
  return [...(left >= least ? ['left' as const] : []), ...(right >= least ? ['right' as const] : [])];
}

/** Null where there is nothing to compare. float16 is compared with float32 as numbers. */
function apart(a: HostTensor | null, b: HostTensor | null): number | null {
  if (!a || !b) return null;
  return (a.type === b.type ? tensorDifference(a, b) : tensorDifference(asFloat32(a), asFloat32(b)))?.relative ?? null;
}

function asFloat32(tensor: HostTensor): HostTensor {
  const values = floatValues(tensor);
  return values ? { ...tensor, type: 'float32', data: Float32Array.from(values) } : tensor;
}

/** The output of a model with float16 in float32, on the left side without optimizations; null for other models, and where it does not run. */
async function widened({ model, feeds, left, output, signal }: ArbitrationJob): Promise<Result<HostTensor | null>> {
  const wide = await settle(() => widenModel(model));
  if (!wide.ok || !wide.value) return { ok: true, value: null };
  const scanned = await settle(() => scanModel(blobSource('model', wide.value?.model ?? model.model)));
  if (!scanned.ok) return { ok: true, value: null };
  const found = await observer({ model: wide.value, scanned: scanned.value, feeds: widenFeeds(feeds), signal })(
    { runtime: left, optimized: false },
    [output],
  );
  if (isFinal(found) && !found.ok) return found;
  return { ok: true, value: found.ok ? (found.value[output] ?? null) : null };
}
