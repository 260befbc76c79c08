/**
 * Names of external data files as models write them: relative to the model's folder, with `/` between folders
 * (onnx/docs/ExternalData.md). Whoever wrote the model is not trusted: a name must not lead anywhere else.
 */

/** Why a location does not name a file in the model's folder, as the end of a sentence; null when it does. */
export function whyLocationInvalid(location: string): string | null {
  if (location.startsWith('/')) return 'which is an absolute path and not a file beside it';
  if (/(^|\/)[a-z]:/i.test(location)) return 'which is on a drive and not a file beside it';
  if (location.includes('\\')) return 'a name with a backslash, which is a folder on some systems and not on others';
  // onnxruntime's mark for weights that lie in memory.
  if (location.startsWith('*')) return 'which is a place in memory and not a file beside it';
  if (location.includes('\0')) return 'which is no file name';
  if (leadsOut(location)) return 'which leads out of its folder';
  if (normalizeLocation(location) === '') return 'which names no file';
  return location.endsWith('/') ? 'which is a folder' : null;
}

/** The location without `.`, `..` and empty steps, so that two spellings of one file are equal. */
export function normalizeLocation(location: string): string {
  return stepsOf(location).join('/');
}

/** Whether it goes further up than it came down, at its end or on the way. */
function leadsOut(location: string): boolean {
  let depth = 0;
  return location.split('/').some((step) => {
    if (step === '..') depth--;
    else if (step !== '' && step !== '.') depth++;
    return depth < 0;
  });
}

function stepsOf(location: string): string[] {
  const steps: string[] = [];
  for (const step of location.split('/')) {
    if (step === '..') steps.pop();
    else if (step !== '' && step !== '.') steps.push(step);
  }
  return steps;
}
