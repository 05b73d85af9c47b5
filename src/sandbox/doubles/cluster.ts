/**
 * A Kubernetes API server for tests: HTTPS and WebSockets as a real one speaks them, its refusals, and faults on demand. Behind it
 * pods run as local processes (cluster-kubelet.ts), so a conversation with a runner is real. It isolates nothing and is no cluster.
 */
import {execFile} from 'node:child_process';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {createServer} from 'node:https';
import type {AddressInfo, Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Duplex} from 'node:stream';
import {json} from 'node:stream/consumers';
import {promisify} from 'node:util';
import {WebSocketServer} from 'ws';
import {type ClusterFaults, Controllers} from './cluster-controllers.ts';
import {createNode, type NodeOptions} from './cluster-kubelet.ts';
import {type KubernetesObject, Refusal, Store, type WatchEvent} from './cluster-store.ts';
import {serveStreams} from './cluster-streams.ts';
import {validate} from './cluster-validation.ts';

export type ServerFaults = {
	/** rights that the caller lacks, as `verb resource` */
	forbidden: string[];
	/** requests, as `METHOD path`, that are never answered */
	hang: ((request: string) => boolean) | undefined;
	/** requests that are answered with a status of their own, once each */
	fail: {matches: (request: string) => boolean; status: number; reason: string}[];
	/** the next such request is carried out, and its connection cut before the answer */
	loseAnswer: ((request: string) => boolean) | undefined;
	/** subprotocols of streams that it knows */
	protocols: string[];
};

export type Cluster = {
	readonly url: string;
	readonly ca: string;
	readonly token: string;
	readonly namespace: string;
	readonly faults: ServerFaults & ClusterFaults;
	readonly store: Store;
	readonly controllers: Controllers;
	/** requests so far, as `METHOD path` */
	readonly requests: string[];
	/** bodies of the objects that were created */
	readonly created: KubernetesObject[];
	/** Cuts every connection, and every watch with it; `stop` also listens no more until `start`. */
	cut(): void;
	stop(): Promise<void>;
	start(): Promise<void>;
	/** A kubeconfig that leads here. */
	kubeconfig(): string;
	close(): Promise<void>;
};

const NAMESPACE = 'runners';
const TOKEN = 'a-token-of-the-double';
const run = promisify(execFile);

export async function createCluster(options: NodeOptions & {readonly runtimeClasses?: readonly string[]}): Promise<Cluster> {
	const {cert, key} = await certificate();
	const faults: Cluster['faults'] = {
		forbidden: [],
		hang: undefined,
		loseAnswer: undefined,
		fail: [],
		protocols: ['v5.channel.k8s.io', 'v4.channel.k8s.io'],
	};
	const store = new Store();
	const controllers = new Controllers({
		store,
		node: await createNode(options),
		images: options.images,
		runtimeClasses: options.runtimeClasses ?? [],
		faults,
	});
	const at: At = {store, controllers, faults, requests: [], created: []};
	const sockets = new Set<Socket>();
	const server = createServer({cert, key});
	server.on('connection', (socket: Socket) => {
		sockets.add(socket);
		socket.once('close', () => sockets.delete(socket));
		socket.on('error', () => {});
	});
	server.on('request', (request, response) => void serve(at, request, response));
	server.on('upgrade', (request, socket, head) => void upgrade(at, request, socket, head));
	const listen = (port: number) => new Promise<void>((ready) => server.listen(port, '127.0.0.1', ready));
	await listen(0);
	const {port} = server.address() as AddressInfo;
	const cut = () => {
		for (const socket of sockets) socket.destroy();
	};
	const url = `https://127.0.0.1:${port}`;
	const stop = async () => {
		const stopped = new Promise((done) => server.close(done));
		cut();
		await stopped;
	};
	return {
		...{
			url,
			ca: cert,
			token: TOKEN,
			namespace: NAMESPACE,
			faults,
			store,
			controllers,
			requests: at.requests,
			created: at.created,
			cut,
			stop,
		},
		start: () => listen(port),
		kubeconfig: () => kubeconfig(url, cert),
		async close() {
			await controllers.close();
			await stop();
		},
	};
}

async function certificate(): Promise<{cert: string; key: string}> {
	const directory = await mkdtemp(join(tmpdir(), 'writ-cluster-'));
	const [keyPath, certPath] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
	try {
		const subject = ['-subj', '/CN=double', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '1'];
		await run('openssl', [
			'req',
			'-x509',
			'-newkey',
			'ec',
			'-pkeyopt',
			'ec_paramgen_curve:P-256',
			'-nodes',
			...subject,
			'-keyout',
			keyPath,
			'-out',
			certPath,
		]);
		return {cert: await readFile(certPath, 'utf8'), key: await readFile(keyPath, 'utf8')};
	} finally {
		await rm(directory, {recursive: true});
	}
}

function kubeconfig(server: string, ca: string): string {
	const data = Buffer.from(ca).toString('base64');
	return JSON.stringify({
		...{apiVersion: 'v1', kind: 'Config', 'current-context': 'double'},
		clusters: [{name: 'double', cluster: {server, 'certificate-authority-data': data}}],
		contexts: [{name: 'double', context: {cluster: 'double', user: 'double', namespace: NAMESPACE}}],
		users: [{name: 'double', user: {token: TOKEN}}],
	});
}

type At = Pick<Cluster, 'store' | 'controllers' | 'faults' | 'requests' | 'created'>;
type Asked = {
	readonly method: string;
	readonly group: string;
	readonly resource: string;
	readonly name: string;
	readonly sub: string;
	readonly query: URLSearchParams;
};

const VERBS: Readonly<Record<string, string>> = {POST: 'create', PUT: 'update', DELETE: 'delete'};
const PATH = /^\/(?:api|apis\/([^/]+))\/v1\/namespaces\/([^/]+)\/([a-z]+)(?:\/([^/]+))?(?:\/([a-z]+))?$/;

/** Every request begins here: is it answered at all, who asks, what, and may they? */
function admit({faults, requests}: At, request: IncomingMessage): Asked | 'silence' {
	const url = new URL(request.url ?? '', 'https://double');
	const line = `${request.method} ${url.pathname}`;
	requests.push(line);
	if (faults.hang?.(line)) return 'silence';
	const failure = faults.fail.findIndex(({matches}) => matches(line));
	const [failed] = failure === -1 ? [] : faults.fail.splice(failure, 1);
	if (failed) throw new Refusal(failed.status, failed.reason, 'because the test says so');
	if (request.headers.authorization !== `Bearer ${TOKEN}`) throw new Refusal(401, 'Unauthorized', 'Unauthorized');
	return allowed(faults, request.method ?? '', url);
}

/** As role-based access control has it: a verb on a resource in a namespace. */
function allowed({forbidden}: ServerFaults, method: string, url: URL): Asked {
	const [, group = '', namespace, resource = '', name = '', sub = ''] = PATH.exec(url.pathname) ?? [];
	const query = url.searchParams;
	if (!namespace) return {method, group, resource: url.pathname, name, sub, query};
	const verb = VERBS[method] ?? (query.has('watch') ? 'watch' : name ? 'get' : 'list');
	const whole = sub ? `${resource}/${sub}` : resource;
	const verbs = STREAMS.includes(sub) ? [verb, 'create'] : [verb];
	const refused = verbs.find((each) => forbidden.includes(`${each} ${whole}`) || namespace !== NAMESPACE);
	if (refused === undefined) return {method, group, resource, name, sub, query};
	const what = `cannot ${refused} resource "${whole}" in API group "${group}" in the namespace "${namespace}"`;
	throw new Refusal(
		403,
		'Forbidden',
		`${resource}${group && `.${group}`} is forbidden: User "system:serviceaccount:writ:server" ${what}`,
	);
}

/** Begun with GET, and since some version allowed only to who may `create` them. */
const STREAMS = ['attach', 'exec'];

async function serve(at: At, request: IncomingMessage, response: ServerResponse): Promise<void> {
	try {
		const asked = admit(at, request);
		if (asked === 'silence') return;
		const body = request.method === 'GET' || !request.headers['content-length'] ? {} : await json(request);
		const answer = await answerTo(at, asked, body, response);
		if (answer === undefined) return;
		if (at.faults.loseAnswer?.(`${request.method} ${request.url?.split('?')[0]}`)) {
			at.faults.loseAnswer = undefined;
			request.socket.destroy();
			return;
		}
		response.writeHead(request.method === 'POST' ? 201 : 200, {'content-type': 'application/json'}).end(JSON.stringify(answer));
	} catch (error) {
		const {code, body} = statusFor(error);
		response.writeHead(code, {'content-type': 'application/json'}).end(body);
	}
}

function statusFor(error: unknown): {code: number; body: string} {
	const {code, reason, message} = error instanceof Refusal ? error : new Refusal(500, 'InternalError', String(error));
	return {code, body: JSON.stringify({kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code})};
}

/** `undefined` when the answer is under way by itself. */
async function answerTo(at: At, asked: Asked, body: unknown, response: ServerResponse): Promise<unknown> {
	const {store, controllers, created, faults} = at;
	const {method, resource, name, sub, query} = asked;
	if (resource === '/version') return {major: '1', minor: '35', gitVersion: 'v1.35.0-double'};
	if (resource.endsWith('/selfsubjectaccessreviews')) return {...(body as object), status: {allowed: isAllowed(faults, body)}};
	if (method === 'POST') {
		const valid = validate(resource, body);
		const object = store.create(resource, NAMESPACE, valid);
		created.push(structuredClone(valid));
		if (resource === 'jobs') controllers.jobCreated(object);
		return object;
	}
	if (method === 'PUT') return store.replace(resource, name, validate(resource, body));
	if (method === 'DELETE') return removed(at, asked, body as {preconditions?: Partial<KubernetesObject['metadata']>});
	if (sub === 'log') {
		response.end(controllers.log(store.get('pods', name), query.get('container') ?? ''));
		return undefined;
	}
	if (name) return store.get(resource, name);
	if (query.has('watch')) return watch(store, asked, response);
	const items = store.list(resource).filter(selector(query));
	return {kind: 'List', apiVersion: 'v1', metadata: {resourceVersion: String(store.version())}, items};
}

function isAllowed({forbidden}: ServerFaults, body: unknown): boolean {
	const {verb, resource, subresource} = (body as {spec: {resourceAttributes: Record<string, string>}}).spec.resourceAttributes;
	return !forbidden.includes(`${verb} ${subresource ? `${resource}/${subresource}` : resource}`);
}

function removed(
	{store, controllers}: At,
	{resource, name}: Asked,
	{preconditions = {}}: {preconditions?: Partial<KubernetesObject['metadata']>},
): unknown {
	const object = store.get(resource, name);
	for (const key of ['uid', 'resourceVersion'] as const)
		if (preconditions[key] && preconditions[key] !== object.metadata[key])
			throw new Refusal(409, 'Conflict', `Precondition failed: ${key} in precondition: ${preconditions[key]}`);
	controllers.remove(resource, object);
	return {kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success'};
}

function selector(query: URLSearchParams): (object: KubernetesObject) => boolean {
	const wanted = (query.get('labelSelector') ?? '')
		.split(',')
		.filter(Boolean)
		.map((pair) => pair.split('='));
	return ({metadata}) => wanted.every(([key = '', value]) => metadata.labels?.[key] === value);
}

function watch(store: Store, {resource, query}: Asked, response: ServerResponse): undefined {
	response.writeHead(200, {'content-type': 'application/json'});
	const isWanted = selector(query);
	const send = (type: string, object: unknown) => response.write(`${JSON.stringify({type, object})}\n`);
	try {
		const stop = store.watch(Number(query.get('resourceVersion')), (event: WatchEvent) => {
			if (event.resource === resource && isWanted(event.object)) send(event.type, event.object);
		});
		response.once('close', stop);
		response.flushHeaders();
	} catch (error) {
		if (!(error instanceof Refusal)) throw error;
		send('ERROR', {kind: 'Status', status: 'Failure', message: error.message, reason: error.reason, code: error.code});
		response.end();
	}
	return undefined;
}

async function upgrade(at: At, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
	const refuse = (error: unknown) => {
		const {code, body} = statusFor(error);
		socket.end(
			`HTTP/1.1 ${code} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
		);
	};
	try {
		const asked = admit(at, request);
		if (asked === 'silence') return;
		const {query, name, sub} = asked;
		const pod = at.store.get('pods', name);
		const container = query.get('container') ?? '';
		const process =
			sub === 'exec'
				? await at.controllers.execute(pod, container, query.getAll('command'))
				: at.controllers.process(pod, container);
		if (socket.destroyed && sub === 'exec') return process?.signal('SIGKILL'); // who asked is gone
		if (!process) throw new Refusal(400, 'BadRequest', `container ${container} not found in pod ${name}`);
		const offered = request.headers['sec-websocket-protocol']?.split(/, */) ?? [];
		const protocol = at.faults.protocols.find((each) => offered.includes(each));
		if (!protocol) throw new Refusal(400, 'BadRequest', 'unable to upgrade: no common subprotocol');
		const streams = new WebSocketServer({noServer: true, handleProtocols: () => protocol, perMessageDeflate: false});
		const wanted = {
			stdin: query.get('stdin') === 'true',
			stdout: query.get('stdout') === 'true',
			stderr: query.get('stderr') === 'true',
		};
		streams.handleUpgrade(request, socket, head, async (connection) => {
			await serveStreams(connection, process, wanted, sub === 'exec' ? 'exec' : 'attach');
			// `stdinOnce`: whoever was attached is gone, and nobody can be again.
			if (sub === 'attach') process.stdin.end();
		});
	} catch (error) {
		refuse(error);
	}
}
