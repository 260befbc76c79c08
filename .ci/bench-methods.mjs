/**
 * `npm run bench:methods -- --model FILE --tokenizer FILE --text FILE --calibrate FILE`: mean KL divergence of every
 * quantization method at the same bytes.
 */
import { runBundled } from './run-bundled.mjs';

await runBundled('bench-methods', 'bench-methods.ts');
