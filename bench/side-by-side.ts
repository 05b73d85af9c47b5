/**
 * Writ's sandboxes beside what else isolates a program: `npm run compare [-- --json] [--quick] [--only NAME]` writes docs/sandboxes.md.
 * `--check` only says whether the page is of this comparison. `--attack NAME` is how it calls itself, once for each battery.
 */
import {execFile} from 'node:child_process';
import {chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {availableParallelism, cpus, release, tmpdir, totalmem} from 'node:os';
import path from 'node:path';
import {parseArgs, promisify} from 'node:util';
import {attackContender, type Score} from './side-by-side/attack.ts';
import {BUBBLEWRAP, DOCKER_RUN, NOTHING} from './side-by-side/commands.ts';
import {type Contender, type Language, MIB, type Place, ROOT} from './side-by-side/contender.ts';
import {AT_ONCE, measureIdle, measureRate, measureStarts} from './side-by-side/measure.ts';
import {type Column, type Measured, type Report, render, stampOf} from './side-by-side/page.ts';
import {SANDBOX_RUNTIME} from './side-by-side/sandbox-runtime.ts';
import {WORKER_THREADS} from './side-by-side/worker.ts';
import {WRIT} from './side-by-side/writ.ts';

const CONTENDERS: readonly Contender[] = [...WRIT, SANDBOX_RUNTIME, BUBBLEWRAP, DOCKER_RUN, WORKER_THREADS, NOTHING];
const LANGUAGES: readonly Language[] = ['python', 'javascript'];
const PAGE = path.join(ROOT, 'docs/sandboxes.md');
const ATTACK_LIMIT_MS = 480_000;
/** Not below the scratch of sandboxes: what lies in `/tmp` a program could make again in a `/tmp` of its own. */
const ELSEWHERE = '/var/tmp';
const run = promisify(execFile);

const {values} = parseArgs({
	options: {
		...{
			json: {type: 'boolean', default: false},
			quick: {type: 'boolean', default: false},
			check: {type: 'boolean', default: false},
		},
		only: {type: 'string', multiple: true},
		...{attack: {type: 'string'}, language: {type: 'string', default: 'python'}, share: {type: 'string', default: '1'}},
	},
});

/** What is kept short, and of how many attacks one is tried. */
const SIZE = values.quick
	? {runs: 2, warmUp: 0, maxMs: {python: 60_000, javascript: 60_000}, ms: 500, rateRuns: 4, share: 60}
	: {runs: 100, warmUp: 3, maxMs: {python: 180_000, javascript: 120_000}, ms: 10_000, rateRuns: 200, share: 1};
/** Attacks wait more than they work. */
const BATTERIES_AT_ONCE = 2 * AT_ONCE;

// An idle interpreter that Python is forked from keeps no process alive, and neither does waiting for one.
const alive = setInterval(() => {}, 1_000);
if (values.check) process.exitCode = check();
else if (values.attack !== undefined) process.exitCode = await attackOne(values.attack, values.language as Language);
else await compare();
clearInterval(alive);

function check(): number {
	const text = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '';
	if (text.includes(stampOf(CONTENDERS))) return 0;
	console.error('docs/sandboxes.md is not of the present comparison: run `npm run compare`');
	return 1;
}

async function compare(): Promise<void> {
	const wanted = CONTENDERS.filter(({name}) => values.only?.includes(name) ?? true);
	const found = [];
	for (const contender of wanted) found.push({contender, ...(await lookFor(contender))});
	const present = found.filter(({missing}) => missing === null).map(({contender}) => contender);
	const measured = await measureAll(present);
	const columns = found.map(
		({contender: {name, configuration}, versions, missing}): Column => ({
			name,
			configuration,
			versions,
			missing,
			languages: measured.get(name) ?? {},
		}),
	);
	const report: Report = {
		...{date: new Date().toISOString().slice(0, 10), quick: values.quick, atOnce: AT_ONCE, columns},
		machine: `${availableParallelism()} processors (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 1024 / MIB)} GiB, Linux ${release()}`,
		software: `Node ${process.versions.node}`,
	};
	if (values.only === undefined) writeFileSync(PAGE, render(report));
	console.log(values.json ? JSON.stringify(report, null, '\t') : render(report));
}

async function lookFor(contender: Contender): Promise<{versions: string | null; missing: string | null}> {
	try {
		return {versions: await contender.describe(), missing: null};
	} catch (error) {
		const missing = (error as Error).message.split('\n')[0] ?? '';
		say(`${contender.name} is not here: ${missing}`);
		return {versions: null, missing};
	}
}

type Languages = Partial<Record<Language, Measured>>;

/** What suffers most from a busy machine first, and the attacks last. */
async function measureAll(present: readonly Contender[]): Promise<ReadonlyMap<string, Languages>> {
	const all = new Map<string, Languages>(present.map(({name}) => [name, {}]));
	const directory = mkdtempSync(path.join(tmpdir(), 'writ-compare-'));
	chmodSync(directory, 0o755);
	const place: Place = {
		data: path.join(directory, 'data'),
		scratch: path.join(directory, 'scratch'),
		wallMs: 20_000,
		bound: null,
	};
	mkdirSync(place.data);
	mkdirSync(place.scratch);
	chmodSync(place.scratch, 0o777);
	try {
		for (const language of LANGUAGES) {
			const able = present.filter(({languages}) => languages.includes(language));
			say(`${language}: starting ${able.length} contenders ${SIZE.runs} times …`);
			const starts = await measureStarts(able, {language, place, ...SIZE, maxMs: SIZE.maxMs[language]});
			for (const contender of able) {
				say(`${language}: throughput of ${contender.name} …`);
				const rate = await measureRate(contender, {language, place, ms: SIZE.ms, runs: SIZE.rateRuns});
				const start = starts.get(contender.name) ?? {warm: null, cold: null, failed: 0, tried: 0};
				const idleMib = await measureIdle(contender, language);
				all.set(contender.name, {...all.get(contender.name), [language]: {start, rate, idleMib, battery: null}});
			}
		}
	} finally {
		rmSync(directory, {recursive: true, force: true});
	}
	await attackAll(present, all);
	return all;
}

async function attackAll(present: readonly Contender[], all: Map<string, Languages>): Promise<void> {
	if (process.getuid?.() !== 0) return say('attacks need root: not measured');
	const tasks = present.flatMap(({name, languages}) => languages.map((language) => ({name, language})));
	const lane = async () => {
		for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
			const {name, language} = task;
			say(`${language}: attacking ${name} …`);
			const battery = await attackApart(name, language);
			const languages = all.get(name) ?? {};
			const measured = languages[language];
			if (measured) all.set(name, {...languages, [language]: {...measured, battery}});
		}
	};
	await Promise.all(Array.from({length: BATTERIES_AT_ONCE}, lane));
}

/** In a process that may be killed, where every address of the world is ours and whatever is sent to one is seen. */
async function attackApart(name: string, language: Language): Promise<Score | null> {
	const everything = 'ip link set lo up && ip route add local default dev lo && ip -6 route add local ::/0 dev lo && exec "$@"';
	const again = [
		process.execPath,
		'--no-warnings',
		import.meta.filename,
		'--attack',
		name,
		'--language',
		language,
		'--share',
		String(SIZE.share),
	];
	try {
		const {stdout} = await run('unshare', ['--net', '--', '/bin/sh', '-c', everything, 'sh', ...again], {
			env: {...process.env, TMPDIR: ELSEWHERE},
			timeout: ATTACK_LIMIT_MS,
			maxBuffer: 16 * MIB,
		});
		return JSON.parse(stdout) as Score;
	} catch (error) {
		say(`${name} could not be attacked in ${language}: ${(error as Error).message.slice(-600)}`);
		return null;
	}
}

async function attackOne(name: string, language: Language): Promise<number> {
	const contender = CONTENDERS.find((each) => each.name === name);
	if (!contender) throw new Error(`there is no contender ${name}`);
	console.log(JSON.stringify(await attackContender(contender, language, Number(values.share))));
	return 0;
}

function say(text: string): void {
	process.stderr.write(`${text}\n`);
}
