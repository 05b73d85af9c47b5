import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, rm, stat, symlink, utimes, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, test} from 'node:test';
import type {WritError} from '#contract/errors.ts';
import type {Principal} from '#contract/event.ts';
import type {SandboxLimits} from '#contract/sandbox.ts';
import {mintPermit} from '#kernel/permit.ts';
import type {World} from '#kernel/tool.ts';
import {createProcessProvider} from '#sandbox/process/process.ts';
import {createRuntime} from '#sandbox/runtime.ts';
import {createDatasets} from './datasets.ts';
import {createIngestTool, type IngestInput} from './ingest.ts';
import {writeSamples} from './samples/samples.ts';

const MIB = 2 ** 20;
const limits: SandboxLimits = {
	wallMs: 60_000,
	memoryBytes: 1_024 * MIB,
	cpus: 2,
	processes: 64,
	openFiles: 256,
	scratchBytes: 512 * MIB,
	outputBytes: 16 * MIB,
};
const LOCAL: Principal = {kind: 'user', id: 'owner', tenant: 'local'};
const folder = await mkdtemp(join(tmpdir(), 'writ-ingest-'));
const root = join(import.meta.dirname, '../..');
const provider = createProcessProvider({
	runtime: createRuntime({root, nodePath: process.execPath, pythonPath: '/usr/bin/python3'}),
});
after(async () => {
	await provider.close();
	await rm(folder, {recursive: true});
});

const datasets = createDatasets({dir: join(folder, 'datasets')});
const clock = {now: () => new Date('2026-03-01T00:00:00Z')};
const uploads = join(folder, 'uploads');
await mkdir(uploads);
const tool = createIngestTool({datasets, limits, clock, roots: [uploads], maxFileBytes: 8 * MIB});

test('the samples become datasets with the rows, types, links and moments they declare, and verify', async () => {
	for (const {input} of await writeSamples(join(folder, 'samples'))) {
		const {dataset, verdict} = await add(input);
		assert.equal(verdict?.kind, 'verified', JSON.stringify(verdict));
		assert.equal(verdict?.checks.length, input.files.length + 1);
		const {id, name, description, now, prompts, tags, relationships} = dataset;
		const {files, tables: _said, ...declared} = input;
		assert.deepEqual({id, name, description, now, prompts, tags, relationships}, declared);
		assert.deepEqual(
			dataset.tables.map((table) => table.source.name),
			files.map((file) => file.name),
		);
		assert.deepEqual(await datasets.get('local', id), dataset);
	}
	const shop = await datasets.get('local', 'ecommerce');
	assert.deepEqual(
		shop.tables.map(({name, rows, notices}) => ({name, rows, notices})),
		[
			{name: 'orders', rows: 4_018, notices: []},
			{name: 'order_items', rows: 9_008, notices: []},
			{name: 'inventory', rows: 500, notices: []},
		],
	);
	assert.deepEqual(
		shop.tables[0]?.columns.map(({name, type, unit}) => ({name, type, ...(unit ? {unit} : {})})),
		[
			{name: 'order_id', type: 'integer'},
			{name: 'customer_id', type: 'integer'},
			{name: 'order_date', type: 'date'},
			{name: 'total', type: 'decimal', unit: 'USD'},
			{name: 'status', type: 'text'},
			{name: 'returned', type: 'boolean'},
		],
	);
});

test('links and the present moment are found where they are not declared', async () => {
	const [sample] = await writeSamples(join(folder, 'samples'));
	const {dataset} = await add({id: 'found', files: sample?.input.files ?? []});
	assert.deepEqual(dataset.relationships.map(({from, to, type}) => `${from} → ${to} ${type}`).sort(), [
		'order_items.order_id → orders.order_id many-to-one',
		'order_items.product_id → inventory.product_id many-to-one',
	]);
	assert.equal(dataset.now, '2026-02-02T23:59:59');
	assert.equal(dataset.name, 'orders');
});

test('adding the same files twice is one snapshot', async () => {
	const path = await file('twice.csv', 'a,b\r\n1,x\r\n2,y\r\n');
	const [first, second] = [await add({files: [{name: 'Twice!.csv', path}]}), await add({files: [{name: 'Twice!.csv', path}]})];
	assert.equal(first.dataset.id, 'twice');
	assert.deepEqual(second.dataset, first.dataset);
});

test('two files of one name become two tables, each with its own source', async () => {
	const one = await file('one.csv', 'a\r\n1\r\n');
	const two = await file('two.csv', 'a\r\n1\r\n2\r\n');
	const {dataset, verdict} = await add({id: 'same', files: [one, two].map((path) => ({name: 'same.csv', path}))});
	assert.deepEqual(
		dataset.tables.map(({source, rows}) => [source.name, source.bytes, rows]),
		[
			['same.csv', 6, 1],
			['same.csv', 9, 2],
		],
	);
	assert.equal(verdict?.kind, 'verified');
});

for (const [what, prepare, code, message] of [
	['a file that is not there', async () => join(folder, 'none.csv'), 'unreadable_file', /is not there/],
	['a directory', async () => folder, 'unreadable_file', /is a directory/],
	['a device', async () => '/dev/zero', 'forbidden', /belongs to the system/],
	['a link', async () => link('link.csv', '/etc/passwd'), 'unreadable_file', /symbolic link/],
	['a relative path', async () => 'data.csv', 'invalid_request', /absolute/],
	['a path with ..', async () => `${uploads}/../uploads/a.csv`, 'invalid_request', /absolute/],
	[
		'a file above the limit',
		async () => file('big.csv', Buffer.alloc(8 * MIB + 1, 'a\n')),
		'request_too_large',
		/more than the limit/,
	],
	['a picture', async () => file('photo.csv', Buffer.from('ffd8ffe000104a46494600010100', 'hex')), 'unreadable_file', /./],
] as const) {
	test(`${what} is refused with a reason, and nothing is published`, async () => {
		const path = await prepare();
		await assert.rejects(add({id: 'refused', files: [{name: 'data.csv', path}]}), (error: WritError) => {
			assert.equal(error.code, code, error.message);
			assert.match(error.message, message);
			return true;
		});
		await assert.rejects(datasets.get('local', 'refused'), {code: 'not_found'});
	});
}

for (const [who, principal, place, allowed] of [
	['the local user', LOCAL, folder, true],
	['a remote user', {kind: 'user', id: 'ann', tenant: 'acme'}, folder, false],
	['a remote user', {kind: 'user', id: 'ann', tenant: 'acme'}, uploads, true],
	['a service', {kind: 'service', id: 'samples', tenant: 'local'}, folder, false],
	['a service', {kind: 'service', id: 'samples', tenant: 'local'}, uploads, true],
	['an agent', {kind: 'agent', id: 'analyst', tenant: 'local'}, folder, false],
	['an agent', {kind: 'agent', id: 'analyst', tenant: 'local'}, uploads, false],
] as const) {
	test(`${who} ${allowed ? 'may' : 'may not'} add a file ${place === uploads ? 'that was uploaded' : 'of this host'}`, async () => {
		const path = join(place, 'data.csv');
		await writeFile(path, 'a\r\n1\r\n');
		const adding = add({id: 'mine', files: [{name: 'data.csv', path}]}, principal);
		if (!allowed) return assert.rejects(adding, {code: 'forbidden'});
		assert.equal((await adding).dataset.tables[0]?.rows, 1);
	});
}

for (const mode of [null, 'javascript', 'chat'])
	test(`in ${mode === null ? 'a call of code' : `a run of mode ${mode}`} nobody adds a file, uploaded or not`, async () => {
		for (const place of [folder, uploads]) {
			const path = join(place, 'data.csv');
			await writeFile(path, 'a\r\n1\r\n');
			const running = run(parse({id: 'called', files: [{name: 'data.csv', path}]}), {...worldOf(LOCAL), mode});
			await assert.rejects(running, {code: 'forbidden'});
		}
	});

test('a link out of the uploads is no way to a file of this host', async () => {
	await symlink(folder, join(uploads, 'way'));
	const path = await file('secret.csv', 'a\r\n1\r\n');
	const adding = add(
		{id: 'stolen', files: [{name: 'a.csv', path: path.replace(folder, join(uploads, 'way'))}]},
		{...LOCAL, tenant: 'acme'},
	);
	await assert.rejects(adding, {code: 'forbidden'});
});

test('a file that changes while it is read is refused', async () => {
	const path = await file('moving.csv', 'a\r\n1\r\n');
	const world = worldOf(LOCAL, () => writeFile(path, 'a\r\n1\r\n2\r\n'));
	const input = parse({id: 'moving', files: [{name: 'moving.csv', path}]});
	await assert.rejects(run(input, world), /changed while it was being read/);
});

test('a file is what it was when it was decided on, to the byte, or it is refused', async () => {
	const path = await file('decided.csv', 'a\r\n1\r\n');
	const [input, world] = [parse({id: 'decided', files: [{name: 'decided.csv', path}]}), worldOf(LOCAL)];
	const target = (await tool.fingerprint?.(input, LOCAL, world)) ?? null;
	const sha256 = createHash('sha256').update('a\r\n1\r\n').digest('hex');
	assert.equal(tool.preview?.(input, target), `decided: decided.csv (${path}, 6 bytes, SHA-256 ${sha256})`);
	const {mtime} = await stat(path);
	await writeFile(path, 'a\r\n2\r\n');
	await utimes(path, mtime, mtime);
	await assert.rejects(tool.run(input, {...world, target}), /changed after it was looked at/);
	await assert.rejects(tool.run(input, world), /changed after it was looked at/, 'nobody looked at it');
	await assert.rejects(datasets.get('local', 'decided'), {code: 'not_found'});
});

test('what a runner claims is not believed: other files, links and strange names are refused', async () => {
	const path = await file('plain.csv', 'a\r\n1\r\n');
	for (const [claim, leave] of [
		['../plain.parquet', async () => {}],
		['missing.parquet', async () => {}],
		['linked.parquet', (out: string) => symlink('/etc/passwd', join(out, 'linked.parquet'))],
		['folder.parquet', (out: string) => mkdir(join(out, 'folder.parquet'))],
	] as const) {
		const world: World = {
			...worldOf(LOCAL),
			async sandbox({output = ''}) {
				await leave(output);
				const table = {name: 't', file: claim, rows: 1, columns: [], notices: [], format: 'csv', source: 'plain.csv'};
				return {frames: [{type: 'profile', table}], usage: USAGE, isolation: ISOLATION};
			},
		};
		const running = run(parse({id: 'lied', files: [{name: 'plain.csv', path}]}), world);
		await assert.rejects(running, {code: 'runner_internal_error'}, claim);
	}
	await assert.rejects(datasets.get('local', 'lied'), {code: 'not_found'});
});

test('a snapshot that lost rows or bytes does not verify', async () => {
	const path = await file('rows.csv', 'a\r\n1\r\n2\r\n');
	const {dataset, verdict} = await add({id: 'counted', files: [{name: 'rows.csv', path}]});
	assert.equal(verdict?.kind, 'verified');
	const [table] = dataset.tables;
	assert.ok(table);
	const claimed = {...dataset, tables: [{...table, rows: 3}]};
	const doubted = await tool.verify?.(parse({files: [{name: 'a', path}]}), claimed, worldOf(LOCAL));
	assert.deepEqual([doubted?.kind, doubted?.checks.at(-1)?.detail], ['unverified', '2 rows counted, 3 profiled']);
});

for (const [files, id] of [
	[['orders.csv'], 'orders'],
	[['Q1 Umsätze (final).xlsx'], 'q1_umsatze_final'],
	[['2024.tar.gz'], 'd_2024'],
	[['日本.csv'], 'dataset'],
] as const) {
	test(`${files[0]} is called ${id} when nobody says otherwise`, () => {
		assert.deepEqual(tool.resource(parse({files: files.map((name) => ({name, path: '/x'}))})), {type: 'Dataset', id});
	});
}

// --- arrangements ------------------------------------------------------------------------------------------------------

const USAGE = {wallMs: 1, cpuMs: 1, peakMemoryBytes: 1, outputBytes: 1};
const ISOLATION = {
	...{provider: 'process', level: 'none', namespaces: [], seccomp: false, limits: {}, network: 'none', warm: false},
} as const satisfies object as never;

function parse(input: IngestInput) {
	return tool.input.parse(input);
}

async function add(input: IngestInput, principal = LOCAL) {
	const world = worldOf(principal);
	const parsed = parse(input);
	const dataset = await run(parsed, world);
	return {dataset, verdict: await tool.verify?.(parsed, dataset, world)};
}

/** Runs it on files as they are when it is decided on. */
async function run(input: ReturnType<typeof parse>, world: World) {
	const target = (await tool.fingerprint?.(input, world.principal, world)) ?? null;
	return tool.run(input, {...world, target});
}

/** A world with real sandboxes; `during` happens while one of them works. */
function worldOf(principal: Principal, during: () => Promise<unknown> = async () => {}): World {
	const {signal} = new AbortController();
	const permit = mintPermit({id: 'p', runId: 'r', actionId: 'a', tool: tool.name, tenant: principal.tenant, binding: ''});
	return {
		...{permit, principal, signal, mode: 'ingest', target: null, limits: tool.limits, progress: () => {}},
		async sandbox(spec, request) {
			const sandbox = await provider.open(spec, {warm: false, signal});
			await during();
			return sandbox.run(permit, request, signal);
		},
	};
}

async function file(name: string, content: string | Buffer): Promise<string> {
	const path = join(folder, name);
	await writeFile(path, content);
	return path;
}

async function link(name: string, target: string): Promise<string> {
	const path = join(folder, name);
	await symlink(target, path);
	return path;
}
