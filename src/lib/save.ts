/** How long a browser may take to begin reading an object URL it was told to save. */
const RELEASE_AFTER_MS = 60_000;

/** Hands a blob to the browser's downloads. The bytes stay where they are; only the address is made. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, RELEASE_AFTER_MS);
}
