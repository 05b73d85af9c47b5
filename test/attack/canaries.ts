/** What is planted before a battery, and who notices that it was reached. */
import {spawn} from 'node:child_process';
import {createHash, randomBytes} from 'node:crypto';
import {createSocket} from 'node:dgram';
import {once} from 'node:events';
import {
	chmodSync,
	copyFileSync,
	globSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import {type AddressInfo, createServer} from 'node:net';
import {hostname, tmpdir} from 'node:os';
import path from 'node:path';
import type {Canary} from './case.ts';

export type Planted = AsyncDisposable & {
	/** what placeholders in payloads stand for, as far as the host goes */
	readonly facts: Readonly<Record<string, string>>;
	readonly directory: string;
	readonly values: Readonly<Record<Canary, string>>;
	/** says that a program broke out; programs hold it backwards */
	readonly won: string;
	/** who contacted what since the last call */
	contacts(): readonly string[];
	/** what changed in the directories that nobody may write to, since the last call */
	changes(): readonly string[];
};

/** Ports that a program would try; below 1024 only where every address is the battery's own. */
const PORTS = [22, 25, 53, 80, 443, 853, 1080, 2375, 3128, 5353, 8080, 9229, 10_250];
export const ENV = 'WRIT_ATTACK_CANARY';

export async function plant(ownNetwork: boolean): Promise<Planted> {
	const directory = mkdtempSync(path.join(tmpdir(), `writ-attack-${process.pid}-`));
	chmodSync(directory, 0o755);
	const values = Object.fromEntries(
		['file', 'environment', 'network', 'tenant', 'pool', 'dataset'].map((name) => [
			name,
			`canary-${name}-${randomBytes(12).toString('hex')}`,
		]),
	) as Record<Canary, string>;
	const won = `won${randomBytes(9).toString('hex')}`;
	const files = plantFiles(directory, values.file);
	process.env[ENV] = values.environment;
	const decoy = spawn('setpriv', ['--pdeathsig', 'KILL', '--', '/bin/sleep', '100000'], {
		env: {[ENV]: values.environment, PATH: '/usr/bin:/bin'},
		stdio: 'ignore',
	});
	const contacts: string[] = [];
	const services = await listen(directory, {answer: values.network, contacts, ports: ownNetwork ? PORTS : []});
	const state = {before: snapshot(directory), packets: packets()};
	return {
		directory,
		values,
		won,
		facts: {
			...files,
			...services.facts,
			WON: won.split('').toReversed().join(''),
			ENV,
			PID: String(decoy.pid),
			HOSTNAME: hostname(),
			SESSION: sessionOf('self'),
		},
		contacts() {
			const [now, was] = [packets(), state.packets];
			state.packets = now;
			const unseen = ownNetwork && now !== was ? [`${now - was} packets on the network`] : [];
			return [...contacts.splice(0), ...unseen];
		},
		changes() {
			const [now, was] = [snapshot(directory), state.before];
			state.before = now;
			return [...new Set([...now.keys(), ...was.keys()])].filter((name) => now.get(name) !== was.get(name));
		},
		async [Symbol.asyncDispose]() {
			decoy.kill('SIGKILL');
			await once(decoy, 'close');
			await services.close();
			rmSync(directory, {recursive: true, force: true});
		},
	};
}

function plantFiles(directory: string, value: string): Record<string, string> {
	const at = (name: string) => path.join(directory, name);
	for (const name of ['watch', 'ssh', 'home', 'serviceaccount']) mkdirSync(at(name));
	chmodSync(at('watch'), 0o777);
	const text = `${value}\n`;
	for (const name of ['file', 'file.csv', 'root-only', 'ssh/id_rsa', 'home/.bash_history', 'serviceaccount/token'])
		writeFileSync(at(name), text);
	for (const name of ['root-only', 'ssh/id_rsa']) chmodSync(at(name), 0o600);
	writeFileSync(at('file.json'), JSON.stringify({secret: value}));
	symlinkSync(at('file'), at('link'));
	const [library] = globSync('/{usr/lib,lib}/**/libutil.so.1');
	if (library !== undefined) copyFileSync(library, at('library.so'));
	return {
		DIR: directory,
		FILE: at('file'),
		JSON: at('file.json'),
		ROOTFILE: at('root-only'),
		SSH: at('ssh/id_rsa'),
		HOMEFILE: at('home/.bash_history'),
		TOKEN: at('serviceaccount/token'),
		LINK: at('link'),
		WATCH: at('watch'),
		PIPE: '/dev/stdin',
		// Left open, as a careless platform would: who inherits descriptors inherits this one.
		OPENFD: String(openSync(at('file'), 'r')),
		HOSTMOUNT: '/',
		USERS: 'root:x:0:0:',
		LIBRARY: at('library.so'),
	};
}

type Listening = {readonly answer: string; readonly contacts: string[]; readonly ports: readonly number[]};

/** Everything that could be reached, each answering with the canary. */
async function listen(directory: string, {answer, contacts, ports}: Listening) {
	const abstract = `writ-attack-${randomBytes(6).toString('hex')}`;
	const socket = path.join(directory, 'socket');
	const tcp = async (where: {port: number; host: string} | {path: string}, name: string) => {
		const server = createServer((client) => {
			contacts.push(`${name} was connected to`);
			client.on('error', () => {}).end(`HTTP/1.0 200 OK\r\n\r\n${answer}\n`);
		});
		server.listen(where);
		await once(server, 'listening');
		return server;
	};
	const udp = async (port: number) => {
		const receiver = createSocket('udp4');
		receiver.on('message', (_, from) => {
			contacts.push(`UDP port ${port} got a datagram`);
			receiver.send(answer, from.port, from.address);
		});
		receiver.bind(port, ports.length > 0 ? '0.0.0.0' : '127.0.0.1');
		await once(receiver, 'listening');
		return receiver;
	};
	const everywhere = ports.length > 0 ? '::' : '127.0.0.1';
	const first = await tcp({port: 0, host: everywhere}, 'a service on loopback');
	const servers = [
		first,
		await tcp({path: socket}, 'a socket file'),
		await tcp({path: `\0${abstract}`}, 'an abstract socket'),
		...(await Promise.all(ports.map((port) => tcp({port, host: everywhere}, `TCP port ${port}`)))),
	];
	chmodSync(socket, 0o777);
	const receivers = await Promise.all([udp(0), ...[53, 5353, 5355].filter(() => ports.length > 0).map(udp)]);
	return {
		facts: {
			TCP: String((first.address() as AddressInfo).port),
			UDP: String(receivers[0]?.address().port),
			SOCKET: socket,
			ABSTRACT: abstract,
		},
		async close() {
			for (const server of servers) server.close();
			for (const receiver of receivers) receiver.close();
		},
	};
}

function sessionOf(pid: string): string {
	return /\) \S+ \d+ \d+ (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? '';
}

/** Received on loopback, which where the battery has a network of its own is all there is. */
function packets(): number {
	return Number(/lo:\s*\d+\s+(\d+)/.exec(readFileSync('/proc/net/dev', 'utf8'))?.[1] ?? 0);
}

/** Every path below, with what it is and holds. */
function snapshot(directory: string): Map<string, string> {
	const paths = globSync('**/*', {cwd: directory, dot: true} as Parameters<typeof globSync>[1]) as string[];
	return new Map(paths.map((name) => [name, facts(path.join(directory, name))]));
}

function facts(name: string): string {
	const {size, mode, uid, mtimeMs, isFile} = {...statSync(name), isFile: statSync(name).isFile()};
	const content = isFile ? createHash('sha256').update(readFileSync(name)).digest('hex') : '';
	return JSON.stringify([size, mode, uid, isFile ? mtimeMs : 0, content]);
}

/** A planted value as it may look on its way out: as it is, backwards, in hexadecimal, in base64 wherever it starts. */
export function appearances(value: string): readonly string[] {
	const base64 = [0, 1, 2].map((shift) =>
		Buffer.from(`${'x'.repeat(shift)}${value}`)
			.toString('base64')
			.slice(shift === 0 ? 0 : 4, -8),
	);
	return [
		value,
		value.split('').toReversed().join(''),
		Buffer.from(value).toString('hex'),
		Buffer.from(value).toString('hex').toUpperCase(),
		...base64,
	];
}
