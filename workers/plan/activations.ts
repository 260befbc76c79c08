/**
 * Activations that are quantized at run time (DynamicQuantizeLinear, uint8), each once for all operators of a scope. The
 * output of a quantized table is quantized already and used as it is, as in onnxruntime's quantizer.
 */
import { FLOAT16, FLOAT32 } from '../onnx/numbers/element-types.ts';
import type { NewNode } from '../onnx/writing/encode.ts';
import type { Draft } from './draft.ts';
import type { Scope } from '../onnx/graph/scopes.ts';

/** A quantized activation: the names of its codes, scale and zero point. */
export interface Activation {
  value: string;
  scale: string;
  zeroPoint: string;
}

/** The quantized activations of a file that is planned. */
export interface Activations {
  /** Registers the quantized form of a value that already exists. */
  announce(scope: Scope, name: string, activation: Activation): void;
  /**
   * The quantized form of a value, and the nodes that make it, which go in front of its first use. No nodes where it
   * exists.
   */
  quantized(scope: Scope, name: string, type: number): { activation: Activation; nodes: NewNode[] };
}

/** Creates the empty set of quantized activations. */
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
