/** Entry of a kernel worker of the command line, a thread of Node. */
import { parentPort } from 'node:worker_threads';
import { createQuantizeWorker } from '../../quantize/quantize-worker.ts';
import { expose, type MessageScope } from '../../rpc/remote.ts';

expose(createQuantizeWorker(), parentPort as unknown as MessageScope);
