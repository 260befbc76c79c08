/**
 * Where a file lay in the folder that was dropped or chosen, with `/` between folders; its name where it came alone.
 * Chosen folders tell by `webkitRelativePath`, dropped ones by what react-dropzone notes as `path`: `./x` or `/folder/x`.
 */
export function pathOf(file: File): string {
  const noted: unknown = Reflect.get(file, 'path');
  // Outside browsers there is no such path.
  const path = file.webkitRelativePath || (typeof noted === 'string' ? noted : '') || file.name;
  return path
    .split('/')
    .filter((step) => step !== '' && step !== '.')
    .join('/');
}

/** The last step of a path. */
export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
