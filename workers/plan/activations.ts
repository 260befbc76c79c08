/**
 * Activations quantized while running (DynamicQuantizeLinear, uint8): each once for all operators of a scope that take
 * it. What a quantized table gave out is quantized already and is taken as it is, as onnxruntime's quantizer does.
 */
import { FLOAT16, FLOAT32 } from '../onnx/numbers/element-types.ts';
import type { NewNode } from '../onnx/writing/encode.ts';
import type { Draft } from './draft.ts';
import type { Scope } from '../onnx/graph/scopes.ts';

export interface Activation {
  value: string;
  scale: string;
  zeroPoint: string;
}

export interface Activations {
  /** Says that a value exists in quantized form. */
  announce(scope: Scope, name: string, activation: Activation): void;
  /** The quantized form of a value of an element type, and the nodes that make it where it is new: they belong in front of its first use. */
  quantized(scope: Scope, name: string, type: number): { activation: Activation; nodes: NewNode[] };
}

export function createActivations(draft: Draft): Activations {
  const scopes = new Map<Scope, Map<string, Activation>>();
  const of = (scope: Scope) => {
    const values = scopes.get(scope) ?? new Map<string, Activation>();
    scopes.set(scope, values);
    return values;
  };
  return {
    announce(scope, name, activation) {
      of(scope).set(name, activation);
    },
    quantized(scope, name, type) {
      const same = of(scope).get(name);
      if (same) return { activation: same, nodes: [] };
      const activation = {
        value: draft.unique(`${name}_quantized`),
        scale: draft.unique(`${name}_scale`),
        zeroPoint: draft.unique(`${name}_zero_point`),
      };
      of(scope).set(name, activation);
      const wide = type === FLOAT16 ? draft.unique(`${name}_float32`) : name;
      const cast = {
        type: 'Cast',
        domain: '',
        name: wide,
        inputs: [name],
        outputs: [wide],
        attributes: { to: FLOAT32 },
      };
      const { value, scale, zeroPoint } = activation;
      return {
        activation,
        nodes: [
          ...(type === FLOAT16 ? [cast] : []),
          {
            type: 'DynamicQuantizeLinear',
            domain: '',
            name: draft.unique(`${name}_QuantizeLinear`),
            inputs: [wide],
            outputs: [value, scale, zeroPoint],
            attributes: {},
          },
        ],
      };
    },
  };
}
