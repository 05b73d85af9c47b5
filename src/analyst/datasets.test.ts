import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, unlink, utimes, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import type {Dataset, TableProfile} from '#contract/dataset.ts';
import type {WritError} from '#contract/errors.ts';
import {createRedactor} from '#evidence/redact.ts';
import {createDatasets, type Datasets} from './datasets.ts';
import {datasetHash} from './snapshots.ts';

const HOUR_MS = 3_600_000;

test('a published dataset is listed, found and mounted read from its snapshot', async () => {
	await using registry = await temporary();
	const {datasets, dir} = registry;

	const published = await publish(datasets, {orders: 'one', items: 'two'});

	assert.deepEqual(await datasets.list('local'), [published]);
	assert.deepEqual(await datasets.get('local', 'shop'), published);
	assert.deepEqual(await datasets.at('local', 'shop', published.hash), published);
	assert.deepEqual(datasets.source('local', published), {
		mounts: [{source: join(dir, 'local', 'shop', published.hash), target: '/data'}],
		views: [
			{table: 'orders', path: '/data/orders.parquet'},
			{table: 'items', path: '/data/items.parquet'},
		],
	});
	assert.deepEqual(await datasets.verify('local', 'shop'), {dataset: published, files: 2, bytes: 6});
	assert.deepEqual(await readdir(join(dir, '.staging')), []);
	const {mode} = await stat(join(dir, 'local', 'shop', published.hash, 'orders.parquet'));
	assert.equal(mode & 0o222, 0);
});

test('another user of the machine finds no snapshot: no directory lists and no pointer tells its hash', async () => {
	await using registry = await temporary();
	const {datasets, dir} = registry;
	const {hash} = await publish(datasets, {orders: 'one'});
	const modeOf = async (...place: string[]) => ((await stat(join(dir, ...place))).mode & 0o777).toString(8);
	assert.deepEqual(
		await Promise.all([modeOf('local'), modeOf('local', 'shop'), modeOf('local', 'shop', 'current'), modeOf('.staging')]),
		['711', '711', '600', '711'],
	);
	assert.equal(await modeOf('local', 'shop', hash, 'manifest.json'), '600');
});

test('the hash says which sources under which names, in whatever order they came', () => {
	const tables = [profile('b', 'two'), profile('a', 'one')];
	const line = (name: string, content: string) => `${name}\t${sha256(content)}\n`;
	assert.equal(datasetHash(tables), sha256(line('a', 'one') + line('b', 'two')));
	assert.equal(datasetHash(tables.toReversed()), datasetHash(tables));
	assert.notEqual(datasetHash([profile('c', 'two'), profile('a', 'one')]), datasetHash(tables));
});

test('new content becomes current and the old snapshot stays for the runs that cite it', async () => {
	await using registry = await temporary();
	const {datasets} = registry;
	const old = await publish(datasets, {orders: 'old'});
	const present = await publish(datasets, {orders: 'new'});
	assert.notEqual(present.hash, old.hash);
	assert.deepEqual(await datasets.get('local', 'shop'), present);
	assert.deepEqual(await datasets.at('local', 'shop', old.hash), old);
});

test('what is said of a dataset is kept without secrets, and no dataset is named like one', async () => {
	await using registry = await temporary(createRedactor(['a_known_secret']));
	const {datasets, dir} = registry;
	const column = {
		name: 'key a_known_secret',
		type: 'text' as const,
		engineType: 'VARCHAR',
		description: '',
		nulls: 0,
		distinct: 1,
	};
	const values = {min: 'a_known_secret', max: 'a_known_secret', values: [{value: 'a_known_secret', count: 1}]};
	const orders = {...profile('orders', 'one'), columns: [{...column, ...values}], notices: ['a_known_secret is odd']};

	const published = await publish(datasets, {orders: 'one'}, {tables: [orders], description: 'of a_known_secret'});

	const gone = '[redacted:configured-secret]';
	const [table] = published.tables;
	assert.deepEqual(table?.columns[0], {
		...column,
		name: `key ${gone}`,
		min: gone,
		max: gone,
		values: [{value: gone, count: 1}],
	});
	assert.deepEqual([table?.notices, published.description], [[`${gone} is odd`], `of ${gone}`]);
	assert.deepEqual(await datasets.verify('local', 'shop'), {dataset: published, files: 1, bytes: 3});
	const manifest = await readFile(join(dir, 'local', 'shop', published.hash, 'manifest.json'), 'utf8');
	assert.ok(!manifest.includes('a_known_secret'));
	await assert.rejects(publish(datasets, {a_known_secret: 'one'}), code('invalid_request'));
	await assert.rejects(publish(datasets, {orders: 'one'}, {id: 'a_known_secret'}), code('invalid_request'));
});

test('the same content again keeps the files and changes only what is said about them', async () => {
	await using registry = await temporary();
	const {datasets, dir} = registry;
	const first = await publish(datasets, {orders: 'one'});
	const file = join(dir, 'local', 'shop', first.hash, 'orders.parquet');
	const before = await stat(file);

	const again = await publish(datasets, {orders: 'one'}, {description: 'Better said.', createdAt: '2027-01-01T00:00:00Z'});

	assert.deepEqual(again, {...first, description: 'Better said.'});
	assert.deepEqual(await datasets.get('local', 'shop'), again);
	const after = await stat(file);
	assert.deepEqual([after.ino, after.mtimeMs], [before.ino, before.mtimeMs]);
});

test('many publications at once leave one of them current and all of them whole', async () => {
	await using registry = await temporary();
	const {datasets} = registry;
	const contents = Array.from({length: 12}, (_, index) => `content ${index % 4}`);
	const published = await Promise.all(contents.map((orders) => publish(datasets, {orders})));
	const current = await datasets.get('local', 'shop');
	assert.ok(published.some(({hash}) => hash === current.hash));
	for (const {hash} of published) await datasets.verify('local', 'shop', hash);
});

for (const [what, damage] of Object.entries({
	'a changed file': (file: string) => writeFile(file, 'ONE'),
	'a longer file': (file: string) => writeFile(file, 'one and more'),
	'a missing file': (file: string) => unlink(file),
	'a link in place of a file': async (file: string) => {
		await unlink(file);
		await symlink('/etc/hostname', file);
	},
})) {
	test(`${what} is noticed on use and on verification, and mended by adding the dataset again`, async () => {
		await using registry = await temporary();
		const {datasets, dir} = registry;
		const {hash} = await publish(datasets, {orders: 'one'});
		const file = join(dir, 'local', 'shop', hash, 'orders.parquet');
		await chmod(file, 0o644);
		await damage(file);
		await utimes(file, new Date(1_000), new Date(1_000)).catch(() => {}); // nothing to touch when it is gone

		await assert.rejects(datasets.get('local', 'shop'), code('dataset_corrupt'));
		await assert.rejects(datasets.verify('local', 'shop'), code('dataset_corrupt'));

		await publish(datasets, {orders: 'one'});
		assert.equal((await datasets.verify('local', 'shop')).bytes, 3);
	});
}

test('a file whose time changed but not its bytes, as from a backup, is taken after reading it', async () => {
	await using registry = await temporary();
	const {datasets, dir} = registry;
	const published = await publish(datasets, {orders: 'one'});
	await utimes(join(dir, 'local', 'shop', published.hash, 'orders.parquet'), new Date(1_000), new Date(1_000));
	assert.deepEqual(await datasets.get('local', 'shop'), published);
});

test('a change that hides its size and time passes on use and is found by verification', async () => {
	await using registry = await temporary();
	const {datasets, dir} = registry;
	const {hash} = await publish(datasets, {orders: 'one'});
	const file = join(dir, 'local', 'shop', hash, 'orders.parquet');
	const {atime, mtime} = await stat(file);
	await chmod(file, 0o644);
	await writeFile(file, 'ONE');
	await utimes(file, atime, mtime);
	await assert.rejects(datasets.verify('local', 'shop'), code('dataset_corrupt'));
});

test('a dataset whose manifest is broken is left out of the list and reported', async () => {
	await using registry = await temporary();
	const {datasets, dir, problems} = registry;
	const whole = await publish(datasets, {orders: 'one'}, {id: 'whole'});
	const {hash} = await publish(datasets, {orders: 'one'}, {id: 'broken'});
	await writeFile(join(dir, 'local', 'broken', hash, 'manifest.json'), '{"v": 1');
	assert.deepEqual(await datasets.list('local'), [whole]);
	assert.deepEqual(
		problems.map((problem) => problem.code),
		['dataset_corrupt'],
	);
	await assert.rejects(datasets.get('local', 'broken'), code('dataset_corrupt'));
});

for (const id of ['../shop', 'shop/../shop', '.staging', 'SHOP', '', 'a\0b', '..']) {
	test(`the id ${JSON.stringify(id)} names nothing`, async () => {
		await using registry = await temporary();
		await publish(registry.datasets, {orders: 'one'});
		await assert.rejects(registry.datasets.get('local', id), code('not_found'));
		await assert.rejects(registry.datasets.remove('local', id), code('not_found'));
	});
}

for (const tenant of ['..', '.staging', 'a/b', '', '../local']) {
	test(`the tenant ${JSON.stringify(tenant)} is refused`, async () => {
		await using registry = await temporary();
		await assert.rejects(registry.datasets.list(tenant), code('invalid_request'));
		await assert.rejects(publish(registry.datasets, {orders: 'one'}, {}, tenant), code('invalid_request'));
	});
}

test('tenants do not see each other, and a hash is no way around', async () => {
	await using registry = await temporary();
	const {datasets} = registry;
	const {hash} = await publish(datasets, {orders: 'one'});
	assert.deepEqual(await datasets.list('other'), []);
	await assert.rejects(datasets.at('other', 'shop', hash), code('not_found'));
	await assert.rejects(datasets.at('other', 'shop', `../../local/shop/${hash}`), code('not_found'));
});

test('what a crash leaves is never visible: no pointer, half a pointer, a half-made snapshot', async () => {
	await using registry = await temporary();
	const {datasets, dir} = registry;
	const {hash} = await publish(datasets, {orders: 'one'});
	await datasets.stage();
	await writeFile(join(dir, 'local', 'shop', 'current.123'), 'dead');
	await mkdir(join(dir, 'local', 'fresh', hash), {recursive: true});

	assert.deepEqual(
		(await datasets.list('local')).map(({id}) => id),
		['shop'],
	);
	await assert.rejects(datasets.get('local', 'fresh'), code('not_found'));
	assert.equal((await datasets.get('local', 'shop')).hash, hash);
});

test('staging that nobody touched for an hour is swept, and that of someone at work is not', async () => {
	await using registry = await temporary();
	const {datasets, dir} = registry;
	const [dead, live] = [await datasets.stage(), await datasets.stage()];
	await writeFile(join(dead.out, 'half.parquet'), 'half');
	const longAgo = new Date(Date.now() - 2 * HOUR_MS);
	for (const path of [join(dead.out, 'half.parquet'), dead.out, dead.snapshot, join(dead.out, '..')])
		await utimes(path, longAgo, longAgo);

	assert.equal(await datasets.sweep(), 1);
	assert.equal((await readdir(join(dir, '.staging'))).length, 1);
	assert.deepEqual(await readdir(join(live.out, '..')), ['out', 'snapshot']);
});

test('a removed dataset is gone with all its snapshots', async () => {
	await using registry = await temporary();
	const {datasets, dir} = registry;
	const {hash} = await publish(datasets, {orders: 'one'});
	await datasets.remove('local', 'shop');
	await assert.rejects(datasets.at('local', 'shop', hash), code('not_found'));
	await assert.rejects(datasets.remove('local', 'shop'), code('not_found'));
	assert.deepEqual([await readdir(join(dir, 'local')), await readdir(join(dir, '.staging'))], [[], []]);
});

test('a staged link is not published, and nothing appears', async () => {
	await using registry = await temporary();
	const {datasets} = registry;
	await using staging = await datasets.stage();
	await symlink('/etc/hostname', join(staging.snapshot, 'orders.parquet'));
	await assert.rejects(datasets.publish('local', staging, draft({orders: 'one'})), /ELOOP/);
	assert.deepEqual(await datasets.list('local'), []);
});

test('the manifest holds the dataset and how its files looked', async () => {
	await using registry = await temporary();
	const {datasets, dir} = registry;
	const dataset = await publish(datasets, {orders: 'one'});
	const path = join(dir, 'local', 'shop', dataset.hash);
	const {mtimeMs} = await stat(join(path, 'orders.parquet'));
	const manifest = JSON.parse(await readFile(join(path, 'manifest.json'), 'utf8'));
	assert.deepEqual(manifest, {v: 1, dataset, files: {'orders.parquet': {bytes: 3, mtimeMs}}});
});

// --- arrangements ------------------------------------------------------------------------------------------------------

type Registry = AsyncDisposable & {readonly datasets: Datasets; readonly dir: string; readonly problems: readonly WritError[]};

async function temporary(redact = createRedactor([])): Promise<Registry> {
	const dir = await mkdtemp(join(tmpdir(), 'writ-datasets-'));
	const problems: WritError[] = [];
	const datasets = createDatasets({dir, redact, staleMs: HOUR_MS, report: (problem) => problems.push(problem)});
	return {datasets, dir, problems, [Symbol.asyncDispose]: () => rm(dir, {recursive: true})};
}

async function publish(
	datasets: Datasets,
	tables: Readonly<Record<string, string>>,
	changes: Partial<Dataset> = {},
	tenant = 'local',
): Promise<Dataset> {
	await using staging = await datasets.stage();
	for (const [name, content] of Object.entries(tables)) await writeFile(join(staging.snapshot, `${name}.parquet`), content);
	return await datasets.publish(tenant, staging, {...draft(tables), ...changes});
}

function draft(tables: Readonly<Record<string, string>>): Omit<Dataset, 'hash'> {
	return {
		id: 'shop',
		name: 'Shop',
		description: '',
		tables: Object.entries(tables).map(([name, content]) => profile(name, content)),
		relationships: [],
		now: null,
		prompts: [],
		tags: [],
		createdAt: '2026-01-01T00:00:00Z',
	};
}

function profile(name: string, content: string): TableProfile {
	const source = {name: `${name}.csv`, bytes: content.length, sha256: sha256(content), format: 'csv' as const};
	return {name, file: `${name}.parquet`, sha256: sha256(content), source, rows: 1, description: '', columns: [], notices: []};
}

function sha256(text: string): string {
	return createHash('sha256').update(text).digest('hex');
}

function code(expected: string): (error: WritError) => boolean {
	return (error) => error.code === expected;
}
