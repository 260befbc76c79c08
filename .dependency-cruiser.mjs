/** Which part may import which. DESIGN in one line: page → protocol ← engine, and inside the engine one direction. */
const TEST = '\\.test\\.tsx?$';
/** What only tests use: shared suites and fixtures. */
const TEST_SUPPORT = '(^|/)(suite|golden-vectors|test-[^/]+)\\.ts$';
const TESTING = `${TEST}|${TEST_SUPPORT}`;
/** Runs in Node only: the command line, tools and tests. */
const NODE_ONLY = `^(workers/entry/node/|models/|e2e/|\\.ci/|vite\\.config\\.ts$)|\\.mjs$|${TESTING}`;
/** Where the page, the workers, the programs and the tests begin. */
const ENTRY = `^src/main\\.tsx$|^src/test-dom\\.ts$|^src/app/theme-css\\.ts$|^src/app/offline/service-worker\\.ts$|\\.worker\\.ts$|^workers/entry/node/(cli|quantize-thread|speed-worker)\\.ts$|^models/bench-methods\\.ts$|\\.mjs$|^vite\\.config\\.ts$|^e2e/|${TEST}`;

const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

export default {
  forbidden: [
    forbid('engine-knows-no-page', 'workers never import from src.', { path: '^workers/' }, { path: '^src/' }),
    forbid(
      'page-sees-only-the-contract',
      'src imports from workers only the contract; its engine client also the remote wrapper and the worker entry.',
      { path: '^src/', pathNot: '^src/engine/' },
      { path: '^workers/', pathNot: '^workers/contract/' },
    ),
    forbid(
      'engine-client-boundary',
      'src/engine imports from workers the contract, the remote wrapper and the worker entry, nothing behind them.',
      { path: '^src/engine/' },
      { path: '^workers/', pathNot: '^workers/(contract/|rpc/remote\\.ts$|entry/engine\\.worker\\.ts$)' },
    ),
    forbid(
      'one-place-for-comlink',
      'comlink hangs when a worker dies; workers/rpc/remote.ts wraps it once.',
      { path: '^(src|workers)/', pathNot: '^workers/rpc/remote\\.ts$' },
      { path: 'node_modules/comlink/' },
    ),
    forbid(
      'contract-imports-nothing',
      'The contract stands alone: values and types that both sides share. Names in sentences are escaped by lib/shown.',
      { path: '^workers/contract/', pathNot: TESTING },
      { path: '.', pathNot: '^workers/contract/|^workers/lib/|node_modules/zod/' },
    ),
    forbid(
      'kernels-know-no-model',
      'A kernel sees matrices, not graphs, plans or text; how a half-precision number is read is common ground.',
      { path: '^workers/kernels/', pathNot: TESTING },
      {
        path: '^workers/(onnx|plan|quantize|evaluate|storage|pipeline|entry)/',
        pathNot: '^workers/onnx/numbers/float16\\.ts$',
      },
    ),
    forbid(
      'onnx-knows-no-level',
      'Reading and writing the format needs no plan, kernel or runtime.',
      { path: '^workers/onnx/', pathNot: TESTING },
      { path: '^workers/(plan|kernels|quantize|evaluate|storage|pipeline|entry)/' },
    ),
    forbid(
      'io-knows-no-pipeline',
      'Sources, readers and archives serve every stage; what kind a file is, the readers of input files tell.',
      { path: '^workers/io/', pathNot: TESTING },
      { path: '^workers/(pipeline|evaluate|storage)/', pathNot: '^workers/evaluate/outputs/input-files/' },
    ),
    forbid(
      'models-and-e2e-are-leaves',
      "Nothing that ships imports the sample model's tools or the end-to-end tests.",
      { path: '^(src|workers)/', pathNot: TESTING },
      { path: '^(models|e2e|\\.ci)/' },
    ),
    forbid(
      'node-built-ins-in-node-code',
      'The page and the engine run in a browser.',
      { path: '.', pathNot: NODE_ONLY },
      { dependencyTypes: ['core'] },
    ),
    forbid('nothing-imports-tests', 'Tests are entry points.', { path: '.' }, { path: TEST }),
    forbid(
      'only-tests-import-test-support',
      'What ships holds no fixtures.',
      { path: '.', pathNot: TESTING },
      { path: TEST_SUPPORT },
    ),
    forbid('no-cycles', 'Modules that need each other are one module.', { path: '.' }, { circular: true }),
    forbid(
      'no-dev-dependencies',
      'What ships is in dependencies.',
      { path: '^(src|workers)/', pathNot: `${TESTING}|\\.mjs$|/assembly/` },
      { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only', 'npm'] },
    ),
    forbid(
      'no-undeclared-packages',
      'Every package imported is in package.json.',
      { path: '.' },
      { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    ),
    forbid(
      'no-unresolvable',
      'Every import leads somewhere.',
      { path: '.' },
      {
        couldNotResolve: true,
        pathNot: '^onnxruntime-web/ort-wasm-simd-threaded(\\.asyncify)?\\.(mjs|wasm)\\?url$|^virtual:theme\\.css$',
      },
    ),
    forbid(
      'nothing-unused',
      'What no page, worker, program or test reaches is dead.',
      { path: ENTRY },
      { path: '^(src|workers|models|e2e|\\.ci)/', pathNot: `${ENTRY}|\\.d\\.m?ts$`, reachable: false },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '/assembly/|/build/|^dist/' },
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'browser', 'default', 'types'] },
  },
};
