/** A platform that runs programs in worker threads of its own process. Reads one program from standard input, prints how it ended. */
import {json} from 'node:stream/consumers';
import {inWorker} from './worker.ts';

const {code, wallMs} = (await json(process.stdin)) as {code: string; wallMs: number};
console.log(JSON.stringify(await inWorker(code, wallMs)));
process.exit();
