import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Group} from './group.ts';

/** A group whose commits end when they are told to, and which remembers what each held. */
function recordingGroup() {
	const commits: {readonly held: readonly number[]; readonly end: () => void}[] = [];
	const started: PromiseWithResolvers<void>[] = [];
	const group = new Group<number, number>(async (held) => {
		const {promise, resolve} = Promise.withResolvers<void>();
		commits.push({held, end: resolve});
		started.shift()?.resolve();
		await promise;
		return held.map((n) => (n < 0 ? {ok: false, error: new Error(`refused ${n}`)} : {ok: true, value: n * 10}));
	});
	const next = () => {
		const waiting = Promise.withResolvers<void>();
		started.push(waiting);
		return waiting.promise;
	};
	return {group, commits, next};
}

test('operations of one turn share a commit, and those that arrive during it share the next', async () => {
	const {group, commits, next} = recordingGroup();
	const first = next();
	const early = [1, 2].map((n) => group.submit(n));
	await first;
	const late = [3, 4, 5].map((n) => group.submit(n));
	const second = next();
	commits[0]?.end();
	await second;
	commits[1]?.end();
	assert.deepEqual(await Promise.all([...early, ...late]), [10, 20, 30, 40, 50]);
	assert.deepEqual(
		commits.map(({held}) => held),
		[
			[1, 2],
			[3, 4, 5],
		],
	);
});

test('an operation that is refused fails alone', async () => {
	const {group, commits, next} = recordingGroup();
	const first = next();
	const results = Promise.allSettled([1, -2, 3].map((n) => group.submit(n)));
	await first;
	commits[0]?.end();
	assert.deepEqual(
		(await results).map(({status}) => status),
		['fulfilled', 'rejected', 'fulfilled'],
	);
});

test('a commit that fails fails all of its operations and none of the next', async () => {
	const disk = {broken: true};
	const group = new Group<string, string>(async (names) => {
		if (disk.broken) throw new Error('no disk');
		return names.map((name) => ({ok: true, value: `${name} is done`}));
	});
	const failed = await Promise.allSettled(['a', 'b'].map((name) => group.submit(name)));
	assert.deepEqual(
		failed.map(({status}) => status),
		['rejected', 'rejected'],
	);
	disk.broken = false;
	assert.equal(await group.submit('c'), 'c is done');
});
