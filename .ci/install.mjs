/**
 * Makes `node_modules` what the lock file says, and does nothing when it already is. Plain Node without a dependency,
 * written so that Node versions too old for the project can read it and say so.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's top folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Ends the process with a sentence where Node is older than package.json asks for. */
export function requireNode() {
  const wanted = readJson('package.json').engines.node.replace('>=', '');
  const [wantedMajor, wantedMinor] = wanted.split('.').map(Number);
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor)) {
    console.error(
      `Nibble needs Node ${wanted} or newer, and this is Node ${process.versions.node}. Get a newer one from https://nodejs.org and try again.`,
    );
    process.exit(1);
  }
}

/** Checks Node, then installs what the lock file says when something else or nothing is installed. npm's words go to stderr. */
export function ensureInstalled() {
  requireNode();
  if (isInstalled()) return;
  console.error('Installing what package-lock.json says …');
  // npm tells the scripts it runs where it lies itself; outside one, the shell finds it (on Windows it is a .cmd file).
  const npm = process.env.npm_execpath?.endsWith('.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const { status } = spawnSync(npm[0], [...npm.slice(1), 'ci', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: npm.length === 1,
    // `npm -s` and the like are about the script, not about its installing; NODE_ENV=production would leave the tools out.
    env: { ...process.env, NODE_ENV: 'development', npm_config_omit: '' },
  });
  if (status !== 0) {
    console.error('npm ci failed: what it said is above. It needs the npm registry to be reachable.');
    process.exit(status || 1);
  }
}

/**
 * Whether npm's own record of the installed tree (`node_modules/.package-lock.json`, the last thing it writes) agrees
 * with the lock file. Optional packages may be missing, as those for other systems are; one for another system that is
 * there tells of a tree installed on that system.
 */
function isInstalled() {
  if (!existsSync(join(root, 'node_modules', '.package-lock.json'))) return false;
  const installed = readJson('node_modules/.package-lock.json').packages;
  return Object.entries(readJson('package-lock.json').packages).every(([path, wanted]) => {
    if (path === '') return true;
    const found = installed[path];
    if (!found) return Boolean(wanted.optional);
    return (
      found.version === wanted.version &&
      found.integrity === wanted.integrity &&
      (!found.os || found.os.includes(process.platform)) &&
      (!found.cpu || found.cpu.includes(process.arch))
    );
  });
}

function readJson(path) {
  return JSON.parse(readFileSync(join(root, path), 'utf8'));
}
