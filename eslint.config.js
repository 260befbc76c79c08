import reactHooks from 'eslint-plugin-react-hooks';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const typescript = ['**/*.ts', '**/*.tsx'];

export default defineConfig(
  // AssemblyScript is read by its own compiler: its operators and types are not TypeScript's.
  globalIgnores(['**/build/', 'dist/', 'test-results/', '**/assembly/']),
  {
    linterOptions: { reportUnusedDisableDirectives: 'error', noInlineConfig: true },
    rules: {
      'eqeqeq': ['error', 'always', { null: 'ignore' }],
      'no-console': ['error', { allow: ['error', 'warn'] }],
      'no-constant-condition': ['error', { checkLoops: 'allExceptWhileTrue' }],
      'no-debugger': 'error',
      'no-empty': 'error',
      'no-fallthrough': 'error',
      'no-irregular-whitespace': 'error',
      'no-loss-of-precision': 'error',
      'no-self-compare': 'error',
      'no-unsafe-finally': 'error',
      'no-useless-escape': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
  {
    files: typescript,
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // With noUncheckedIndexedAccess, `!` marks an index a loop has bounded; a check there would be dead code.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Codes read from files are numbers that may or may not be in the enum.
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
      // A type parameter that only the caller fills says what a message carries.
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      // Objects here are records of closures, with no `this` to lose.
      '@typescript-eslint/unbound-method': 'off',
      // async without await turns a throw into a rejection, which is what an interface of promises owes.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Numbers read well in templates and mean one thing.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/ban-ts-comment': ['error', { 'ts-expect-error': true, 'ts-ignore': true, 'ts-nocheck': true, 'ts-check': false }],
    },
  },
  {
    files: ['**/*.test.ts', '**/*.test.tsx', 'e2e/**/*.ts'],
    rules: {
      // expect.any and its kind are typed `any`.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      'no-restricted-properties': ['error',
        ...['describe', 'it', 'test'].flatMap((object) => ['skip', 'only', 'todo', 'fixme'].map((property) => ({
          object, property, message: 'Every test runs; one that cannot is a finding to fix.',
        }))),
      ],
    },
  },
  { files: ['src/**/*.{ts,tsx}'], extends: [reactHooks.configs.flat.recommended] },
  // Programs for a terminal.
  { files: ['.ci/**', 'models/**', 'workers/node/**', 'workers/**/*.mjs'], rules: { 'no-console': 'off' } },
);
