import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {after, afterEach, before, beforeEach, describe, test} from 'node:test';
import {setTimeout as delay} from 'node:timers/promises';
import {whyNoNode} from '../doubles/cluster-kubelet.ts';
import {createTestCluster, DENY_ALL, type TestCluster} from '../doubles/test-cluster.ts';
import {attack, MIB, permit, python, said, spec} from '../fixtures/attack.ts';
import {testProvider} from '../fixtures/conformance.ts';
import type {SandboxProvider} from '../sandbox.ts';

const skip = whyNoNode();
const signal = new AbortController().signal;
const cold = {warm: false, signal};

/** Polls until `holds`; a cluster does things when it likes. */
async function until(holds: () => boolean): Promise<void> {
	const limit = Date.now() + 10_000;
	while (!holds()) {
		assert.ok(Date.now() < limit, 'it did not come to that');
		await delay(5);
	}
}

// The pods of the double are local processes, so attacks on its isolation would prove nothing: only what the provider itself holds is
// tested here. No cluster has been driven yet.
describe('the kubernetes provider, on a double of the API', {skip}, () => {
	const held: {cluster?: TestCluster} = {};
	before(async () => {
		held.cluster = await createTestCluster();
	});
	after(() => held.cluster?.close());
	testProvider(() => held.cluster!.provider(), {isDouble: true});
});

describe('a cluster', {skip}, () => {
	const held = {} as {cluster: TestCluster; provider: SandboxProvider};
	const others: SandboxProvider[] = [];
	const other = (...options: Parameters<TestCluster['provider']>) => {
		const provider = held.cluster.provider(...options);
		others.push(provider);
		return provider;
	};
	beforeEach(async () => {
		held.cluster = await createTestCluster();
		held.provider = held.cluster.provider();
	});
	afterEach(async () => {
		await Promise.allSettled([held.provider, ...others.splice(0)].map((provider) => provider.close()));
		await held.cluster.close();
	});
	const only = (resource: string) => {
		const [found, ...others] = held.cluster.store.list(resource);
		assert.ok(found && others.length === 0, `${others.length + 1} ${resource}`);
		return found;
	};
	const isEmpty = () => ['jobs', 'pods'].every((resource) => held.cluster.store.list(resource).length === 0);

	describe('is asked for', () => {
		test('one Job per run, which may do next to nothing and ends by itself', async () => {
			const {cluster, provider} = held;
			await said(
				provider,
				'answer(1)',
				spec({limits: {wallMs: 10_000, memoryBytes: 128 * MIB, scratchBytes: 8 * MIB, cpus: 1.5}}),
			);
			const [, job] = cluster.created;
			assert.match(job?.metadata.name ?? '', /^writ-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
			const [lease] = cluster.created;
			const labels = {
				'app.kubernetes.io/name': 'writ-runner',
				'app.kubernetes.io/managed-by': 'writ',
				'app.kubernetes.io/instance': lease?.metadata.name,
			};
			assert.deepEqual(job?.metadata.labels, labels);
			assert.equal(job?.metadata.ownerReferences?.length, 1);
			const {template, ...rest} = job?.spec ?? {};
			assert.deepEqual(rest, {
				backoffLimit: 0,
				completions: 1,
				parallelism: 1,
				activeDeadlineSeconds: 190,
				ttlSecondsAfterFinished: 300,
			});
			const {containers, volumes, ...pod} = template.spec;
			assert.deepEqual(pod, {
				restartPolicy: 'Never',
				activeDeadlineSeconds: 130,
				terminationGracePeriodSeconds: 1,
				automountServiceAccountToken: false,
				enableServiceLinks: false,
				hostname: 'sandbox',
				hostNetwork: false,
				hostPID: false,
				hostIPC: false,
				shareProcessNamespace: false,
				dnsPolicy: 'None',
				dnsConfig: {
					nameservers: ['127.0.0.1'],
					options: [
						{name: 'timeout', value: '1'},
						{name: 'attempts', value: '1'},
					],
				},
				securityContext: {runAsNonRoot: true, runAsUser: 65_534, runAsGroup: 65_534, seccompProfile: {type: 'RuntimeDefault'}},
			});
			const [{command, resources, securityContext, ...runner}] = containers;
			const quantities = {cpu: '1500m', memory: String(136 * MIB), 'ephemeral-storage': String(8 * MIB + 64 * MIB)};
			assert.deepEqual(resources, {requests: quantities, limits: quantities});
			assert.deepEqual(securityContext, {
				allowPrivilegeEscalation: false,
				privileged: false,
				readOnlyRootFilesystem: true,
				capabilities: {drop: ['ALL']},
			});
			assert.deepEqual(runner, {
				name: 'runner',
				image: 'registry.example/writ-runner:test',
				imagePullPolicy: 'IfNotPresent',
				stdin: true,
				stdinOnce: true,
				tty: false,
				workingDir: '/tmp',
				volumeMounts: [{name: 'scratch', mountPath: '/tmp'}],
			});
			assert.deepEqual(volumes, [{name: 'scratch', emptyDir: {medium: 'Memory', sizeLimit: String(8 * MIB)}}]);
			assert.deepEqual(command.slice(-5), ['/usr/bin/python3', '-I', '-S', '-B', '/runtime/probe.py']);
		});

		test('nothing that holds the payload', async () => {
			await said(held.provider, 'answer("needle-in-the-payload")');
			assert.equal(JSON.stringify(held.cluster.created).includes('needle-in-the-payload'), false);
		});

		test('a RuntimeClass, and the level that it is said to have', async () => {
			const provider = other({runtime: {className: 'gvisor', level: 'kernel-isolated'}});
			const {isolation} = await attack(provider, 'answer(1)');
			assert.equal(isolation.level, 'kernel-isolated');
			assert.equal(held.cluster.created.at(-1)?.spec.template.spec.runtimeClassName, 'gvisor');
		});
	});

	describe('gives a run', () => {
		test('its files, each as it was, and nothing of the cluster in its environment', async () => {
			const {cluster, provider} = held;
			const data = join(cluster.directory, 'data');
			mkdirSync(join(data, 'deep'.repeat(20), 'deeper'.repeat(10)), {recursive: true});
			const big = Buffer.alloc(3 * MIB, 'x');
			writeFileSync(join(data, 'big.parquet'), big);
			writeFileSync(join(data, 'empty'), '');
			writeFileSync(join(data, 'deep'.repeat(20), 'deeper'.repeat(10), 'ä'.repeat(60)), 'small');
			writeFileSync(join(cluster.directory, 'plain.csv'), 'a,b\n');
			const code = `import hashlib
files = sorted(os.path.join(d, f) for d, _, fs in os.walk("/data") for f in fs)
answer([[f, hashlib.sha256(open(f, "rb").read()).hexdigest()] for f in files] + [attempt(lambda: open("/data/x", "w")), open("/in/renamed.csv").read(), sorted(os.environ)])`;
			const of = spec({
				mounts: [
					{source: data, target: '/data'},
					{source: join(cluster.directory, 'plain.csv'), target: '/in/renamed.csv'},
				],
			});
			const sha = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex');
			assert.deepEqual(await said(provider, code, of), [
				['/data/big.parquet', sha(big)],
				[`/data/${'deep'.repeat(20)}/${'deeper'.repeat(10)}/${'ä'.repeat(60)}`, sha('small')],
				['/data/empty', sha('')],
				'OSError 30',
				'a,b\n',
				['HOME', 'LANG', 'PATH', 'TMPDIR', 'TZ'],
			]);
		});

		test('files of a claim where it has them, without sending any', async () => {
			const {cluster} = held;
			const root = join(cluster.directory, 'datasets');
			mkdirSync(join(root, 'sales'), {recursive: true});
			writeFileSync(join(root, 'sales/a.csv'), 'from the claim');
			const provider = other({datasets: {claim: 'datasets', root}});
			assert.equal(
				await said(
					provider,
					'answer(open("/data/a.csv").read())',
					spec({mounts: [{source: join(root, 'sales'), target: '/data'}]}),
				),
				'from the claim',
			);
			const {containers} = cluster.created.at(-1)!.spec.template.spec;
			assert.deepEqual(
				containers.map((each: {name: string}) => each.name),
				['runner'],
			);
			assert.deepEqual(containers[0].volumeMounts.at(-1), {
				name: 'datasets',
				mountPath: '/data',
				readOnly: true,
				subPath: 'sales',
			});
		});

		test('no file that is a link', async () => {
			const data = join(held.cluster.directory, 'data');
			mkdirSync(data);
			symlinkSync('/etc/passwd', join(data, 'a.csv'));
			await assert.rejects(said(held.provider, 'answer(1)', spec({mounts: [{source: data, target: '/data'}]})), {
				code: 'sandbox_unavailable',
				message: `${join(data, 'a.csv')} cannot be sent to a pod: it is neither a file nor a directory`,
			});
			assert.ok(isEmpty());
		});

		test('no more room for what it leaves than its limit', async () => {
			const output = join(held.cluster.directory, 'out');
			mkdirSync(output);
			const code = 'for i in range(3): open(f"/out/{i}", "wb").write(bytes(1 << 19))\nanswer(1)';
			await assert.rejects(said(held.provider, code, {...spec({limits: {fileBytes: MIB}}), output}), {
				code: 'runner_resource_exceeded',
				details: {limit: 'fileBytes', value: MIB},
			});
		});

		test('a conversation with older API servers, which cannot close one stream', async () => {
			held.cluster.faults.protocols = ['v4.channel.k8s.io'];
			const data = join(held.cluster.directory, 'data');
			mkdirSync(data);
			writeFileSync(join(data, 'a.csv'), 'a');
			assert.equal(
				await said(held.provider, 'answer(open("/data/a.csv").read())', spec({mounts: [{source: data, target: '/data'}]})),
				'a',
			);
		});

		test('no network unless somebody denies it all', async () => {
			const {cluster, provider} = held;
			const closed = 'run `kubectl apply -f charts/writ-runners/networkpolicy.yaml` in the namespace of the runner pods';
			cluster.store.create('networkpolicies', cluster.namespace, {
				metadata: {name: 'leak'},
				spec: {podSelector: {matchLabels: {'app.kubernetes.io/name': 'writ-runner'}}, policyTypes: ['Egress'], egress: [{}]},
			} as never);
			await assert.rejects(said(provider, 'answer(1)'), {
				message: 'runner pods would have a network: the NetworkPolicy leak allows egress of runner pods',
				hint: closed,
			});
			for (const {metadata} of cluster.store.list('networkpolicies')) cluster.store.remove('networkpolicies', metadata.name);
			assert.deepEqual((await provider.facts()).availability, {
				kind: 'unavailable',
				reason:
					'runner pods would have a network: no NetworkPolicy denies ingress of runner pods; no NetworkPolicy denies egress of runner pods',
				hint: closed,
			});
			cluster.store.create('networkpolicies', cluster.namespace, DENY_ALL);
			assert.equal(await said(provider, 'answer(1)'), 1);
		});
	});

	describe('that cannot start a pod says why:', () => {
		const refuses = (expected: object, options = {}) =>
			assert.rejects(said(other({startLimitMs: 500, ...options}), 'answer(1)'), {code: 'sandbox_unavailable', ...expected});

		test('an image that cannot be pulled', () =>
			refuses(
				{
					message: 'container runner cannot start: ImagePullBackOff: Back-off pulling image "missing"',
					details: {reason: 'ImagePullBackOff'},
				},
				{image: 'missing'},
			));

		test('an image that may not be pulled', () =>
			refuses(
				{hint: 'the image is not on the node and K8S_IMAGE_PULL_POLICY is Never: load it there, or allow pulling'},
				{image: 'missing', pullPolicy: 'Never'},
			));

		test('no node with room', () => {
			held.cluster.faults.unschedulable = '0/3 nodes are available: 3 Insufficient memory.';
			return refuses({
				message: 'the pod did not start within 500 ms: Unschedulable: 0/3 nodes are available: 3 Insufficient memory.',
				details: {reason: 'Unschedulable'},
			});
		});

		test('a pod that was never made', () =>
			refuses(
				{message: 'the pod did not start within 500 ms: NoPod', details: {reason: 'NoPod'}},
				{runtime: {className: 'absent', level: 'vm-isolated'}},
			));

		test('a program that ends at once, with what it said', () =>
			refuses(
				{message: "a sandbox could not be started: env: '/nonexistent': No such file or directory"},
				{program: () => ({command: ['/nonexistent'], environment: {}})},
			));

		test('a right that is missing, by verb and resource', async () => {
			for (const right of ['create jobs', 'list pods', 'watch pods', 'get pods/attach', 'create pods/attach']) {
				const [verb, resource] = right.split(' ');
				held.cluster.faults.forbidden = [right];
				await refuses({
					details: {status: 403, reason: 'Forbidden', verb, resource},
					hint: `grant \`${verb}\` on \`${resource}\`: \`kubectl apply -f charts/writ-runners/rbac.yaml\``,
				});
			}
			held.cluster.faults.forbidden = ['create jobs', 'get pods/exec'];
			const {availability} = await held.provider.facts();
			assert.ok(availability.kind === 'unavailable');
			assert.equal(availability.reason, 'in namespace runners we may not: create jobs, get pods/exec');
		});

		test('credentials that are not accepted', () => {
			const kubeconfig = join(held.cluster.directory, 'other');
			writeFileSync(kubeconfig, held.cluster.kubeconfig().replace(held.cluster.token, 'another'));
			return refuses({details: {status: 401, reason: 'Unauthorized'}}, {cluster: {kubeconfig}});
		});

		test('an API server that is not who the kubeconfig says', () => {
			const kubeconfig = join(held.cluster.directory, 'other');
			writeFileSync(
				kubeconfig,
				held.cluster.kubeconfig().replace(/"certificate-authority-data":"[^"]*"/, '"insecure-skip-tls-verify":false'),
			);
			return refuses({message: /self-signed certificate/, details: {status: 0}}, {cluster: {kubeconfig}});
		});
	});

	describe('that fails during a run says how:', () => {
		/** A run that is under way, and its pod. */
		const running = async (code = 'time.sleep(60)') => {
			const sandbox = await held.provider.open(spec(), cold);
			const result = sandbox.run(permit(), python(`print("under way", flush=True)\n${code}`), signal);
			result.catch(() => {});
			const pod = only('pods');
			await until(() => held.cluster.controllers.log(pod, 'runner').includes('under way'));
			return {result, sandbox, pod};
		};

		test('out of memory', async () => {
			const {result, pod} = await running();
			held.cluster.controllers.killForMemory(pod, 'runner');
			await assert.rejects(result, {code: 'runner_resource_exceeded', details: {limit: 'memoryBytes', value: 128 * MIB}});
		});

		test('evicted for its storage', async () => {
			const {result, pod} = await running();
			held.cluster.controllers.fail(pod, 'Evicted', 'Usage of EmptyDir volume "scratch" exceeds the limit "8Mi".');
			await assert.rejects(result, {code: 'runner_resource_exceeded', details: {limit: 'scratchBytes', value: 8 * MIB}});
		});

		test('evicted for its node', async () => {
			const {result, pod} = await running();
			held.cluster.controllers.fail(pod, 'Evicted', 'The node was low on resource: memory.');
			await assert.rejects(result, {code: 'runner_internal_error', details: {reason: 'Evicted'}});
		});

		test('past its deadline', async () => {
			const {result, pod} = await running();
			held.cluster.controllers.fail(pod, 'DeadlineExceeded', 'Pod was active on the node longer than the specified deadline');
			await assert.rejects(result, {code: 'runner_timeout', details: {limit: 'wallMs', value: 10_000}});
		});

		test('deleted by somebody', async () => {
			const {result, pod} = await running();
			held.cluster.controllers.remove('pods', pod);
			await assert.rejects(result, {code: 'runner_internal_error', message: 'somebody deleted the pod while it was in use'});
		});

		test('an exit of its own', async () => {
			const {result} = await running('os._exit(7)');
			await assert.rejects(result, {code: 'runner_internal_error', details: {exitCode: 7, signal: null, stderr: 'under way\n'}});
		});

		test('a connection that was cut', async () => {
			const {result, sandbox} = await running();
			held.cluster.cut();
			// `stdinOnce`: the runner's input ends, which it does not see while it sleeps.
			await assert.rejects(result, {code: 'runner_internal_error', message: 'the connection to the pod was lost'});
			await sandbox.dispose();
			assert.ok(isEmpty());
		});
	});

	describe('that is watched', () => {
		test('may cut the watch: it goes on where it was, or from the start when that is too old', async () => {
			const {cluster, provider} = held;
			const listings = () => cluster.requests.filter((each) => each === 'GET /api/v1/namespaces/runners/pods').length;
			const first = await provider.open(spec(), cold);
			await first.dispose();
			const before = listings();
			cluster.cut();
			await until(() => listings() > before); // the watch again, not the list
			assert.equal(await said(provider, 'answer(1)'), 1);
			cluster.store.compact();
			cluster.cut();
			assert.equal(await said(provider, 'answer(2)'), 2);
		});

		test('may restart while a sandbox is opened', async () => {
			const {cluster, provider} = held;
			await said(provider, 'answer(1)');
			await cluster.stop();
			const opening = said(provider, 'answer(2)');
			opening.catch(() => {});
			await cluster.start();
			assert.equal(await opening, 2);
		});

		test('may be away: that is said in words', async () => {
			await said(held.provider, 'answer(1)');
			await held.cluster.stop();
			await assert.rejects(said(held.provider, 'answer(2)'), {
				code: 'sandbox_unavailable',
				details: {status: 0},
				message: /cannot be used: connect ECONNREFUSED/,
			});
			await held.cluster.start();
			assert.equal(await said(held.provider, 'answer(3)'), 3);
		});

		test('may be away when a run ends: its Job goes as soon as the server is back', async () => {
			const {cluster, provider} = held;
			const sandbox = await provider.open(spec(), cold);
			await cluster.stop();
			const disposed = sandbox.dispose();
			disposed.catch(() => {});
			await delay(1_500); // longer than one call tries
			await cluster.start();
			await disposed;
			assert.ok(isEmpty());
		});

		test('may lose its answer to a new Job: the Job is there, and is used', async () => {
			const {cluster, provider} = held;
			const matches = (request: string) => request.startsWith('POST') && request.endsWith('/jobs');
			await said(provider, 'answer(1)');
			cluster.faults.loseAnswer = matches;
			assert.equal(await said(provider, 'answer(2)'), 2);
			assert.equal(cluster.created.filter(({kind}) => kind === 'Job').length, 2);
		});

		test('may hang: nobody waits for longer than a call may take', async () => {
			const provider = other({callLimitMs: 200});
			held.cluster.faults.hang = () => true;
			await assert.rejects(said(provider, 'answer(1)'), {
				code: 'sandbox_unavailable',
				details: {reason: 'Silence'},
				message: /it did not answer within 200 ms$/,
			});
			held.cluster.faults.hang = (request) => request.endsWith('/attach');
			const opening = provider.open(spec(), {warm: false, signal: AbortSignal.timeout(500)});
			await assert.rejects(opening, {code: 'cancelled'});
			assert.ok(isEmpty());
		});

		test('may answer with passing errors', async () => {
			const once = (method: string, status: number, reason: string) =>
				held.cluster.faults.fail.push({matches: (request) => request.startsWith(method), status, reason});
			once('POST', 429, 'TooManyRequests');
			once('POST', 503, 'ServiceUnavailable');
			once('GET', 502, '');
			assert.equal(await said(held.provider, 'answer(1)'), 1);
		});
	});

	describe('is left', () => {
		test('without a Job, a pod or a lease when the provider closes, even while it opens', async () => {
			const {cluster, provider} = held;
			const open = await Promise.all([provider.open(spec(), {warm: true, signal}), provider.open(spec(), cold)]);
			cluster.faults.startDelayMs = 5_000;
			const opening = provider.open(spec(), cold);
			opening.catch(() => {});
			await until(() => cluster.store.list('pods').length === 3);
			await provider.close();
			await Promise.all(open.map((sandbox) => sandbox.ended));
			await assert.rejects(opening, {code: 'cancelled'});
			assert.ok(isEmpty());
			assert.deepEqual(cluster.store.list('leases'), []);
		});

		test('by a server that died: the next one sees that its lease is not renewed, and all of it goes', async () => {
			const {cluster} = held;
			const dead = other({renewMs: 600_000});
			await dead.open(spec(), {warm: true, signal});
			assert.equal(cluster.store.list('pods').length, 1);
			const alive = other({renewMs: 30});
			const kept = await alive.open(spec(), {warm: true, signal});
			await until(() => cluster.store.list('pods').length === 1 && cluster.store.list('leases').length === 1);
			const {frames} = await kept.run(permit(), python('answer("still here")'), signal);
			assert.equal(frames.at(-1)?.type, 'done');
		});

		test('a warm pod only so long', async () => {
			const provider = other({warmLimitMs: 50});
			const sandbox = await provider.open(spec(), {warm: true, signal});
			await sandbox.ended;
			assert.ok(isEmpty());
		});
	});

	test('what a run leaves in /out cannot lead outside of it', async () => {
		const {cluster, provider} = held;
		const output = join(cluster.directory, 'out');
		mkdirSync(output);
		const code =
			'os.makedirs("/out/a/b")\nopen("/out/a/b/c", "w").write("c")\nos.symlink("/etc", "/out/etc")\nos.mkfifo("/out/pipe")\nos.link("/out/a/b/c", "/out/hard")\nanswer(1)';
		await said(provider, code, {...spec(), output});
		const found = readdirSync(output, {recursive: true, encoding: 'utf8'}).toSorted();
		assert.deepEqual(
			found.filter((each) => each !== 'hard'),
			found.includes('a/b/c') ? ['a', 'a/b', 'a/b/c'] : ['a', 'a/b'],
		);
		assert.ok(found.includes('a/b/c') || readFileSync(join(output, 'hard'), 'utf8') === 'c'); // tar keeps one of two names of a file
	});
});
