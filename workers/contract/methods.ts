/** How codes and scales of blocked weights are chosen: the definition of each method. */

/** What a method has to know beside the weights. */
export type MethodNeeds = 'nothing' | 'mean-squares' | 'grams';

/** A quantization method. */
export interface Method {
  /** On the page and in names. */
  label: string;
  /** Two sentences: what it does, and what it gains. */
  explanation: string;
  /** E[x²] of each input channel, or the Gram matrices XᵀX of the inputs; both are measured on calibration text. */
  needs: MethodNeeds;
}

/** The methods by id; the first is the default. All write the same bytes in the same layout. */
export const METHODS = {
  rtn: {
    label: 'round to nearest',
    explanation:
      'The scale of a block follows from its smallest and largest weight, and each weight becomes the nearest code. It gives the bytes of onnxruntime’s quantizer.',
    needs: 'nothing',
  },
  search: {
    label: 'search',
    explanation:
      'Tries several scales and zero points for each block and keeps the one with the least squared error. It needs no data and takes a moment longer than rounding.',
    needs: 'nothing',
  },
  wsearch: {
    label: 'weighted search',
    explanation:
      'The same search, with the error of each weight multiplied by how large its input usually is. It runs the model once over calibration text.',
    needs: 'mean-squares',
  },
  gptq: {
    label: 'GPTQ',
    explanation:
      'Quantizes the layers in order and lets the weights that follow make up for the error of those before, judged on real activations. It loses least and takes minutes.',
    needs: 'grams',
  },
} as const satisfies Record<string, Method>;

/** Id of a quantization method. */
export type MethodId = keyof typeof METHODS;

/** All ids, in the order of `METHODS`. */
export const METHOD_IDS = Object.keys(METHODS) as MethodId[];
