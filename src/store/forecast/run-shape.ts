/** What the next comparison of what is open would be, as far as its time depends on it. Pure. */
import type { Capabilities, Provider } from '../../../workers/contract/capabilities.ts';
import type { Extras, ProtocolRequest } from '../../../workers/contract/job.ts';
import type { LevelPlan } from '../../../workers/contract/level-plan.ts';
import type { Opened } from '../../../workers/contract/files.ts';
import { tokensInWindows } from '../amount.ts';
import type { Level } from '../levels.ts';
import { lengthsOf } from '../../features/protocols/protocols.ts';
import { secondsOf, type Paces } from './paces.ts';
import { checksOf, kindOf, type RunShape } from './steps.ts';

export interface Setup {
  opened: Opened | null;
  levels: readonly Level[];
  /** By level. */
  plans: ReadonlyMap<string, { plan: LevelPlan }>;
  /** Tokens of the text. */
  tokens: number;
  protocol: ProtocolRequest;
  extras: Extras;
  provider: Provider | 'faster';
  capabilities: Capabilities | null;
  paces: Paces;
}

/** Null where no text is run: how long inputs take is not known before they have been found. */
export function shapeOf({
  opened,
  levels,
  plans,
  tokens,
  protocol,
  extras,
  provider,
  capabilities,
  paces,
}: Setup): RunShape | null {
  const { model, text } = opened ?? {};
  if (!model || !text) return null;
  const checks = checksOf(extras, capabilities);
  const parameters = Math.max(1, model.parameters);
  const baselineFirst = [...levels].sort((a, b) => Number(b.id === 'fp16') - Number(a.id === 'fp16'));
  return {
    model: { bytes: model.bytes, parameters, baseline: model.baseline },
    levels: baselineFirst.flatMap((level) => {
      const plan = plans.get(level.uid)?.plan;
      return plan?.problem ? [] : [{ key: level.uid, kind: kindOf(level), bytes: plan?.bytes ?? model.bytes }];
    }),
    text: { bytes: text.bytes, tokens: tokensInWindows(tokens, protocol), window: lengthsOf(protocol).window },
    provider: providerOf(provider, checks.gpu, parameters, paces),
    checks,
  };
}

/** Where models will be measured: the faster provider is the GPU, until this machine has shown otherwise. */
function providerOf(
  asked: Provider | 'faster',
  gpu: 'none' | 'software' | 'hardware',
  size: number,
  paces: Paces,
): Provider {
  if (gpu === 'none' || asked === 'wasm') return 'wasm';
  if (asked === 'webgpu') return 'webgpu';
  if (gpu === 'software') return 'wasm';
  const run = (provider: Provider) =>
    secondsOf(
      { step: 'run', provider, kind: 'fp16', size, amount: 1 },
      paces.filter((pace) => pace.step === 'run' && pace.provider === provider),
      null,
    );
  const known = (provider: Provider) => paces.some((pace) => pace.step === 'run' && pace.provider === provider);
  return known('wasm') && known('webgpu') && run('wasm') < run('webgpu') ? 'wasm' : 'webgpu';
}
