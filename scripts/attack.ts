/** Attacks every sandbox there is: `npm run attack`, `npm run attack -- --provider process,wasm --json results.json`. Needs root. */
import {spawnSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {parseArgs} from 'node:util';
import {attackNothing, attackProvider, type Battery, type Result} from '../test/attack/battery.ts';
import {CASES} from '../test/attack/cases.ts';
import {failures, tabulate} from '../test/attack/report.ts';

const {values} = parseArgs({
	options: {
		/** `none` is the control: the same attacks with the sandbox off */
		provider: {type: 'string', default: 'process,none'},
		json: {type: 'string'},
		/** ids of cases or beginnings of them; the battery is then not whole, and says so */
		only: {type: 'string'},
		/** the time limit of a run: what is to run into it takes this long, and what is not must not on a busy machine */
		seconds: {type: 'string', default: '5'},
		inside: {type: 'boolean', default: false},
		quiet: {type: 'boolean', default: false},
	},
});

const PROVIDERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
	process: {SANDBOX_PROVIDER: 'process'},
	wasm: {SANDBOX_PROVIDER: 'wasm'},
	docker: {SANDBOX_PROVIDER: 'docker', WRIT_DOCKER_RUNTIME: 'runc'},
	'docker+runsc': {SANDBOX_PROVIDER: 'docker', WRIT_DOCKER_RUNTIME: 'runsc'},
};

/** What is planted lies where no sandbox has a directory of its own. */
const OUTSIDE_SCRATCH = '/var/tmp';

if (process.getuid?.() !== 0) {
	console.error('The battery makes a network of its own and files that only root may read: run it with sudo.');
	process.exitCode = 2;
} else if (values.inside) {
	process.exitCode = await run();
} else {
	// In there every address of the world is ours, and whatever is sent to one is seen.
	const everything = 'ip link set lo up && ip route add local default dev lo && ip -6 route add local ::/0 dev lo && exec "$@"';
	const again = [process.execPath, ...process.execArgv, import.meta.filename, '--inside', ...process.argv.slice(2)];
	const {status} = spawnSync('unshare', ['--net', '--', '/bin/sh', '-c', everything, 'sh', ...again], {
		stdio: 'inherit',
		env: {...process.env, TMPDIR: OUTSIDE_SCRATCH},
	});
	process.exitCode = status ?? 1;
}

async function run(): Promise<number> {
	const providers = values.provider.split(',');
	const unknown = providers.filter((name) => name !== 'none' && !Object.hasOwn(PROVIDERS, name));
	if (unknown.length > 0) {
		console.error(`There is no provider ${unknown}; there are ${Object.keys(PROVIDERS)}.`);
		return 2;
	}
	const cases = values.only ? CASES.filter(({id}) => values.only?.split(',').some((start) => id.startsWith(start))) : CASES;
	const options = {cases, ownNetwork: true, onResult: say};
	const {DOCKER_HOST, RUNNER_IMAGE} = process.env;
	const engine = {...(DOCKER_HOST ? {DOCKER_HOST} : {}), ...(RUNNER_IMAGE ? {RUNNER_IMAGE} : {})};
	const batteries: Battery[] = [];
	for (const name of providers)
		batteries.push(
			await (name === 'none'
				? attackNothing(options)
				: attackProvider(name, {...engine, ...PROVIDERS[name], RUN_TIMEOUT_SECONDS: values.seconds}, options)),
		);
	const wrong = failures(batteries, cases, providers);
	console.log(tabulate(batteries));
	for (const {provider, ms, repeated} of batteries)
		console.log(
			`${provider}: ${Math.round(ms / 1_000)} s${repeated.length > 0 ? `; made again alone: ${repeated.join(', ')}` : ''}`,
		);
	for (const each of wrong) console.error(each);
	if (values.json)
		writeFileSync(values.json, `${JSON.stringify({cases: cases.length, batteries, failures: wrong}, null, '\t')}\n`);
	if (values.only) console.log('Only a part of the battery ran.');
	return wrong.length === 0 ? 0 : 1;
}

function say({id, way, verdict, reasons, ms}: Result): void {
	if (values.quiet && ['contained', 'passed', 'succeeded', 'not-applicable'].includes(verdict)) return;
	const why = ['escaped', 'blocked', 'failed'].includes(verdict) ? `: ${reasons.join('; ').slice(0, 600)}` : '';
	console.log(`${id} ${way.padEnd(6)} ${verdict} ${Math.round(ms)} ms${why}`);
}
