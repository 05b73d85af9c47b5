/**
 * A process that erases runs of an SQLite store, one after the other, until it is killed; it says `erased RUN` when one is durable. The
 * runs are those that `retention.test.ts` has written.
 */
import {writeSync} from 'node:fs';
import {erase} from './sample-retention.ts';
import {openSqlite} from './sqlite.ts';

const [path = '', count = '0'] = process.argv.slice(2);

const store = await openSqlite(path);
for (let n = 0; n < Number(count); n += 1) {
	if (await store.retention.erasure(`run_${n}`)) continue;
	await erase(store, `run_${n}`, `erase_${n}_${process.pid}`);
	writeSync(1, `erased run_${n}\n`);
}
await store.close();
