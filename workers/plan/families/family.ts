/** The interface of an operator family. A new operator is a file in this folder and a line in registry.ts. */
import type { Node } from '../../onnx/model.ts';
import type { ResolvedLevel } from '../../contract/levels/scheme.ts';
import type { Activations } from '../activations.ts';
import type { Draft } from '../draft.ts';
import type { Constant } from '../../onnx/graph/scopes.ts';
import type { Scope } from '../../onnx/graph/scopes.ts';
import type { Store } from '../store.ts';
import type { ConstantView } from '../../onnx/graph/constant-view.ts';

/** An operator family: which constants of its nodes are weights. */
export interface Family {
  /** Its operators, with their domain where they have one: `com.microsoft:FusedMatMul`. */
  operators: readonly string[];
  /** Finds the weights of a node. Those without a quantized form are `Skipped`, with the reason. */
  find(node: Node, scope: Scope): (Candidate | Skipped)[];
}

/** A constant that no level changes for this use. */
export interface Skipped {
  kind: 'left';
  constant: Constant;
  why: string;
}

/** A use of a constant that levels can quantize. */
export interface Candidate {
  kind: 'candidate';
  node: Node;
  scope: Scope;
  seen: ConstantView;
  /** `weight` is multiplied with; of tables rows are taken, by token ids or by something else. */
  role: 'weight' | 'tokens' | 'table';
  /** For an output projection: how many outputs it has. */
  outputs: number;
  /** How a level rewrites it, or the reason why it stays. */
  offer(level: ResolvedLevel): Rewrite | string;
}

/** How a level changes a node that uses a weight. */
export interface Rewrite {
  /** Rewrites the node. Called once, after the offers of all candidates are known. */
  write(to: RewriteTarget): void;
}

/** Where a rewrite puts its nodes and tensors. */
export interface RewriteTarget {
  draft: Draft;
  store: Store;
  activations: Activations;
}

/** A constant that this use leaves unchanged. */
export function skipped(constant: Constant, why: string): Skipped {
  return { kind: 'left', constant, why };
}
