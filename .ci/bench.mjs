/**
 * `npm run bench`: the kernels beside a memory copy, and whole files in a tab. `-- --json FILE` writes the rows, too;
 * `--only kernels` or `--only files` takes one part; `--side 4096`, `--layers 12` and `--runs 3` say how much.
 * Ends with exit code 1 when something that should have been measured was not.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { benchKernels, describeRow } from '../workers/kernels/bench.mjs';
import { benchFiles, describeFile } from './bench-files.mjs';

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    only: { type: 'string' },
    side: { type: 'string', default: '4096' },
    layers: { type: 'string', default: '12' },
    runs: { type: 'string', default: '3' },
  },
});
const print = (describe) => (row) => {
  console.log(describe(row));
};
const rows = [];
const problems = [];
if (values.only !== 'files') {
  const kernels = await benchKernels({ side: Number(values.side) }, print(describeRow));
  rows.push(...kernels.rows);
  problems.push(...kernels.problems);
}
if (values.only !== 'kernels') {
  try {
    rows.push(...(await benchFiles({ layers: Number(values.layers), runs: Number(values.runs) }, print(describeFile))));
  } catch (thrown) {
    problems.push(`Files were not measured: ${thrown?.message ?? thrown}`);
  }
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 1)}\n`);
for (const problem of problems) console.error(problem.slice(0, 300));
process.exit(problems.length > 0 ? 1 : 0);
