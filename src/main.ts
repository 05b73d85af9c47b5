/**
 * Writ's composition root: the command line with everything it can reach. Rooms are built in platform.ts and served in serve.ts;
 * no room imports these files.
 */
import {openAsBlob} from 'node:fs';
import {open, readdir, readFile, stat} from 'node:fs/promises';
import path from 'node:path';
import {text} from 'node:stream/consumers';
import {askSecret} from '#cli/ask-secret.ts';
import {runCli} from '#cli/cli.ts';
import type {Io, Local} from '#cli/io.ts';
import {type LoadedConfig, loadConfig} from '#config/config.ts';
import type {Secrets} from '#config/secrets.ts';
import {makeDirectory} from '#contract/directory.ts';
import type {Client} from '#server/client.ts';
import {readVersion} from './doctor.ts';

/** Loaded when a command needs it, so that `writ --help` and checking a file stay quick. */
const rooms = {
	serve: () => import('./serve.ts'),
	samples: () => import('./samples.ts'),
	evidence: () => import('./local-evidence.ts'),
	policyFiles: () => import('./policy-files.ts'),
	client: () => import('#server/client.ts'),
	secrets: () => import('./secrets.ts'),
};

const root = path.resolve(import.meta.dirname, '..');
const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort());

// A reader that has seen enough, such as `head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	if (error.code !== 'EPIPE') throw error;
});

const io: Io = {
	out: (line) => void process.stdout.write(line),
	err: (line) => void process.stderr.write(line),
	columns: process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY,
	colour: process.stdout.isTTY && process.stdout.hasColors(),
	interactive: process.stderr.isTTY,
	stdin: () => text(process.stdin),
	askSecret: (question) => askSecret(question, {input: process.stdin, output: process.stderr, signal: interrupt.signal}),
	readFile: (file) => readFile(file, 'utf8'),
	readBytes: (file) => readFile(file),
	listFiles,
	openBlob: (file) => openAsBlob(file),
	async writeFile(file, body) {
		makeDirectory(path.dirname(file));
		await using handle = await open(file, 'w');
		for await (const chunk of body) await handle.writeFile(chunk);
	},
	cwd: process.cwd(),
};

const local: Local = {
	async serve({config, flags}) {
		const loaded = loadConfig({...(config === undefined ? {} : {file: config}), flags});
		await (await rooms.serve()).serve(loaded, interrupt.signal);
	},
	async addSamples() {
		const loaded = loadConfig();
		const server = await runningServer(loaded);
		if (server === null) return (await rooms.samples()).addSamplesHere(loaded, interrupt.signal);
		const reply = await server.api.api.v1.datasets.samples.$post({}, {init: {signal: interrupt.signal}});
		return {...(await reply.json()), where: server.url};
	},
	async verifyDatasets(id) {
		return (await rooms.samples()).verifyDatasets(loadConfig(), id);
	},
	secrets: {
		list: async () => withSecrets(({list}) => list()),
		set: async (name, value) => withSecrets(({file}) => file.set(name, value, new Date())),
		delete: async (name) => withSecrets(({file}) => file.delete(name)),
		rotateKey: async (ask) => (await rooms.secrets()).rotateKey(loadConfig(), ask),
	},
	keys: {
		list: async () => (await (await rooms.evidence()).keyring(loadConfig().config)).records(),
		rotate: async (revoke) => (await rooms.evidence()).rotate(loadConfig().config, revoke),
	},
	evidence: {
		verify: async (place, trust) => (await rooms.evidence()).localEvidence.verify(place, trust),
		read: async (bundle) => (await rooms.evidence()).localEvidence.read(bundle),
		write: async (files, directory) => (await rooms.evidence()).localEvidence.write(files, directory),
	},
	policy: async () => (await rooms.policyFiles()).createPolicyFiles(loadConfig()),
};

process.exitCode = await runCli(process.argv.slice(2), {
	io,
	connect,
	local,
	version: await readVersion(root),
	signal: interrupt.signal,
});

async function withSecrets<T>(work: (secrets: Secrets) => T): Promise<Awaited<T>> {
	const {config, secrets: environment} = loadConfig();
	const secrets = (await rooms.secrets()).openStoreOfSecrets(config, {environment});
	try {
		return await work(secrets);
	} finally {
		secrets.close();
	}
}

async function listFiles(place: string): Promise<readonly string[]> {
	if ((await stat(place)).isFile()) return [place];
	const entries = await readdir(place, {withFileTypes: true});
	const shown = entries.filter(({name}) => !name.startsWith('.') && name !== 'node_modules');
	const found = await Promise.all(
		shown.map((entry) => {
			const inner = path.join(place, entry.name);
			return entry.isDirectory() ? listFiles(inner) : entry.isFile() ? [inner] : [];
		}),
	);
	return found.flat().toSorted();
}

/** The server the settings name, a local one that answers, or one inside this process. */
async function connect() {
	const loaded = loadConfig();
	const running = await runningServer(loaded);
	if (running !== null) return running;
	const {start} = await rooms.serve();
	const {server, platform} = await start(loaded, 'silent');
	return (await rooms.client()).createClient({
		url: 'http://127.0.0.1',
		fetch: server.fetch,
		close: async () => {
			await server.stop();
			await platform.close();
		},
	});
}

async function runningServer(loaded: LoadedConfig): Promise<Client | null> {
	const {client} = loaded.config;
	const url = client.url ?? (await localServer(loaded));
	if (url === null) return null;
	const isReference = client.token?.startsWith('secret:') ?? false;
	const token = isReference ? await withSecrets(({resolve}) => resolve(client.token)) : client.token;
	return (await rooms.client()).createClient({url, token});
}

async function localServer({config}: LoadedConfig): Promise<string | null> {
	const url = `http://127.0.0.1:${config.server.port}`;
	const reply = await fetch(`${url}/healthz`, {signal: AbortSignal.timeout(500)}).catch(() => null);
	return reply?.ok && reply.headers.has('x-request-id') ? url : null;
}
