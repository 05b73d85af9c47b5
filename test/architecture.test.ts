/**
 * The rooms and who may know whom, as data with reasons. Sources are read as text, so the check does not depend on a compiler.
 */
import assert from 'node:assert/strict';
import {globSync, readFileSync} from 'node:fs';
import {test} from 'node:test';

/** In order: a room imports only rooms before it. */
const ROOMS = [
	'contract',
	'kernel',
	'policy',
	'approvals',
	'identity',
	'evidence',
	'store',
	'sandbox',
	'executors',
	'models',
	'agents',
	'tools',
	'mcp',
	'analyst',
	'quality',
	'ops',
	'fleet',
	'server',
	'cli',
	'config',
];
const JOBS = ['analyst', 'quality', 'ops', 'fleet'];

type Source = {readonly path: string; readonly room: string; readonly text: string; readonly imports: readonly string[]};

const sources: readonly Source[] = globSync('src/**/*.ts')
	.filter((path) => !/\.test\.ts$|\/(fixtures|doubles)\/|\/(test-[^/]*|sample-[^/]*|conformance|run-in-child)\.ts$/.test(path))
	.map((path) => {
		const text = readFileSync(path, 'utf8');
		const imports = [
			...text.matchAll(
				/(?:^|\n)(?:import|export)\b[^'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)|(?:^|\n)import\s*['"]([^'"]+)['"]/g,
			),
		];
		return {
			path,
			room: roomOf(path),
			text,
			imports: imports.map((match) => match[1] ?? match[2] ?? match[3] ?? ''),
		};
	});

/** Each rule says what is wrong with one source, or nothing. */
const RULES: Record<string, (source: Source) => readonly string[]> = {
	'a file lives in a known room, so that there is one place to look': ({room}) =>
		room === 'main' || ROOMS.includes(room) ? [] : [room],

	'a room imports only rooms before it, so that the kernel can be read without its adapters': ({room, imports}) =>
		crossings(imports).filter((target) => room !== 'main' && target !== room && !(ROOMS.indexOf(target) < ROOMS.indexOf(room))),

	'jobs never import each other, so that each can be removed': ({room, imports}) =>
		JOBS.includes(room) ? crossings(imports).filter((target) => JOBS.includes(target) && target !== room) : [],

	'cross-room imports look different from in-room ones, so that direction is visible': ({path, room, imports}) =>
		imports.filter(
			(name) => (name.startsWith('.') && leavesRoom(path, name)) || (room !== 'main' && name.startsWith(`#${room}/`)),
		),

	'only config reads the environment': ({room, text}) =>
		room !== 'config' && /process\.env\b/.test(text) ? ['process.env'] : [],

	'config is handed out by main alone': ({room, imports}) =>
		room === 'main' || room === 'config' ? [] : imports.filter((name) => name.startsWith('#config/')),

	'nobody imports main': ({imports}) => imports.filter((name) => name === '#main.ts' || name.endsWith('/main.ts')),

	'only rooms that make effects start processes or open connections': ({room, imports}) =>
		['sandbox', 'executors', 'models', 'mcp', 'fleet'].includes(room)
			? []
			: imports.filter((name) =>
					['node:child_process', 'node:net', 'node:tls', 'node:dgram', 'node:cluster', 'node:http2', 'undici'].includes(name),
				),

	'only the server listens, and only effect rooms call out over HTTP': ({room, imports}) =>
		['server', 'sandbox', 'executors', 'models', 'mcp', 'fleet'].includes(room)
			? []
			: imports.filter((name) => ['node:http', 'node:https'].includes(name)),

	'only effect rooms and clients fetch': ({path, room, text}) =>
		['server', 'cli', 'sandbox', 'executors', 'models', 'mcp', 'fleet'].includes(room) || path === 'src/main.ts'
			? []
			: (text.match(/(?<![.\w])fetch\(/g) ?? []),

	'SQL of the platform is written in store alone': ({room, imports}) =>
		room === 'store' ? [] : imports.filter((name) => ['node:sqlite', 'pg', 'kysely'].includes(name)),

	'DuckDB runs in a sandbox, never in the platform process': ({path, imports}) =>
		path.startsWith('src/sandbox/runners/') ? [] : imports.filter((name) => name.startsWith('@duckdb/')),

	'no code is evaluated in the platform process': ({path, text, imports}) => [
		...imports.filter((name) => name === 'node:vm'),
		...(!path.startsWith('src/sandbox/runners/') && /\beval\(|new Function\(/.test(text) ? ['eval'] : []),
	],

	'permits are minted by govern alone': ({path, text}) =>
		path === 'src/kernel/govern.ts' || path === 'src/kernel/permit.ts' ? [] : (text.match(/\bmintPermit\b/g) ?? []),

	'the verifier shares only canonical form and contract with the writer': ({path, imports}) =>
		/^src\/evidence\/verify(-[^/]*)?\.ts$/.test(path)
			? imports.filter((name) => !/^(#contract\/|\.\/canonical\.ts$|\.\/verify(-[^/]*)?\.ts$|node:crypto$|zod$)/.test(name))
			: [],

	'files stay under 400 lines': ({path, text}) =>
		text.split('\n').length > 400 && !LONG[path] ? [`${text.split('\n').length} lines`] : [],

	'state lives in objects, not in modules': ({text}) => text.match(/^(?:export )?let .*/gm) ?? [],
};

/** Files allowed over the cap, with the reason. */
const LONG: Record<string, string> = {};

for (const [rule, check] of Object.entries(RULES)) {
	test(rule, () => {
		const found = sources.flatMap((source) => check(source).map((what) => `${source.path}: ${what}`));
		assert.deepEqual(found, []);
	});
}

/** A value would bring the schemas with it, which probe whether they may evaluate code: the page's policy forbids that. */
test('the page takes nothing but types from the platform, which its browser is not to load', () => {
	const files = globSync('web/src/**/*.{ts,tsx}');
	const taken = files.flatMap((file) =>
		[...readFileSync(file, 'utf8').matchAll(/(?:^|\n)(import\b[^'"]*?from\s*['"]#[^'"]+['"])/g)].map(([, line = '']) => ({
			file,
			line,
		})),
	);
	assert.ok(taken.length > 10, `${taken.length} imports looked at`);
	assert.deepEqual(
		taken.filter(({line}) => !line.startsWith('import type ')),
		[],
	);
});

test('the rules looked at every room that exists, and at its imports', () => {
	const rooms = new Set(sources.map((source) => source.room));
	for (const room of [
		'contract',
		'kernel',
		'policy',
		'approvals',
		'identity',
		'evidence',
		'store',
		'sandbox',
		'models',
		'agents',
		'analyst',
		'server',
		'cli',
		'config',
		'main',
	]) {
		assert.ok(rooms.has(room), `no source of ${room} was seen`);
	}
	assert.ok(sources.length > 60, `only ${sources.length} sources`);
	assert.ok(sources.flatMap((source) => source.imports).length > 200);
});

test('each rule can fail', () => {
	const bad: Source = {
		path: 'src/policy/bad.ts',
		room: 'policy',
		text: "let state = 1;\nprocess.env.X; eval('1'); mintPermit(); fetch('x')\n".padEnd(500, '\n'),
		imports: [
			'#server/app.ts',
			'#config/config.ts',
			'../kernel/govern.ts',
			'node:child_process',
			'node:http',
			'pg',
			'@duckdb/node-api',
			'node:vm',
			'#main.ts',
		],
	};
	const silent = Object.entries(RULES).filter(([, check]) => {
		const twin = [
			bad,
			{...bad, room: 'nowhere'},
			{...bad, room: 'analyst', imports: ['#ops/x.ts']},
			{...bad, path: 'src/evidence/verify.ts'},
		];
		return twin.every((source) => check(source).length === 0);
	});
	assert.deepEqual(
		silent.map(([rule]) => rule),
		[],
	);
});

function crossings(imports: readonly string[]): readonly string[] {
	return imports.filter((name) => name.startsWith('#')).map((name) => name.slice(1).split('/')[0] ?? '');
}

function roomOf(path: string): string {
	const [, room = '', ...rest] = path.split('/');
	return rest.length > 0 ? room : 'main';
}

function leavesRoom(path: string, name: string): boolean {
	const resolved = new URL(name, `file:///${path}`).pathname.slice(1);
	return roomOf(resolved) !== roomOf(path);
}
