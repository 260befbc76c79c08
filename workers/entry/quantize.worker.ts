/** Entry of a kernel worker of the page. */
import { createQuantizeWorker } from '../quantize/quantize-worker.ts';
import { expose } from '../rpc/remote.ts';

expose(createQuantizeWorker());
