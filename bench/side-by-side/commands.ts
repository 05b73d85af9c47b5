/** Isolation that is a command line: bubblewrap and `docker run`, written as somebody who knows them would. */
import {execFile, spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {promisify} from 'node:util';
import {imageName} from '#sandbox/docker/image.ts';
import {type Contender, type Language, MIB, type Place, pythonPackages, ROOT, runCommand} from './contender.ts';

const run = promisify(execFile);
const PYTHON = '/usr/bin/python3';
const packages = pythonPackages();

/** Programs come on standard input. */
export const interpreter = (language: Language, {python = PYTHON, node = process.execPath} = {}) =>
	language === 'python' ? ([python, '-B', '-s', '-'] as const) : ([node, '--no-warnings', '--input-type=module', '-'] as const);

const LINKS = ['bin', 'lib', 'lib64'].flatMap((name) => ['--symlink', `usr/${name}`, `/${name}`]);

function bubblewrap(language: Language, {data}: Place): readonly [string, ...string[]] {
	return [
		...([
			'bwrap',
			'--unshare-all',
			'--unshare-user',
			'--disable-userns',
			'--die-with-parent',
			'--new-session',
			'--clearenv',
		] as const),
		...['--ro-bind', '/usr', '/usr', ...LINKS, '--ro-bind', '/etc/ld.so.cache', '/etc/ld.so.cache'],
		...[
			'--proc',
			'/proc',
			'--dev',
			'/dev',
			'--size',
			String(64 * MIB),
			'--tmpfs',
			'/tmp',
			'--chdir',
			'/tmp',
			'--hostname',
			'sandbox',
		],
		...['--ro-bind', data, '/data', '--setenv', 'PATH', '/usr/bin', '--setenv', 'HOME', '/tmp'],
		...(language === 'python' && packages ? ['--ro-bind', packages, '/packages', '--setenv', 'PYTHONPATH', '/packages'] : []),
		...(language === 'javascript' ? ['--ro-bind', process.execPath, '/node'] : []),
		...['--', ...interpreter(language, {node: '/node'})],
	];
}

export const BUBBLEWRAP: Contender = {
	name: 'bubblewrap',
	languages: ['python', 'javascript'],
	coldIn: ['python', 'javascript'],
	configuration: `\`${['bwrap', '--unshare-all --disable-userns --die-with-parent --new-session --clearenv --ro-bind /usr /usr', '--proc /proc --dev /dev --size 64M --tmpfs /tmp --ro-bind DATA /data'].join(' ')} … python3 -\`, started by an ordinary user; it has no limits for memory, processes or time, so time and output are limited by its caller`,
	async describe() {
		const {stdout} = await run('bwrap', ['--version']);
		return `${stdout.trim()}, ${(await run(PYTHON, ['--version'])).stdout.trim()}, Node ${process.versions.node}`;
	},
	open: async (place, language) => ({
		facts: {DATA: '/data', SCRATCH: '/tmp'},
		cold: (input) => runCommand({command: bubblewrap(language, place), input, place}),
		async rested() {},
		async close() {},
	}),
};

/** A bound around what has none of its own: the engine puts containers where it is told, and scratch is small. */
function boundOptions({bound, scratch}: Place): readonly string[] {
	return bound === null ? [] : ['--cgroup-parent', bound.parent, '--mount', `type=bind,src=${scratch},dst=/tmp`];
}

export const DOCKER_RUN: Contender = {
	name: 'docker run',
	languages: ['python', 'javascript'],
	coldIn: ['python', 'javascript'],
	configuration:
		'`docker run --rm -i --network none -v DATA:/data:ro --entrypoint python3 IMAGE -`, with the image of the runners and the default runtime, capabilities and system call filter; no other option; ended by `docker kill` when its time is over',
	async describe() {
		const {stdout} = await run('docker', ['version', '--format', '{{.Server.Version}}']);
		await run('docker', ['image', 'inspect', imageName(ROOT)]);
		return `Docker ${stdout.trim()}, ${imageName(ROOT)}`;
	},
	async open(place, language) {
		const state = {serial: 0};
		const env = {DOCKER_HOST: process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock', HOME: '/nonexistent'};
		return {
			facts: {DATA: '/data', SCRATCH: '/tmp'},
			cold(input) {
				state.serial += 1;
				const name = `writ-compare-${process.pid}-${state.serial}`;
				const options = [
					'--rm',
					'-i',
					'--name',
					name,
					'--network',
					'none',
					'-v',
					`${place.data}:/data:ro`,
					...boundOptions(place),
				];
				const [program, ...args] = interpreter(language, {python: 'python3', node: '/runtime/node'});
				const stop = () => void spawn('docker', ['kill', name], {env: {...process.env, ...env}, stdio: 'ignore'});
				const command = ['docker', 'run', ...options, '--entrypoint', program, imageName(ROOT), ...args] as const;
				return runCommand({command, input, place, env, isClient: true, stop});
			},
			async rested() {},
			async close() {},
		};
	},
};

/** The interpreter alone, for what isolation adds to it. */
export const NOTHING: Contender = {
	name: 'no sandbox',
	languages: ['python', 'javascript'],
	coldIn: ['python', 'javascript'],
	configuration:
		'`python3 -` and `node -` themselves, started by an ordinary user with an empty environment: what the others add to',
	async describe() {
		if (!existsSync(PYTHON)) throw new Error(`there is no ${PYTHON}`);
		return `${(await run(PYTHON, ['--version'])).stdout.trim()}, Node ${process.versions.node}`;
	},
	open: async (place, language) => ({
		facts: {DATA: place.data, SCRATCH: place.scratch},
		cold: (input) => runCommand({command: interpreter(language), input, place, env: packages ? {PYTHONPATH: packages} : {}}),
		async rested() {},
		async close() {},
	}),
};
