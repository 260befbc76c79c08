/** How large onnxruntime's WebAssembly heap has become. A heap never shrinks, so its length is its high-water mark. */

export interface Heap {
  /** High-water mark, bytes; 0 while onnxruntime has not been loaded. */
  bytes(): number;
}

let watched: Heap | undefined;

/**
 * Watches the memories made with `new WebAssembly.Memory`, as onnxruntime-web's loader does when its first session is
 * opened: to be called before that. In the engine nothing else makes memories so; other modules bring their own inside.
 */
export function watchHeap(): Heap {
  if (watched) return watched;
  const memories: WebAssembly.Memory[] = [];
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, [descriptor]: [WebAssembly.MemoryDescriptor]) {
      const memory = new target(descriptor);
      memories.push(memory);
      return memory;
    },
  });
  watched = { bytes: () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0) };
  return watched;
}
