/**
 * Dependencies: every version is written out, the lock file pins each package to its content and takes it from the
 * registry alone. Where `CI` is set, a vulnerability of high severity that the registry knows of in what the page is made
 * of fails, too; elsewhere it is told. A registry without an audit is said to have none: that is no audit passed.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './install.mjs';

const read = (file) => JSON.parse(readFileSync(join(root, file), 'utf8'));
const manifest = read('package.json');
const lock = read('package-lock.json');
const problems = [];

const named = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
for (const [name, version] of [
  ...named,
  ...Object.values(manifest.overrides ?? {}).flatMap((overridden) =>
    typeof overridden === 'string' ? [['override', overridden]] : Object.entries(overridden),
  ),
]) {
  if (!/^(npm:[\w@/-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    problems.push(`package.json: ${name} is not one version, but ${version}`);
}
for (const [name, version] of named) {
  const locked = lock.packages[`node_modules/${name}`]?.version;
  if (locked !== version.replace(/^npm:.+@/, ''))
    problems.push(`package-lock.json has ${name} ${locked ?? 'not at all'}, package.json ${version}`);
}
const packages = Object.entries(lock.packages).filter(([path]) => path !== '');
for (const [path, { integrity, resolved, link }] of packages) {
  if (link) problems.push(`${path} is a link`);
  if (!/^sha512-[\w+/]{86}==$/.test(integrity ?? '')) problems.push(`${path} is not pinned to its content`);
  if (resolved !== undefined && !resolved.startsWith('https://registry.npmjs.org/'))
    problems.push(`${path} comes from ${resolved}`);
}
for (const problem of problems) console.error(problem);
console.log(`${named.length} dependencies named, ${packages.length} packages locked, ${problems.length} problems`);

/** What `npm audit` counts in what ends up in the page; null where the registry answers no audit. */
function audit() {
  const { stdout, error } = spawnSync('npm', ['audit', '--json', '--omit=dev', '--audit-level=high'], {
    cwd: root,
    encoding: 'utf8',
    timeout: 60_000,
    shell: process.platform === 'win32',
  });
  try {
    const report = error ? null : JSON.parse(stdout);
    return report?.metadata?.vulnerabilities ?? null;
  } catch {
    return null;
  }
}

const found = audit();
if (found)
  console.log(
    `npm audit: ${found.critical} critical, ${found.high} high, ${found.moderate} moderate, ${found.low} low`,
  );
else console.log('npm audit: this registry has no audit endpoint, or is out of reach; nothing was audited');
process.exit(problems.length > 0 || (process.env.CI && found && found.critical + found.high > 0) ? 1 : 0);
