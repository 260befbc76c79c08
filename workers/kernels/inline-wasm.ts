/** WebAssembly that travels inside the script, as a data: URL: no fetch that a content security policy could refuse. */

/** Rejects with a `WebAssembly.CompileError` where the engine lacks what the module needs, as SIMD. */
export async function instantiateInline<Exports>(url: string): Promise<Exports> {
  const bytes = Uint8Array.from(atob(url.slice(url.indexOf(',') + 1)), (character) => character.charCodeAt(0));
  const { instance } = await WebAssembly.instantiate(bytes, {});
  return instance.exports as Exports;
}
