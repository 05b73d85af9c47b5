/** `@anthropic-ai/sandbox-runtime`, in a process of an ordinary user: its authors advise against root. */
import {type ChildProcess, fork} from 'node:child_process';
import {once} from 'node:events';
import path from 'node:path';
import {installPeers, versionOf} from '../peers.ts';
import {interpreter} from './commands.ts';
import {type Contender, type Ending, type Language, ORDINARY, type Place, pythonPackages, runCommand} from './contender.ts';

const PACKAGE = '@anthropic-ai/sandbox-runtime';
const PEERS = path.join(import.meta.dirname, '../peers');
const packages = pythonPackages();

/** The strictest that it offers: nobody to talk to, nothing to write but scratch, nothing to read but what programs need. */
function strictest({data, scratch}: Place) {
	const programs = ['/usr', '/etc/ld.so.cache', process.execPath, path.join(PEERS, 'node_modules', PACKAGE, 'vendor')];
	return {
		network: {allowedDomains: [], deniedDomains: ['*'], strictAllowlist: true},
		filesystem: {
			denyRead: ['/'],
			allowRead: [...programs, data, scratch, ...(packages ? [packages] : [])],
			allowWrite: [scratch],
			denyWrite: [],
		},
	};
}

export const SANDBOX_RUNTIME: Contender = {
	name: 'sandbox-runtime',
	languages: ['python', 'javascript'],
	coldIn: ['python', 'javascript'],
	configuration:
		'as a library that stays initialised, in a process of an ordinary user: `allowedDomains: []`, `deniedDomains: ["*"]`, `strictAllowlist`, `denyRead: ["/"]` with `/usr`, Node, its own helper, the data and the scratch directory allowed again, `allowWrite` of the scratch directory only; an empty environment; it has no limits for memory, processes, disk or time, so time and output are limited by its caller',
	async describe() {
		installPeers();
		return versionOf(PACKAGE);
	},
	async open(place, language) {
		const wrapper = await openWrapper(place);
		const env = {HOME: '/nonexistent', ...(language === 'python' && packages ? {PYTHONPATH: packages} : {})};
		const state: {serial: number} = {serial: 0};
		return {
			facts: {DATA: place.data, SCRATCH: place.scratch},
			async cold(input): Promise<Ending> {
				state.serial += 1;
				const wrapped = await wrapper.ask({wrap: quoted(language)});
				const ending = await runCommand({command: ['/bin/sh', '-c', wrapped], input, place, env, cwd: place.scratch});
				await wrapper.ask({clean: true});
				return ending;
			},
			async rested() {},
			close: () => wrapper.close(),
		};
	},
};

const quoted = (language: Language) =>
	interpreter(language)
		.map((word) => `'${word}'`)
		.join(' ');

type Question = {readonly configure: object} | {readonly wrap: string} | {readonly clean: true};

async function openWrapper(place: Place) {
	const child = fork(path.join(PEERS, 'sandbox-runtime.mjs'), {
		...{cwd: place.scratch, env: {PATH: '/usr/bin:/bin', HOME: place.scratch}, execPath: process.execPath, execArgv: []},
		...ORDINARY,
	});
	const state = {last: Promise.resolve<unknown>(undefined)};
	const ask = (question: Question): Promise<string> => {
		const answer = state.last.then(() => answerOf(child, question));
		state.last = answer.catch(() => {});
		return answer;
	};
	await ask({configure: strictest(place)});
	return {
		ask,
		async close() {
			const ended = once(child, 'exit');
			child.disconnect();
			await ended;
		},
	};
}

async function answerOf(child: ChildProcess, question: Question): Promise<string> {
	child.send(question);
	const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
	const [{text, error}] = (await once(child, 'message', {signal})) as [{text?: string; error?: string}];
	if (text === undefined) throw new Error(`${PACKAGE}: ${error}`);
	return text;
}

const ANSWER_LIMIT_MS = 20_000;
