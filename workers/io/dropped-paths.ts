/**
 * Where dropped files lay. A browser notes the path of a file from a folder on the file itself, and does not hand the
 * note on to a worker everywhere; so the page sends the path as the name, and it is parted from it here.
 */

/** Files whose names are paths, with plain names and with `webkitRelativePath`; the others as they are. */
export function withPaths(files: readonly File[]): File[] {
  return files.map((file) => {
    const name = file.name.slice(file.name.lastIndexOf('/') + 1);
    if (name === file.name) return file;
    // Refers to the same bytes.
    const plain = new File([file], name, { type: file.type, lastModified: file.lastModified });
    return Object.defineProperty(plain, 'webkitRelativePath', { value: file.name });
  });
}
