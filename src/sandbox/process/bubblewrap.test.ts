import assert from 'node:assert/strict';
import {readdirSync, readFileSync} from 'node:fs';
import {describe, test} from 'node:test';
import {attackerRuntime, permit, python, spec} from '../fixtures/attack.ts';
import {testProvider} from '../fixtures/conformance.ts';
import {testAsOrdinaryUser} from '../fixtures/ordinary-user.ts';
import {createProcessProvider} from './process.ts';

const options = {runtime: attackerRuntime(), zygotes: 'off'} as const;

describe('bubblewrap, started for each run', () => testProvider(() => createProcessProvider(options)));

describe('bubblewrap, started for each run, without control groups', () =>
	testProvider(() => createProcessProvider({...options, cgroups: 'off'})));

/** Each leaves the group of its parent, holds no stream of the run, and takes a while to die. */
const DETACHED = `
for n in range(24):
  if os.fork() == 0:
    os.setsid()
    keep = bytearray(16 << 20)
    os.closerange(0, 64)
    while True: time.sleep(1)
time.sleep(0.3)
answer(1)`;

test('a run has ended when all that it started is dead, without control groups too', async () => {
	const mark = 'outlives-its-run';
	const provider = createProcessProvider({...options, runtime: attackerRuntime(mark), cgroups: 'off'});
	const signal = new AbortController().signal;
	for (let round = 0; round < 4; round += 1) {
		const sandbox = await provider.open(spec({limits: {memoryBytes: 1 << 29}}), {warm: false, signal});
		await sandbox.run(permit(), python(DETACHED), signal);
		await sandbox.ended;
		assert.equal(countRunning(mark), 0);
	}
	await provider.close();
});

function countRunning(mark: string): number {
	const isMarked = (pid: string) => {
		try {
			return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`\0${mark}\0`);
		} catch {
			return false; // it ended while we looked
		}
	};
	return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isMarked(name)).length;
}

testAsOrdinaryUser(import.meta.filename);
