/**
 * A fault to test with, in builds of the mode `planted-fault` only: one kind of kernel of onnxruntime's WebGPU provider
 * gives out wrong values. Runtime drift has to show it, and the search for where the providers part has to end at it.
 */

/** onnxruntime labels a shader module with the operator it is for. */
const KERNEL = 'Softmax';
const FACTOR = 1.2;

/** Everything a shader writes to an element of its output: `name[place] = value;`. */
const OUTPUT = /var<storage, read_write> (\w+): array<(?:vec[24]<)?(f32|f16)>/;

/**
 * From now on, shaders made for nodes of type `kernel` multiply the floats they give out by `factor`. To be called
 * before a model is opened. Nodes of the same type and shapes share a shader: all of them are wrong.
 */
export function plantFault(kernel = KERNEL, factor = FACTOR): void {
  const { createShaderModule } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    if (descriptor.label !== kernel) return createShaderModule.call(this, descriptor);
    return createShaderModule.call(this, {
      ...descriptor,
      label: `${kernel} (planted fault)`,
      code: spoil(descriptor.code, factor),
    });
  };
}

/** The shader with its output multiplied; as it is when it gives out no floats. */
export function spoil(code: string, factor: number): string {
  const [, name, type] = OUTPUT.exec(code) ?? [];
  if (!name || !type) return code;
  return code.replace(
    new RegExp(`\\b${name}\\[(.+?)\\]\\s*=(?!=)\\s*([^;]+);`, 'g'),
    `${name}[$1] = (($2) * ${type}(${factor}));`,
  );
}
