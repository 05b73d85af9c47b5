/** A slice of `npm run crash`: crashes of recoveries that test/faults.test.ts does not make, and some histories on each store. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import path from 'node:path';
import {suite, test} from 'node:test';
import {isGone, nameHolder} from '../src/holder.ts';
import {crashEverywhere, postgres, show, sqlite} from './crash/matrix.ts';
import {SCENARIOS} from './crash/scenarios.ts';
import {type StoreName, simulateMany, survivors} from './crash/simulations.ts';

const url = process.env.DATABASE_URL;
const missing = 'DATABASE_URL is not set: `scripts/postgres.sh` starts a server and prints one';
const noPostgres = url || process.env.REQUIRE_POSTGRES || process.env.CI ? false : missing;

suite('kill -9 at a durable write, and again in the recovery', {concurrency: 2}, () => {
	for (const [name, write] of [
		['a run of SQL', 2],
		['an approval that is granted', 4],
		['everything stopped, and resumed', 3],
	] as const)
		for (const [store, provider] of [
			['sqlite', () => sqlite],
			['postgres', () => postgres(url ?? '')],
		] as const)
			test(`${name}, ${store}: nothing accepted is lost and nothing happens twice`, {
				skip: store === 'postgres' && noPostgres,
			}, async (t) => {
				const scenario = SCENARIOS.find((each) => each.name === name);
				assert.ok(scenario);
				const only = (point: {readonly when: string; readonly write: number}) => point.when === 'after' && point.write === write;
				const {crashes, missed} = await crashEverywhere(scenario, {provider: provider(), doubles: store === 'sqlite', only});
				const faults = crashes.flatMap(({at, report}) => report.faults.map((fault) => `${show(at)}: ${fault}`));
				assert.deepEqual([faults, missed], [[], []]);
				assert.ok(crashes.length >= (store === 'sqlite' ? 3 : 1), `only ${crashes.length} crashes`);
				t.diagnostic(`${crashes.length} crashes`);
			});
});

test('a server of this machine that died is known to be gone; whoever lives, or was elsewhere, is not', () => {
	const source = `import {nameHolder} from ${JSON.stringify(path.join(import.meta.dirname, '../src/holder.ts'))};
		process.stdout.write(nameHolder());`;
	const {stdout: dead} = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', source], {encoding: 'utf8'});
	const elsewhere = dead.replace(/^writ\/[^/]+/, 'writ/another-boot:1');
	assert.match(dead, /^writ\//);
	assert.deepEqual([nameHolder(), dead, elsewhere, 'writ-0815', 'one'].map(isGone), [false, true, false, false, false]);
	assert.notEqual(nameHolder(), nameHolder());
});

const HISTORIES: Readonly<Record<StoreName, number>> = {memory: 150, sqlite: 25, postgres: 15};

suite('workers that lose messages, leases and their lives', () => {
	for (const [name, count] of Object.entries(HISTORIES) as [StoreName, number][])
		test(`${count} seeded histories, ${name}: nothing accepted is lost and nothing happens twice`, {
			skip: name === 'postgres' && noPostgres,
		}, async (t) => {
			const {faults, histories, unmet, tally} = await simulateMany({name, url}, {first: 1, count, mutant: null});
			assert.deepEqual([faults, unmet, histories], [[], [], count]);
			t.diagnostic(JSON.stringify(tally));
		});

	test('a seed is one history: lived again it is the same', async () => {
		const lived = () => simulateMany({name: 'memory'}, {first: 7, count: 5, mutant: null});
		const [{tally: one}, {tally: other}] = [await lived(), await lived()];
		assert.deepEqual(one, other);
	});

	test('without fencing, the sequence, intents before effects or durability, histories go wrong, and that is found', async () => {
		const found = await survivors(1, 40);
		assert.deepEqual(
			found.map(({mutant, caught}) => [mutant, caught > 0]),
			[
				['fencing', true],
				['sequence', true],
				['intent', true],
				['durability', true],
			],
		);
	});
});
