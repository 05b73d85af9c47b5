/** Starts the process of a run's proxy, and sees to its end. */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {dirname} from 'node:path';
import {WritError} from '#contract/errors.ts';
import type {EgressDecision} from '#contract/sandbox.ts';
import {createCapturedText} from '../captured-text.ts';
import type {ProxyPolicy} from './proxy.ts';
import type {FromProxy, ToProxy} from './proxy-messages.ts';

export type ProxyProcess = {
	readonly certificate: string;
	/** `exceeded` when the bytes are used up, else how it died; pending after `close` */
	readonly broken: Promise<string>;
	/** Resolves when every decision was reported and the process is gone. */
	close(): Promise<void>;
};

const START_LIMIT_MS = 10_000;
const CLOSE_LIMIT_MS = 2_000;

export async function startProxy(
	socket: string,
	policy: ProxyPolicy,
	onDecision: (decision: EgressDecision) => void,
): Promise<ProxyProcess> {
	const child = spawnProxy(dirname(socket));
	const {promise: broken, resolve: breakOff} = Promise.withResolvers<string>();
	const {promise: listening, resolve: listen, reject: fail} = Promise.withResolvers<string>();
	const state = {closing: false};
	const said = createCapturedText();
	child.stderr?.on('data', said.push);
	const gone = once(child, 'close').catch(() => []); // it could not be started, and `error` says so
	child.on('message', (message: FromProxy) => {
		if (message.type === 'decision') onDecision(message.decision);
		if (message.type === 'exceeded') breakOff('exceeded');
		if (message.type === 'listening') listen(message.certificate);
	});
	child.once('error', (cause) => fail(notStarted(cause.message)));
	child.once('exit', (code, signal) => {
		const how = signal ?? `exit code ${code}`;
		fail(notStarted(`${how}, ${said.text()}`));
		if (!state.closing) breakOff(how);
	});
	const timer = setTimeout(() => child.kill('SIGKILL'), START_LIMIT_MS);
	tell(child, {type: 'open', socket, policy});
	const certificate = await listening.finally(() => clearTimeout(timer));
	return {
		certificate,
		broken,
		async close() {
			state.closing = true;
			tell(child, {type: 'close'});
			const limit = setTimeout(() => child.kill('SIGKILL'), CLOSE_LIMIT_MS);
			await gone.finally(() => clearTimeout(limit));
		},
	};
}

/** An empty environment, no descriptor but the channel and one for last words, no right but to read these sources and to connect. */
function spawnProxy(directory: string): ChildProcess {
	const sources = import.meta.dirname;
	const rights = ['--permission', `--allow-fs-read=${sources}`, `--allow-fs-write=${directory}`];
	const flags = ['--no-warnings', '--max-old-space-size=128'];
	return spawn(process.execPath, [...rights, ...flags, `${sources}/proxy-process.ts`], {
		cwd: '/',
		env: {},
		stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
	});
}

function tell(child: ChildProcess, message: ToProxy): void {
	if (child.connected) child.send(message, () => {}); // a child that is gone is seen by its exit
}

function notStarted(reason: string): WritError {
	return new WritError('sandbox_unavailable', `the egress proxy could not be started: ${reason}`, {
		hint: 'run `writ doctor`, which says what the sandbox needs',
	});
}
