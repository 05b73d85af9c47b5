/** The docker provider against an engine that does what no engine should. */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import {withDemands} from '../choose.ts';
import {type ContainerDouble, createEngineDouble, type EngineDouble, packed} from '../doubles/docker-engine.ts';
import {limits, permit, python, spec} from '../fixtures/attack.ts';
import {encodeFrame} from '../frames.ts';
import type {SandboxProvider} from '../sandbox.ts';
import {createDockerProvider, type DockerProviderOptions} from './docker.ts';

const signal = new AbortController().signal;
const DONE = {type: 'done', totalRows: null, truncated: null, nonFinite: 0};
/** What the product promises of an engine that does not answer. */
const GIVEN_UP_MS = 5_000;

const ready = (container: ContainerDouble) => container.send(1, encodeFrame({type: 'ready'}));

/** A runner that is ready, and answers what it is asked. */
function wellBehaved(container: ContainerDouble): void {
	ready(container);
	container.connection.once('data', () => {
		container.send(2, 'printed');
		container.send(1, encodeFrame(DONE));
	});
}

type Doubled = {readonly engine: EngineDouble; readonly provider: SandboxProvider};

async function use(
	options: Parameters<typeof createEngineDouble>[0],
	act: (doubled: Doubled) => Promise<void>,
	overrides: Partial<DockerProviderOptions> = {},
): Promise<void> {
	const engine = await createEngineDouble(options);
	const provider = createDockerProvider({root: '/', host: engine.host, image: 'runners', runtime: 'auto', ...overrides});
	try {
		await act({engine, provider});
	} finally {
		await provider.close().catch(() => {});
		await engine.close();
	}
}

const open = (provider: SandboxProvider) => provider.open(spec(), {warm: false, signal});

test('a run over a good engine is answered, and its container removed', () =>
	use({behave: wellBehaved}, async ({engine, provider}) => {
		const sandbox = await open(provider);
		const {frames} = await sandbox.run(permit(), python('x'), signal);
		await sandbox.ended;
		assert.deepEqual(frames, [{...DONE, stderr: 'printed'}]);
		assert.equal(engine.containers.size, 0);
	}));

test('a container is made with everything that holds it', async () => {
	const bodies: ContainerDouble['body'][] = [];
	const behave = (container: ContainerDouble) => {
		bodies.push(container.body);
		ready(container);
	};
	await use({behave}, async ({provider}) => void (await open(provider)));
	const [body] = bodies;
	assert.ok(body);
	const {SecurityOpt, Tmpfs, MaskedPaths, Ulimits, ...rest} = body.HostConfig;
	assert.deepEqual(rest, {
		...{Runtime: 'runc', NetworkMode: 'none', IpcMode: 'none', CgroupnsMode: 'private', Init: false, Privileged: false},
		...{ReadonlyRootfs: true, CapDrop: ['ALL'], LogConfig: {Type: 'none', Config: {}}, RestartPolicy: {Name: 'no'}},
		...{Mounts: [], Memory: limits.memoryBytes + limits.scratchBytes, MemorySwap: limits.memoryBytes + limits.scratchBytes},
		...{OomScoreAdj: 1000, NanoCpus: 1e9, CpuShares: 64, PidsLimit: limits.processes, ReadonlyPaths: []},
	});
	const [privileges, filter = ''] = SecurityOpt as string[];
	assert.deepEqual([privileges, filter.slice(0, 8)], ['no-new-privileges', 'seccomp=']);
	assert.deepEqual(Tmpfs, {
		'/tmp': `rw,noexec,nosuid,nodev,size=${limits.scratchBytes},nr_inodes=2048,mode=0700,uid=65534,gid=65534`,
	});
	assert.deepEqual(Object.fromEntries((Ulimits as {Name: string; Hard: number}[]).map(({Name, Hard}) => [Name, Hard])), {
		...{nofile: limits.openFiles, fsize: limits.scratchBytes, core: 0, memlock: 65_536, msgqueue: 0, sigpending: 256},
	});
	assert.deepEqual(
		['/sys', '/proc/kcore', '/proc/sys'].filter((path) => !(MaskedPaths as string[]).includes(path)),
		[],
	);
	assert.deepEqual(
		[body.User, body.Hostname, body.NetworkDisabled, (body.Env as string[]).map((line) => line.split('=')[0]).toSorted()],
		[
			'65534:65534',
			'sandbox',
			true,
			['HOME', 'LANG', 'MPLBACKEND', 'NODE_COMPILE_CACHE', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'PATH', 'TMPDIR', 'TZ'],
		],
	);
});

describe('an engine that lost gVisor while it was away', () => {
	const gone = {Runtimes: {runc: {path: 'runc'}}};
	const info = {Runtimes: {...gone.Runtimes, runsc: {path: 'runsc', runtimeArgs: ['--oci-seccomp']}}};
	const demanding = spec({level: 'kernel-isolated'});

	test('gives no sandbox to a run that was promised one of it, and one to a run that was not', () =>
		use({info, behave: wellBehaved}, async ({engine, provider}) => {
			const checked = withDemands(provider, 'none');
			const promised = await checked.open(demanding, {warm: false, signal});
			assert.deepEqual([await checked.level(), promised.level], ['kernel-isolated', 'kernel-isolated']);
			await engine.crash();
			await assert.rejects(open(provider), {code: 'sandbox_unavailable'}); // the run of somebody else
			engine.inform(gone);
			await engine.listen();
			assert.equal(await checked.level(), 'kernel-isolated'); // as it was known
			await assert.rejects(checked.open(demanding, {warm: false, signal}), {
				code: 'policy_denied',
				message: 'this run must be kernel-isolated; the docker sandbox here is kernel-shared',
			});
			assert.equal(engine.containers.size, 0);
			assert.equal(await checked.level(), 'kernel-shared');
			assert.equal((await open(checked)).level, 'kernel-shared');
		}));

	test('is asked anew once a run could not start', () =>
		use({info, behave: wellBehaved}, async ({engine, provider}) => {
			const checked = withDemands(provider, 'none');
			assert.equal(await checked.level(), 'kernel-isolated');
			await engine.crash();
			await assert.rejects(open(checked), {code: 'sandbox_unavailable'});
			assert.equal(await checked.level(), 'none');
			engine.inform(gone);
			await engine.listen();
			assert.equal(await checked.level(), 'kernel-shared');
		}));
});

describe('an engine that fails', () => {
	test('by accepting and never answering is unavailable within seconds, and is used again when it answers', () =>
		use({behave: wellBehaved}, async ({engine, provider}) => {
			let hangs = true;
			engine.answer('GET /_ping', (_, response) => void (hangs || response.end('OK')));
			const started = performance.now();
			await assert.rejects(open(provider), {code: 'sandbox_unavailable', message: /did not answer `GET \/_ping` within 3000 ms/});
			assert.ok(performance.now() - started < GIVEN_UP_MS);
			hangs = false;
			await open(provider);
		}));

	test('by hanging in the middle of a run ends the run at its time limit, and holds nobody for long after', () =>
		use({behave: ready}, async ({engine, provider}) => {
			const sandbox = await provider.open(spec({limits: {wallMs: 100}}), {warm: false, signal});
			engine.answer('POST /containers', () => {});
			engine.answer('DELETE /containers', (_, response) => response.writeHead(500).end('{"message":"no"}'));
			await assert.rejects(sandbox.run(permit(), python('x'), signal), {code: 'runner_timeout'});
			const started = performance.now();
			await assert.rejects(sandbox.ended, {code: 'sandbox_unavailable'});
			assert.ok(performance.now() - started < 2 * GIVEN_UP_MS);
		}));

	for (const step of ['GET /info', 'GET /images', 'POST /containers/create', 'GET /containers/json'])
		test(`at \`${step}\` with a status of 500 is unavailable`, () =>
			use({behave: wellBehaved}, async ({engine, provider}) => {
				engine.answer(step, (_, response) => response.writeHead(500).end('{"message":"no space left on device"}'));
				await assert.rejects(open(provider), {
					code: 'sandbox_unavailable',
					hint: 'free some disk space, for instance with `docker system prune`',
				});
				assert.equal(engine.containers.size, 0);
			}));

	test('while a run is active ends the run, and serves the next when it is back', () =>
		use({behave: (container) => (container.body.Labels ? ready(container) : undefined)}, async ({engine, provider}) => {
			const sandbox = await open(provider);
			const running = assert.rejects(sandbox.run(permit(), python('x'), signal), {code: 'sandbox_unavailable'});
			await engine.crash();
			await running;
			await assert.rejects(sandbox.ended, {code: 'sandbox_unavailable'});
			await assert.rejects(open(provider), {code: 'sandbox_unavailable', message: 'the container engine: it is not running'});
			await engine.listen();
			await open(provider);
		}));

	for (const [title, behave] of Object.entries({
		'the connection is cut while it is attached': (container: ContainerDouble) => {
			ready(container);
			container.connection.once('data', () => container.connection.end(packed(1, encodeFrame(DONE)).subarray(0, 20)));
		},
		'what comes is no stream of a container': (container: ContainerDouble) => {
			ready(container);
			container.connection.once('data', () => container.connection.write(Buffer.from('HTTP/1.1 500 oops')));
		},
	}))
		test(`is told from a runner that fails: ${title}`, () =>
			use({behave}, async ({engine, provider}) => {
				const sandbox = await open(provider);
				await assert.rejects(sandbox.run(permit(), python('x'), signal), {code: 'sandbox_unavailable'});
				await sandbox.ended;
				assert.equal(engine.containers.size, 0);
			}));

	test('to attach leaves no container', () =>
		use({behave: (container) => container.connection.destroy()}, async ({engine, provider}) => {
			await assert.rejects(open(provider), {code: 'sandbox_unavailable'});
			assert.equal(engine.containers.size, 0);
		}));
});

describe('a runner in a container', () => {
	for (const [title, behave, error] of [
		['that ends before it is ready', ({exit}: ContainerDouble) => exit(1), {code: 'sandbox_unavailable'}],
		['that cannot be found', ({exit}: ContainerDouble) => exit(127), {code: 'sandbox_unavailable'}],
	] as const)
		test(`${title} is an error, and leaves nothing`, () =>
			use({behave}, async ({engine, provider}) => {
				await assert.rejects(open(provider), error);
				assert.equal(engine.containers.size, 0);
			}));

	test('that answers with more than it may is stopped', () =>
		use(
			{
				behave(container) {
					ready(container);
					const flood = () => void container.connection.write(Buffer.alloc(2 ** 20), (error) => error || flood());
					container.connection.once('data', () => {
						container.connection.write(Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]));
						container.connection.write(Buffer.from([0x7f, 0xff, 0xff, 0xff]));
						flood();
					});
				},
			},
			async ({engine, provider}) => {
				const sandbox = await open(provider);
				await assert.rejects(sandbox.run(permit(), python('x'), signal), {code: 'runner_resource_exceeded'});
				await sandbox.ended;
				assert.equal(engine.containers.size, 0);
			},
		));
});

describe('the runtime', () => {
	const gvisor = {Runtimes: {runc: {path: 'runc'}, runsc: {path: '/opt/runsc', runtimeArgs: ['--oci-seccomp']}}};
	for (const [title, info, runtime, expected] of [
		['is gVisor where the engine has it', gvisor, 'auto', ['kernel-isolated', 'runsc', true]],
		['is runc where it has not', {}, 'auto', ['kernel-shared', 'runc', true]],
		['is runc when that is asked for', gvisor, 'runc', ['kernel-shared', 'runc', true]],
		['is gVisor by any name', {Runtimes: {strong: {path: '/usr/bin/runsc'}}}, 'auto', ['kernel-isolated', 'strong', false]],
		['is never runc when gVisor is asked for', {}, 'runsc', 'the container engine: it has no runtime `runsc`'],
		[
			'is never gVisor when runc is asked for',
			{Runtimes: {runsc: {}}},
			'runc',
			'the container engine: it has no runtime but gVisor',
		],
	] as const)
		test(title, () =>
			use(
				{info},
				async ({provider}) => {
					const {level, versions, seccomp, availability} = await provider.facts();
					const found = availability.kind === 'available' ? [level, versions.runtime, seccomp] : availability.reason;
					assert.deepEqual(found, expected);
				},
				{runtime},
			),
		);
});

describe('its facts', () => {
	const weaknesses = async (info: Record<string, unknown>, version?: string) => {
		const found: {weaknesses: readonly string[]} = {weaknesses: []};
		await use({info}, async ({engine, provider}) => {
			const components = {Components: [{Name: 'runc', Version: version}]};
			if (version) engine.answer('GET /version', (_, response) => response.end(JSON.stringify(components)));
			found.weaknesses = (await provider.facts()).weaknesses;
		});
		return found.weaknesses;
	};
	const usual = [
		'the engine runs as root: whoever may use its socket is root on this machine',
		'code inside can read the mount table, which names directories of this machine',
	];

	test('say what holds less than it could', async () => {
		const poor = {MemoryLimit: false, PidsLimit: false, Driver: 'vfs', SecurityOptions: ['name=rootless']};
		assert.deepEqual(await weaknesses({}), usual);
		assert.deepEqual(await weaknesses(poor), [
			'the engine cannot enforce memoryBytes here',
			'the engine cannot enforce processes here',
			'the storage driver vfs copies the whole image for each sandbox: starts are slow',
			'the engine cannot filter system calls here',
			usual[1],
		]);
	});

	for (const [version, isOld] of Object.entries({
		...{
			'1.1.5+ds1': true,
			'1.1.12': true,
			'1.2.7': true,
			'1.2.8': false,
			'1.3.2': true,
			'1.3.3': false,
			'1.4.0': false,
			'2.0.0': false,
		},
	}))
		test(`say of runc ${version} ${isOld ? 'which flaws it may have' : 'nothing'}`, async () => {
			const said = (await weaknesses({}, version)).filter((each) => each.startsWith(`runc ${version} `));
			assert.equal(said.length, isOld ? 1 : 0);
		});
});
