/**
 * No array of unbounded length is spread into the arguments of a call: `push(...xs)`, `Math.max(...xs)` and
 * `f.apply(null, xs)` put every element on the stack, and end with a RangeError at about a hundred thousand of them.
 * What is passed on from a rest parameter is as long as the call it came from, and array literals are written out.
 * Everything else that is bounded is listed below, with what bounds it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAst } from 'vite';
import { root } from './install.mjs';

/** Spread expressions that are bounded, by file. */
const BOUNDED = {
  'workers/kernels/wasm/linear.ts': { run: 'a tuple of four numbers' },
  'workers/kernels/suite.ts': { BITS: 'a constant', BLOCKS: 'a constant' },
  'workers/kernels/wasm/build.mjs': {
    'await Promise.all([...sources, fileURLToPath(import.meta.url)].map(changed))': 'source files of one module',
  },
  'workers/evaluate/sessions/placement.ts': { all: 'what a rest parameter holds, or its text' },
  'workers/evaluate/runtimes/runtime-drift.ts': { 'logits.value': 'a pair' },
  'workers/plan/half/convert.ts': {
    'statedAs(name, known, wish)': 'a header and a message',
    'clamps && wish === FLOAT16 ? clampedCast(name, known) : [cast(name, known, wish)]': 'a few nodes',
  },
  'workers/io/zip.ts': {
    'entryFields({ name, crc, size }, extra)': 'the fields of one entry',
    'long.map((value) => fields([value, 8]))': 'at most three numbers',
  },
};

/** Tests and what only they and benchmarks import choose their own sizes. */
const OF_TESTS = /(\.test\.tsx?|\/test-[^/]*\.tsx?|\/bench[^/]*\.mjs)$/;

/** Where an array is spread into a call, with the source text of what is spread. */
export function findSpreads(file, code) {
  const found = [];
  /** @param rests Names of the rest parameters of the functions around. */
  const walk = (node, rests) => {
    if (Array.isArray(node)) {
      for (const one of node) walk(one, rests);
      return;
    }
    if (node === null || typeof node !== 'object' || typeof node.type !== 'string') return;
    let inside = rests;
    if (Array.isArray(node.params)) {
      const rest = node.params.find(({ type }) => type === 'RestElement');
      if (rest?.argument.type === 'Identifier') inside = new Set([...rests, rest.argument.name]);
    }
    if (node.type === 'CallExpression' || node.type === 'NewExpression') {
      for (const { type, argument, start } of node.arguments) {
        if (
          type !== 'SpreadElement' ||
          argument.type === 'ArrayExpression' ||
          (argument.type === 'Identifier' && inside.has(argument.name))
        )
          continue;
        found.push({ line: lineOf(code, start), text: code.slice(argument.start, argument.end) });
      }
      const { callee } = node;
      const isApplied =
        callee.type === 'MemberExpression' &&
        callee.property.name === 'apply' &&
        node.arguments.length === 2 &&
        node.arguments[1].type !== 'ArrayExpression';
      if (isApplied)
        found.push({
          line: lineOf(code, node.start),
          text: code.slice(node.arguments[1].start, node.arguments[1].end),
        });
    }
    for (const key in node) if (key !== 'type' && key !== 'parent') walk(node[key], inside);
  };
  walk(parseAst(code, { lang: file.endsWith('x') ? 'tsx' : file.endsWith('.ts') ? 'ts' : 'js' }, file), new Set());
  return found;
}

function lineOf(code, at) {
  return code.slice(0, at).split('\n').length;
}

/** What has to be found, and what not: the check fails when it does not tell them apart. */
const PLANTED = {
  bad: [
    'all.push(...xs);',
    'Math.max(0, ...xs.map((x) => x));',
    'String.fromCharCode(...bytes);',
    'new Date(...xs);',
    'const f = (...a: number[]) => g(...a.map(h));',
    'g.apply(null, xs);',
    'a?.b(...xs);',
    'super_.f(...(xs as number[]));',
  ],
  good: [
    'const f = (...a: number[]) => g(...a);',
    'new Set([...xs]);',
    'f([...xs], { ...y });',
    'f(...[1, 2]);',
    'const g = ({ ...a }, [...b]: number[]) => [a, b];',
    'g.apply(null, [1]);',
  ],
};
const planted = [
  ...PLANTED.bad.filter((code) => findSpreads('planted.ts', code).length !== 1).map((code) => `not found: ${code}`),
  ...PLANTED.good
    .filter((code) => findSpreads('planted.ts', code).length !== 0)
    .map((code) => `found, but harmless: ${code}`),
];

const files = ['src', 'workers']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
      (file) => `${folder}/${file.replaceAll('\\', '/')}`,
    ),
  )
  .filter(
    (file) => /\.(tsx?|mjs)$/.test(file) && !/\/(assembly|build|node_modules)\//.test(file) && !OF_TESTS.test(file),
  );
const unused = new Set(
  Object.entries(BOUNDED).flatMap(([file, texts]) => Object.keys(texts).map((text) => `${file}: ${text}`)),
);
const problems = files.flatMap((file) =>
  findSpreads(file, readFileSync(join(root, file), 'utf8')).flatMap(({ line, text }) => {
    if (BOUNDED[file]?.[text] === undefined) return [`${file}:${line}: "...${text}" is spread into a call`];
    unused.delete(`${file}: ${text}`);
    return [];
  }),
);
for (const problem of [
  ...planted,
  ...problems,
  ...[...unused].map((entry) => `${entry} is listed as bounded, and is spread nowhere`),
])
  console.error(problem);
console.log(`${files.length} files: ${planted.length + problems.length + unused.size} problems`);
process.exit(planted.length + problems.length + unused.size > 0 ? 1 : 0);
