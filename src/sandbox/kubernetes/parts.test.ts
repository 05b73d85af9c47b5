import assert from 'node:assert/strict';
import {execFile, execFileSync, spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import fc from 'fast-check';
import {parse, parseAllDocuments} from 'yaml';
import {DENY_ALL} from '../doubles/test-cluster.ts';
import {findCluster} from './cluster.ts';
import {LABELS} from './manifest.ts';
import {RIGHTS} from './rights.ts';
import {createTarReader, type TarEntry, tarLength, writeTar} from './tar.ts';

const held = {directory: ''};
before(() => {
	held.directory = mkdtempSync(join(tmpdir(), 'writ-parts-'));
});
after(() => rmSync(held.directory, {recursive: true}));

/** What a reader makes of an archive, given to it in pieces of some size. */
function read(archive: Buffer, {size = 7_777, bytes = 1e9, entries = 1_000} = {}): Record<string, string | null> {
	const found: Record<string, string | null> = {};
	const reader = createTarReader(
		{bytes, entries},
		{
			directory: (path) => (found[path] = null),
			file(path) {
				found[path] = '';
				return (chunk) => (found[path] += chunk?.toString('latin1') ?? '');
			},
		},
	);
	for (let at = 0; at < archive.length; at += size) reader.push(archive.subarray(at, at + size));
	reader.end();
	return found;
}

async function write(entries: readonly TarEntry[]): Promise<Buffer> {
	const chunks: Buffer[] = [];
	for await (const chunk of writeTar(entries, () => {})) chunks.push(chunk);
	return Buffer.concat(chunks);
}

function tar(...args: string[]): Buffer {
	return execFileSync('tar', args, {cwd: held.directory, maxBuffer: 1e9});
}

describe('an archive', () => {
	test('that we write is what tar reads, long names and all', async () => {
		const source = join(held.directory, 'source');
		writeFileSync(source, 'x'.repeat(1_500));
		const file = {source, bytes: 1_500};
		const long = `${'d'.repeat(90)}/${'ä'.repeat(100)}`;
		const entries = [{path: 'd'.repeat(90)}, {path: long, file}, {path: 'short', file}];
		const archive = await write(entries);
		assert.equal(archive.length, tarLength(entries));
		const target = join(held.directory, 'target');
		mkdirSync(target);
		assert.equal(spawnSync('tar', ['-x', '-C', target], {input: archive}).status, 0);
		assert.deepEqual(readdirSync(target, {recursive: true, encoding: 'utf8'}).toSorted(), ['d'.repeat(90), long, 'short']);
		assert.equal(readFileSync(join(target, long), 'utf8'), 'x'.repeat(1_500));
		assert.deepEqual(read(archive), {
			['d'.repeat(90)]: null,
			[Buffer.from(long).toString('utf8')]: 'x'.repeat(1_500),
			short: 'x'.repeat(1_500),
		});
	});

	test('that tar writes, in any of its formats and in pieces of any size, is read: files and directories, nothing else', () => {
		const root = join(held.directory, 'root');
		mkdirSync(join(root, 'a', 'l'.repeat(120)), {recursive: true});
		writeFileSync(join(root, 'a', 'l'.repeat(120), 'deep'), 'deep');
		writeFileSync(join(root, 'empty'), '');
		writeFileSync(join(root, 'block'), 'b'.repeat(512));
		execFileSync('ln', ['-s', '/etc/passwd', join(root, 'link')]);
		execFileSync('mkfifo', [join(root, 'pipe')]);
		const expected = {
			a: null,
			[`a/${'l'.repeat(120)}`]: null,
			[`a/${'l'.repeat(120)}/deep`]: 'deep',
			block: 'b'.repeat(512),
			empty: '',
		};
		for (const format of ['gnu', 'oldgnu', 'pax'])
			for (const size of [1, 511, 512, 513, 100_000])
				assert.deepEqual(read(tar('-c', `--format=${format}`, '--sort=name', '-C', root, '.'), {size}), expected);
	});

	const hostile = (title: string, transform: string, message: RegExp) =>
		test(`with ${title} is refused`, () => {
			writeFileSync(join(held.directory, 'x'), 'x');
			assert.throws(() => read(tar('-c', '-P', '--transform', transform, 'x')), {code: 'runner_internal_error', message});
		});
	hostile('a path upwards', 's,^x,../x,', /leads elsewhere/);
	hostile('a path upwards in its middle', 's,^x,a/../../x,', /leads elsewhere/);
	hostile('an absolute path', 's,^x,/etc/x,', /leads elsewhere/);
	hostile('a long path upwards', `s,^x,${'a/'.repeat(20)}${'../../'.repeat(40)}x,`, /leads elsewhere/);

	test('that is cut, changed, or too much is refused', () => {
		writeFileSync(join(held.directory, 'x'), 'x'.repeat(2_000));
		const archive = tar('-c', 'x');
		assert.throws(() => read(archive.subarray(0, 1_500)), {
			code: 'runner_internal_error',
			message: 'the archive of /out is cut short',
		});
		const changed = Buffer.from(archive);
		changed.write('y', 0);
		assert.throws(() => read(changed), {message: 'the archive of /out has a wrong checksum'});
		assert.throws(() => read(archive, {bytes: 1_999}), {
			code: 'runner_resource_exceeded',
			details: {limit: 'fileBytes', value: 1_999},
		});
		assert.throws(() => read(archive, {entries: 0}), {code: 'runner_resource_exceeded', details: {limit: 'files', value: 0}});
	});

	test('of noise ends in an error that has a name, and never in a path that leads out', () => {
		writeFileSync(join(held.directory, 'x'), 'x');
		const valid = tar('-c', 'x');
		const damage = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), {maxLength: 8});
		fc.assert(
			fc.property(
				fc.oneof(
					fc.uint8Array({maxLength: 2_000}).map((bytes) => Buffer.from(bytes)),
					damage.map((changes) => {
						const copy = Buffer.from(valid);
						for (const [at, byte] of changes) copy[at] = byte;
						return copy;
					}),
				),
				(archive) => {
					try {
						for (const path of Object.keys(read(archive))) assert.ok(!path.startsWith('/') && !path.split('/').includes('..'));
					} catch (error) {
						assert.match((error as {code?: string}).code ?? String(error), /^runner_(internal_error|resource_exceeded)$/);
					}
				},
			),
			{numRuns: 500},
		);
	});
});

describe('a cluster', () => {
	const kubeconfig = (user: object, cluster: object = {server: 'https://example.test:6443/base/'}) => {
		const path = join(held.directory, 'kubeconfig');
		const context = {cluster: 'c', user: 'u', namespace: 'n'};
		writeFileSync(
			path,
			JSON.stringify({
				'current-context': 'x',
				contexts: [{name: 'x', context}],
				clusters: [{name: 'c', cluster}],
				users: [{name: 'u', user}],
			}),
		);
		return path;
	};

	test('is found in a kubeconfig, with the files that it names beside it', async () => {
		writeFileSync(join(held.directory, 'token'), 'from a file\n');
		const found = await findCluster({
			kubeconfig: kubeconfig({tokenFile: 'token', 'client-certificate-data': btoa('cert'), 'client-key-data': btoa('key')}),
		});
		assert.deepEqual([found.server.href, found.namespace, found.verify], ['https://example.test:6443/base/', 'n', true]);
		assert.deepEqual(await found.credentials(), {token: 'from a file', cert: 'cert', key: 'key'});
		writeFileSync(join(held.directory, 'token'), 'a newer one\n');
		assert.equal((await found.credentials()).token, 'a newer one');
	});

	test('is found by a pod through its service account, whose token may change', async () => {
		const serviceAccount = join(held.directory, 'account');
		mkdirSync(serviceAccount);
		for (const [name, text] of Object.entries({token: 'one', 'ca.crt': 'ca', namespace: 'mine'}))
			writeFileSync(join(serviceAccount, name), text);
		const found = await findCluster({serviceAccount});
		assert.deepEqual([found.server.href, found.ca, found.namespace], ['https://kubernetes.default.svc/', 'ca', 'mine']);
		writeFileSync(join(serviceAccount, 'token'), 'two');
		assert.deepEqual(await found.credentials(), {token: 'two'});
	});

	test('asks a credential plugin once, until its answer ends', async () => {
		const plugin = (expirationTimestamp: string) => ({
			exec: {
				apiVersion: 'client.authentication.k8s.io/v1',
				command: 'sh',
				args: [
					'-c',
					`echo x >> asked; printf '{"status": {"token": "%s", "expirationTimestamp": "${expirationTimestamp}"}}' "$GREETING"`,
				],
				env: [{name: 'GREETING', value: 'hello'}],
			},
		});
		const asked = () => readFileSync(join(held.directory, 'asked'), 'utf8').length / 2;
		const lasting = await findCluster({kubeconfig: kubeconfig(plugin('2999-01-01T00:00:00Z'))});
		assert.deepEqual(await lasting.credentials(), {token: 'hello'});
		await lasting.credentials();
		assert.equal(asked(), 1);
		const ending = await findCluster({kubeconfig: kubeconfig(plugin('2001-01-01T00:00:00Z'))});
		await ending.credentials();
		await ending.credentials();
		assert.equal(asked(), 3);
	});

	for (const [title, make, message] of [
		[
			'that nobody describes',
			() => ({kubeconfig: '/nonexistent'}),
			/^there is no cluster: \/nonexistent cannot be read and this is not a pod$/,
		],
		['in a context that is not there', () => ({kubeconfig: kubeconfig({}), context: 'y'}), /has no context `y`; it has x$/],
		['in a file of another kind', () => ({kubeconfig: kubeconfig({}, {})}), /is not a kubeconfig: /],
	] as const)
		test(`${title} is unavailable`, () => assert.rejects(findCluster(make()), {code: 'sandbox_unavailable', message}));

	test('with a plugin that fails says what it said', async () => {
		const found = await findCluster({
			kubeconfig: kubeconfig({exec: {apiVersion: 'v1', command: 'sh', args: ['-c', 'echo log in first >&2; exit 1']}}),
		});
		await assert.rejects(found.credentials(), {
			code: 'sandbox_unavailable',
			message: 'the credential plugin sh failed: log in first',
		});
	});
});

describe('the manifests', () => {
	const manifest = (name: string) => readFileSync(join(import.meta.dirname, '../../../charts/writ-runners', name), 'utf8');

	test('grant what the server asks for, and nothing else', () => {
		const [, role] = parseAllDocuments(manifest('rbac.yaml')).map((each) => each.toJS());
		const pairs = (rules: readonly {groups: readonly string[]; resources: readonly string[]; verbs: readonly string[]}[]) =>
			rules
				.flatMap(({groups, resources, verbs}) =>
					groups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`))),
				)
				.toSorted();
		assert.deepEqual(
			pairs(
				role.rules.map(({apiGroups, ...rest}: {apiGroups: string[]; resources: string[]; verbs: string[]}) => ({
					groups: apiGroups,
					...rest,
				})),
			),
			pairs(RIGHTS.map(({group, resource, verbs}) => ({groups: [group], resources: [resource], verbs}))),
		);
	});

	test('deny the network to what the server starts', () => {
		const {podSelector, policyTypes, ingress, egress} = parse(manifest('networkpolicy.yaml')).spec;
		assert.deepEqual(
			{matchLabels: podSelector.matchLabels, policyTypes, ingress, egress},
			{matchLabels: LABELS, policyTypes: DENY_ALL.spec.policyTypes, ingress: [], egress: []},
		);
	});
});

test('a server that has no cluster never loads what streams need', async () => {
	const code =
		"await import('./src/sandbox/kubernetes/kubernetes.ts'); const {createRequire} = await import('node:module'); const loaded = Object.keys(createRequire(import.meta.url).cache); console.log(loaded.some((name) => name.includes('/ws/')))";
	const {promise, resolve, reject} = Promise.withResolvers<string>();
	execFile(
		process.execPath,
		['--input-type=module-typescript', '-e', code],
		{cwd: join(import.meta.dirname, '../../..')},
		(error, stdout) => (error ? reject(error) : resolve(stdout.trim())),
	);
	assert.equal(await promise, 'false');
});
