/** What an operator family tells the planner. Adding an operator is a file beside this one and its line in registry.ts. */
import type { Node } from '../../onnx/model.ts';
import type { ResolvedLevel } from '../../contract/levels/scheme.ts';
import type { Activations } from '../activations.ts';
import type { Draft } from '../draft.ts';
import type { Constant } from '../../onnx/graph/constants.ts';
import type { Scope } from '../../onnx/graph/scopes.ts';
import type { Store } from '../store.ts';
import type { ConstantView } from '../../onnx/graph/constant-view.ts';

export interface Family {
  /** Operators it knows, with their domain in front where they have one: `com.microsoft:FusedMatMul`. */
  operators: readonly string[];
  /** The weights of one such node. What it has no quantized form for is `Left`, with the reason. */
  find(node: Node, scope: Scope): (Candidate | Skipped)[];
}

/** A constant that stays as it is for this use, whatever the level. */
export interface Skipped {
  kind: 'left';
  constant: Constant;
  why: string;
}

/** A use of a constant that levels may quantize. */
export interface Candidate {
  kind: 'candidate';
  node: Node;
  scope: Scope;
  seen: ConstantView;
  /** `weight` is multiplied with; of tables rows are taken, by token ids or by something else. */
  role: 'weight' | 'tokens' | 'table';
  /** For an output projection: how many outputs it has. */
  outputs: number;
  /** How the level has it, or why it stays. */
  offer(level: ResolvedLevel): Rewrite | string;
}

export interface Rewrite {
  /** Rewrites the node. Called once, after every candidate has been asked. */
  write(to: RewriteTarget): void;
}

export interface RewriteTarget {
  draft: Draft;
  store: Store;
  activations: Activations;
}

export function skipped(constant: Constant, why: string): Skipped {
  return { kind: 'left', constant, why };
}
