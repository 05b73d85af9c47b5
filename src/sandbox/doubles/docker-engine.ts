/** A container engine that speaks the API and starts nothing: what it answers, and what a container does, is up to the test. */
import {once} from 'node:events';
import {mkdtempSync, rmSync} from 'node:fs';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Duplex} from 'node:stream';
import {text} from 'node:stream/consumers';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export type ContainerDouble = {
	/** sends bytes of one of its streams, as the engine packs them */
	send(stream: 1 | 2, bytes: Buffer | string): void;
	/** the connection of whoever attached */
	readonly connection: Duplex;
	exit(code: number): void;
	/** what it was made with */
	readonly body: Record<string, unknown> & {HostConfig: Record<string, unknown>};
};

export type EngineDouble = {
	readonly host: string;
	/** requests, as `METHOD path` */
	readonly asked: readonly string[];
	/** those that were not removed */
	readonly containers: ReadonlyMap<string, unknown>;
	/** answers instead of the engine to requests that start like this */
	answer(start: string, answer: Answer): void;
	/** says this of itself from now on, besides what every engine does */
	inform(info: Record<string, unknown>): void;
	/** breaks every connection and refuses new ones, until `listen` */
	crash(): Promise<void>;
	listen(): Promise<void>;
	close(): Promise<void>;
};

type Options = {
	readonly info?: Record<string, unknown>;
	/** what a runner does once it was started */
	readonly behave?: (container: ContainerDouble) => void;
};

const INFO = {
	...{ServerVersion: '20.10.24', Driver: 'overlay2', CgroupDriver: 'cgroupfs', CgroupVersion: '1', DefaultRuntime: 'runc'},
	...{MemoryLimit: true, SwapLimit: true, CpuCfsQuota: true, PidsLimit: true, SecurityOptions: ['name=seccomp,profile=default']},
	Runtimes: {runc: {path: 'runc'}},
};
const VERSION = {
	Components: [
		{Name: 'Engine', Version: '20.10.24'},
		{Name: 'runc', Version: '1.3.3'},
	],
};

const IMAGE = {Id: 'sha256:1', Config: {Labels: {'dev.writ.runners': 'sql python'}}};

export async function createEngineDouble({info = {}, behave = () => {}}: Options = {}): Promise<EngineDouble> {
	const directory = mkdtempSync(join(tmpdir(), 'writ-engine-'));
	const socket = join(directory, 'docker.sock');
	const [asked, answers] = [[] as string[], new Map<string, Answer>()];
	const connections = new Set<Socket>();
	const containers = createContainers(behave);
	const fixed = new Map<string, unknown>([
		['/_ping', 'OK'],
		['/info', {...INFO, ...info}],
		['/version', VERSION],
		['/containers/json', []],
	]);
	const server = createServer();
	server.on('connection', (connection) => {
		connections.add(connection);
		connection.on('error', () => {}).once('close', () => connections.delete(connection));
	});
	server.on('request', async (request, response) => {
		const line = lineOf(request);
		asked.push(line);
		const instead = [...answers].find(([begin]) => line.startsWith(begin));
		if (instead) return instead[1](request, response);
		const [method = '', path = ''] = line.split(' ');
		if (fixed.has(path)) reply(response, 200, fixed.get(path));
		else if (path.startsWith('/images/')) reply(response, 200, IMAGE);
		else if (path === '/containers/create') reply(response, 201, {Id: containers.make(await text(request))});
		else await containers.answer(path.split('/')[2] ?? '', path.split('/')[3] ?? method, response);
	});
	server.on('upgrade', (request, connection) => {
		asked.push(lineOf(request));
		containers.attach(request.url?.split('/')[2] ?? '', connection);
	});
	const crash = async () => {
		const closed = server.listening && once(server, 'close');
		server.close();
		for (const connection of connections) connection.destroy();
		await closed;
	};
	const listen = async () => {
		server.listen(socket);
		await once(server, 'listening');
	};
	await listen();
	return {
		...{host: `unix://${socket}`, asked, listen, crash, containers: containers.made},
		inform: (other) => void fixed.set('/info', {...INFO, ...other}),
		answer: (begin, answer) => void answers.set(begin, answer),
		async close() {
			await crash();
			rmSync(directory, {recursive: true, force: true});
		},
	};
}

function lineOf({method, url = ''}: IncomingMessage): string {
	return `${method} ${url.split('?')[0]}`;
}

function reply(response: ServerResponse, status: number, body?: unknown): void {
	response.writeHead(status, {'content-type': 'application/json'}).end(body === undefined ? '' : JSON.stringify(body));
}

type Made = {readonly body: ContainerDouble['body']; connection?: Duplex; readonly exited: PromiseWithResolvers<number>};

function createContainers(behave: (container: ContainerDouble) => void) {
	const made = new Map<string, Made>();
	const state = {serial: 0};
	const end = ({connection, exited}: Made, code: number) => {
		connection?.end();
		exited.resolve(code);
	};
	const start = (container: Made) => {
		const {body, connection} = container;
		const exit = (code: number) => end(container, code);
		// What the provider asks in a shell of its own is well at once.
		if (!connection || String(body.Cmd).startsWith('/usr/bin/sh')) return exit(0);
		behave({body, connection, exit, send: (stream, bytes) => void connection.write(packed(stream, Buffer.from(bytes)))});
	};
	return {
		made,
		make(text: string): string {
			state.serial += 1;
			const id = `c${state.serial}`;
			made.set(id, {body: JSON.parse(text), exited: Promise.withResolvers()});
			return id;
		},
		attach(id: string, connection: Duplex): void {
			const container = made.get(id);
			if (!container) return void connection.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
			container.connection = connection;
			connection.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
		},
		async answer(id: string, action: string, response: ServerResponse): Promise<void> {
			const container = made.get(id);
			if (!container) return reply(response, 404, {message: `No such container: ${id}`});
			if (action === 'wait') return reply(response, 200, {StatusCode: await container.exited.promise});
			if (action === 'json') return reply(response, 200, {State: {Pid: 0, OOMKilled: false}});
			if (action === 'start') start(container);
			else end(container, KILLED);
			if (action === 'DELETE') made.delete(id);
			reply(response, 204);
		},
	};
}

const KILLED = 137;

export function packed(stream: number, bytes: Buffer): Buffer {
	const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
	header.writeUInt32BE(bytes.length, 4);
	return Buffer.concat([header, bytes]);
}
