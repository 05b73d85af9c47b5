/**
 * A process that appends to one run of an SQLite store until it is killed or refused, and says what was acknowledged:
 * `ack SEQ` after each append, `error JSON` when refused. A refused writer waits for a line on stdin, removes the file it was
 * given to make room, and goes on; it ends with `end JSON` after ten more.
 */
import {once} from 'node:events';
import {rmSync, writeSync} from 'node:fs';
import {WritError} from '#contract/errors.ts';
import {batch, intent, message, started} from './sample-run.ts';
import {openSqlite} from './sqlite.ts';

const [path = '', runId = '', filler] = process.argv.slice(2);

const say = (line: string) => writeSync(1, `${line}\n`);

async function main(): Promise<void> {
	const store = await openSqlite(path);
	const append = async (seq: number) => {
		const second = message('user', `message of ${runId} ${'x'.repeat(500)}`, runId);
		await store.append(batch({runId, expectedSeq: seq, second: 0}, seq === 0 ? started() : intent(), second));
		say(`ack ${seq + 2}`);
	};
	let seq = 0;
	let left = Number.POSITIVE_INFINITY;
	while (left > 0) {
		try {
			await append(seq);
			seq += 2;
			left -= 1;
		} catch (error) {
			if (!(error instanceof WritError) || !filler) throw error;
			say(`error ${JSON.stringify(error)}`);
			await once(process.stdin, 'data');
			rmSync(filler);
			left = 10;
		}
	}
	const [thread] = await store.threads('local', 1);
	say(`end ${JSON.stringify({acknowledged: seq, events: (await store.read(runId)).length, messages: thread?.messages})}`);
	await store.close();
	process.stdin.destroy();
}

main().catch((error: unknown) => {
	say(`error ${JSON.stringify(error)}`);
	process.exitCode = 1;
});
