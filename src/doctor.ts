import {readFile, stat} from 'node:fs/promises';
import path from 'node:path';
import type {Config} from '#config/config.ts';
import type {Check} from '#contract/api.ts';
import {toErrorBody} from '#contract/errors.ts';
import {createModel} from '#models/providers.ts';
import {limitsMoney} from '#policy/money.ts';
import {showProblem} from '#policy/policy-text.ts';
import type {ProviderFacts} from '#sandbox/sandbox.ts';
import {unpriced} from './answerer.ts';
import {LOCAL, type Platform} from './platform.ts';

/** What serving needs: without a required one, no question is answered. */
export async function readyChecks({store, datasets, pool, sandboxing: {provider}, policy}: Platform): Promise<readonly Check[]> {
	return Promise.all([
		check('store', true, async () => {
			await store.check();
			return {ok: true, why: 'events can be written', fix: null};
		}),
		check('policy', true, async () => ({
			ok: true,
			why: [`policy ${policy.current().version.slice(0, 12)} is in force`, ...policy.problems().map(showProblem)].join('; '),
			fix:
				policy.problems().length > 0
					? 'mend the policy file, then `writ policy reload`; until then the last good one decides'
					: null,
			facts: {version: policy.current().version, problems: policy.problems().map(showProblem)},
		})),
		check('sandbox', true, async () => {
			const {idle, busy, failed, failing} = pool.stats();
			if (failing) return {ok: false, why: failing.reason, fix: 'see `writ doctor`'};
			// One that waits, or has run, is all the proof there can be; only without any is the machine looked at.
			const {availability} = idle + busy > 0 ? {availability: {kind: 'available' as const}} : await provider.facts();
			if (availability.kind === 'unavailable') return {ok: false, why: availability.reason, fix: availability.hint};
			return {
				ok: true,
				why: `${provider.name} sandboxes: ${idle} waiting, ${busy} at work`,
				fix: null,
				facts: {idle, busy, failed},
			};
		}),
		check('datasets', true, async () => {
			const all = await datasets.list(LOCAL);
			if (all.length === 0) return {ok: true, why: 'there are none yet', fix: ADD_SOME};
			const problems = await Promise.all(all.map(({id}) => datasets.get(LOCAL, id).then(() => null, toErrorBody)));
			const [broken] = problems.filter((problem) => problem !== null && problem.code !== 'not_found'); // removed just now
			if (broken) return {ok: false, why: broken.message, fix: broken.hint ?? null};
			return {ok: true, why: all.map(({id}) => id).join(', '), fix: null};
		}),
	]);
}

const ADD_SOME = 'add a file on the page or with `writ datasets add FILE`; `writ datasets samples` adds three datasets to try';

/** All that a person who runs the platform may want to know, also what is optional. */
export async function doctorChecks(platform: Platform, config: Config, root: string): Promise<readonly Check[]> {
	const optional = await Promise.all([
		check('node', true, async () => ({ok: true, why: `Node ${process.versions.node}`, fix: null})),
		check('python', false, () => python(platform, config)),
		check('model', false, async () => model(config, limitsMoney(platform.policy.current().document.budgets))),
		check('page', false, async () => {
			const built = await stat(path.join(root, 'web/dist/index.html')).then(
				() => true,
				() => false,
			);
			return {
				ok: built,
				why: built ? 'the page is built' : 'the page is not built; the API works without it',
				fix: built ? null : 'make run',
			};
		}),
		check('anchor', false, async () => {
			const {kind, why} = await platform.serverLog.state();
			const fix =
				kind === 'forked'
					? 'keep both as they are, and find out who changed the data directory'
					: 'set WRIT_ANCHOR to a file or a directory elsewhere, such as one under version control or on another machine';
			return {ok: kind === 'anchored', why, fix: kind === 'anchored' ? null : fix};
		}),
		check('tracing', false, async () => {
			const {otlpEndpoint, mlflowEnabled} = config.observability;
			const on = otlpEndpoint !== null || mlflowEnabled;
			return {
				ok: true,
				why: on ? 'traces are exported' : 'off',
				fix: on ? null : 'set OTEL_EXPORTER_OTLP_ENDPOINT or MLFLOW_ENABLED to turn it on',
			};
		}),
	]);
	return [...(await readyChecks(platform)), ...(await isolation(platform)), ...optional];
}

/** The provider in use, and every other with what it would be here. */
async function isolation({sandboxing}: Platform): Promise<readonly Check[]> {
	const {provider, why} = sandboxing;
	const used = await check('isolation', false, async () => {
		const found = await provider.facts({thorough: true});
		const {ok, fix, facts = {}} = toFinding(found);
		const {weaknesses} = found;
		return {
			ok: ok && weaknesses.length === 0,
			why: [why, ...weaknesses].join('; '),
			fix,
			facts: {provider: provider.name, ...facts},
		};
	});
	const surveyed = (await sandboxing.survey()).map((facts) => ({
		name: `sandbox ${facts.name}`,
		required: false,
		...toFinding(facts),
	}));
	return [used, ...surveyed];
}

function toFinding({availability, ...facts}: ProviderFacts): Finding {
	const {level, namespaces, seccomp, runs, egress, limits, weaknesses, versions} = facts;
	if (availability.kind === 'unavailable') return {ok: false, why: availability.reason, fix: availability.hint};
	const enforced = Object.entries(limits).map(([limit, how]) => `${limit} by ${how}`);
	return {
		ok: true,
		why: [
			`${level}; runs ${runs.join(', ')}`,
			`namespaces ${namespaces.join(', ') || 'none'}; seccomp ${seccomp ? 'on' : 'off'}; ${enforced.join(', ')}`,
			...weaknesses,
		].join('; '),
		fix: null,
		facts: {level, namespaces: [...namespaces], seccomp, runs: [...runs], egress, limits: {...limits}, versions: {...versions}},
	};
}

async function python({sandboxing: {provider}}: Platform, {limits}: Config): Promise<Finding> {
	if (!limits.enablePython) return {ok: true, why: 'switched off', fix: 'set ENABLE_PYTHON_EXECUTION=true to turn it on'};
	const {python: version} = await provider.runners();
	return version
		? {ok: true, why: `Python ${version}`, fix: null}
		: {ok: false, why: 'no Python with pandas and numpy', fix: 'run `scripts/python.sh`; SQL and plans work without it'};
}

function model({models}: Config, isLimited: boolean): Finding {
	const chosen = createModel(models);
	if (!chosen) {
		return {
			ok: true,
			why: 'none: the built-in planner answers',
			fix: 'set OPENAI_API_KEY, ANTHROPIC_API_KEY or OPENAI_BASE_URL to use one',
		};
	}
	const unknown = isLimited ? unpriced(chosen) : null;
	if (unknown) return {ok: false, why: `${unknown.message}, so it is asked nothing`, fix: unknown.hint ?? null};
	return {ok: true, why: `${chosen.id} (${chosen.provider}); what it proposes is governed like everything else`, fix: null};
}

type Finding = Pick<Check, 'ok' | 'why' | 'fix'> & {readonly facts?: NonNullable<Check['facts']>};

/** A check that cannot be made has failed. */
async function check(name: string, required: boolean, work: () => Promise<Finding>): Promise<Check> {
	try {
		return {name, required, ...(await work())};
	} catch (error) {
		const {message, hint} = toErrorBody(error);
		return {name, required, ok: false, why: message, fix: hint ?? null};
	}
}

/** The platform's version, as evidence names it. */
export async function readVersion(root: string): Promise<string> {
	const {version} = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as {version: string};
	return version;
}
