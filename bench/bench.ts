/**
 * Every figure, each file in a process of its own: `npm run bench [-- --json] [--quick] [--long] [--only NAME]`. A missed target is said and
 * is no failure; a figure that could not be measured is.
 */
import {spawn} from 'node:child_process';
import {globSync} from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {type Figure, print} from './harness.ts';

const SUPPORT = new Set(['bench', 'harness', 'leaks', 'noop-kernel', 'peers', 'pool-load', 'side-by-side']);
/** In the order they run: what suffers most from a warm and busy machine first, what is not named here last. */
const ORDER = ['govern-memory', 'policy', 'start', 'govern-durable', 'store', 'sandbox', 'docker', 'query', 'limits', 'analytic'];
const found = globSync('*.ts', {cwd: import.meta.dirname}).map((file) => file.replace(/\.ts$/, ''));
const FILES = [...new Set([...ORDER, ...found])].filter((name) => found.includes(name) && !SUPPORT.has(name));

const {values} = parseArgs({
	options: {
		json: {type: 'boolean', default: false},
		quick: {type: 'boolean', default: false},
		long: {type: 'boolean', default: false},
		only: {type: 'string', multiple: true, default: FILES},
	},
});
const unknown = values.only.filter((name) => !FILES.includes(name));
if (unknown.length > 0) {
	console.error(`there is no ${unknown.join(', ')}; --only takes ${FILES.join(', ')}`);
	process.exit(2);
}

const figures: Figure[] = [];
const failed: string[] = [];
for (const name of FILES.filter((each) => values.only.includes(each))) {
	if (!values.json) process.stderr.write(`${name} …\n`);
	const measured = await run(name);
	figures.push(...measured);
	if (measured.length === 0) failed.push(name);
	if (values.json) print(measured, true);
}
if (!values.json) print(figures, false);
const missed = figures.filter(({ok}) => ok === false);
for (const {name, target, p50, ratio} of missed) console.error(`missed: ${name}: p50 ${p50}, ratio ${ratio}; target ${target}`);
for (const name of failed) console.error(`not measured: ${name}`);
process.exitCode = failed.length > 0 ? 1 : 0;

/** No figures when the file failed; what it said is on standard error. */
function run(name: string): Promise<Figure[]> {
	const args = [
		path.join(import.meta.dirname, `${name}.ts`),
		'--json',
		...(values.quick ? ['--quick'] : []),
		...(values.long ? ['--long'] : []),
	];
	const child = spawn(process.execPath, args, {stdio: ['ignore', 'pipe', 'inherit']});
	let output = '';
	child.stdout.on('data', (chunk) => (output += chunk));
	return new Promise((resolve) => {
		child.once('close', (code) => {
			const lines = output.split('\n').filter((line) => line.startsWith('{'));
			resolve(code === 0 ? lines.map((line) => JSON.parse(line) as Figure) : []);
		});
	});
}
