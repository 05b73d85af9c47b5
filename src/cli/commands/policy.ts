import {resolve} from 'node:path';
import {InvalidArgumentError, type Command as Program} from 'commander';
import {WritError} from '#contract/errors.ts';
import type {Decision} from '#contract/event.ts';
import type {BacktestReply, Comparison, Explanation, PolicyReload} from '#contract/policy-api.ts';
import {type Problem, showProblem} from '#policy/policy-text.ts';
import {type Act, type Command, type Io, paint, print, printable, printJson} from '../io.ts';

export function policyCommands(program: Program, act: Act): void {
	const policy = program.command('policy').description('what decides about actions');
	showCommand(policy, act);
	checkCommand(policy, act);
	testCommand(policy, act);
	explainCommand(policy, act);
	diffCommand(policy, act);
	backtestCommand(policy, act);
	reloadCommand(policy, act);
}

function showCommand(policy: Program, act: Act): void {
	policy
		.command('show', {isDefault: true})
		.description('the policy in force, with everything its file leaves out')
		.option('--sources', 'also the Cedar rules and their schema')
		.action(
			act(async ({connect, local, io, json}, [{sources}]: [{sources?: boolean}]) => {
				const reply = await (await (await connect()).api.api.v1.policy.$get()).json();
				if (json) return printJson(io, reply);
				print(io, `# version ${reply.version}`);
				for (const problem of reply.problems) io.err(`not in force: ${showProblem(problem)}\n`);
				print(io, printable((await local.policy()).toYaml(reply.document)).trimEnd());
				for (const {name, text} of sources ? reply.sources : []) print(io, `\n# ${name}\n${printable(text).trimEnd()}`);
			}),
		);
}

function checkCommand(policy: Program, act: Act): void {
	policy
		.command('check')
		.description('whether a policy file could come into force; needs no server')
		.argument('<file>')
		.addHelpText(
			'after',
			'\nExit codes: 0 sound, 1 not sound: each mistake with its line.\nExample:\n  writ policy check policy.yaml',
		)
		.action(
			act(async ({local, io, json}, [file]: [string]) => {
				const {version, problems} = (await local.policy()).check(resolve(io.cwd, file));
				if (json) printJson(io, {ok: version !== null, version, problems});
				else if (version !== null) print(io, `${file} is sound: version ${version}`);
				else printProblems(io, problems);
				return version === null ? 1 : 0;
			}),
		);
}

function testCommand(policy: Program, act: Act): void {
	policy
		.command('test')
		.description('run test cases against a policy; needs no server')
		.argument('<file...>', 'YAML files with cases: who uses which tool on what facts, and what has to come of it')
		.option('-p, --policy <file>', 'the policy; by default the one the settings name, or the built-in one')
		.addHelpText(
			'after',
			'\nExit codes: 0 all passed, 1 some failed, 2 there was nothing to test.\nExample:\n  writ policy test cases.yaml --policy policy.yaml',
		)
		.action(
			act(async ({local, io, json}, [files, options]: [string[], {policy?: string}]) => {
				const chosen = options.policy === undefined ? null : resolve(io.cwd, options.policy);
				const {results, problems} = (await local.policy()).test(
					files.map((file) => resolve(io.cwd, file)),
					chosen,
				);
				const failed = results.filter(({passed}) => !passed).length;
				if (json) printJson(io, {passed: results.length - failed, failed, results, problems});
				else {
					printProblems(io, problems);
					for (const {name, passed, detail} of results)
						print(
							io,
							`${passed ? paint(io, 'green', 'ok  ') : paint(io, 'red', 'FAIL')} ${printable(name)}: ${printable(detail)}`,
						);
					print(io, `${results.length - failed} passed, ${failed} failed`);
				}
				if (problems.length > 0 || results.length === 0) return 2;
				return failed > 0 ? 1 : 0;
			}),
		);
}

type ExplainOptions = {tool?: string; input?: string; as?: string};

function explainCommand(policy: Program, act: Act): void {
	policy
		.command('explain')
		.description('why an action was decided so, and what would be decided now')
		.argument('[run]')
		.argument('[action]', 'by default the last one that was decided')
		.option('--tool <name>', 'an action that nobody has proposed, instead of a run')
		.option('--input <json>', 'its input', '{}')
		.option('--as <who>', 'who proposes it, e.g. agent:analyst; by default you')
		.addHelpText(
			'after',
			`
Examples:
  writ policy explain run_123
  writ policy explain --tool analyst.sql --input '{"dataset_id":"support","sql":"SELECT 1"}' --as agent:analyst`,
		)
		.action(
			act(
				async (
					{connect, io, json},
					[run, action, {tool, input, as}]: [string | undefined, string | undefined, ExplainOptions],
				) => {
					if ((run === undefined) === (tool === undefined))
						throw new WritError('invalid_request', 'name a run, or an action with --tool');
					const body =
						run === undefined
							? {tool, input: toJson(input ?? '{}'), ...(as && {as})}
							: {runId: run, ...(action && {actionId: action})};
					const explanation = (await post(await connect(), 'explain', body)) as Explanation;
					if (json) printJson(io, explanation);
					else for (const line of describeExplanation(explanation, io)) print(io, line);
				},
			),
		);
}

function diffCommand(policy: Program, act: Act): void {
	policy
		.command('diff')
		.description('what differs between two policy files, and what that makes stricter or looser; needs no server')
		.argument('<old>')
		.argument('<new>')
		.addHelpText('after', '\nExit codes: 0 no difference, 1 a difference, 2 one of them is not sound.')
		.action(
			act(async ({local, io, json}, [before, after]: [string, string]) => {
				const {comparison, problems} = (await local.policy()).diff(resolve(io.cwd, before), resolve(io.cwd, after));
				if (json) printJson(io, comparison ?? {problems});
				else if (comparison === null) printProblems(io, problems);
				else for (const line of describeComparison(comparison, io)) print(io, line);
				if (comparison === null) return 2;
				return comparison.same ? 0 : 1;
			}),
		);
}

function backtestCommand(policy: Program, act: Act): void {
	policy
		.command('backtest')
		.description('decide recorded actions again under another policy, and show every decision that would change')
		.requiredOption('-p, --policy <file>', 'the policy to try')
		.option('--since <when>', 'how far back: 7d, 12h, 30m, or a date', toInstant, toInstant('7d'))
		.addHelpText(
			'after',
			'\nExit codes: 0 nothing would change, 1 something would, 2 no action was recorded since then.\nExample:\n  writ policy backtest --since 7d --policy policy.yaml',
		)
		.action(
			act(async ({connect, local, io, json}, [{policy: file, since}]: [{policy: string; since: string}]) => {
				const text = (await local.policy()).gather(resolve(io.cwd, file));
				const reply = (await post(await connect(), 'backtest', {since, policy: text})) as BacktestReply;
				if (json) printJson(io, reply);
				else for (const line of describeBacktest(reply, since, io)) print(io, line);
				if (reply.examined === 0) return 2;
				return reply.unchanged < reply.examined ? 1 : 0;
			}),
		);
}

function reloadCommand(policy: Program, act: Act): void {
	policy
		.command('reload')
		.description('have the server read its policy file again; a broken one changes nothing')
		.action(
			act(async ({connect, io, json}) => {
				const reply = (await post(await connect(), 'reload', {})) as PolicyReload;
				if (json) printJson(io, reply);
				else {
					printProblems(io, reply.problems);
					print(io, `${reply.kind}: version ${reply.version} is in force`);
				}
				return reply.kind === 'refused' ? 1 : 0;
			}),
		);
}

async function post({fetch}: Awaited<ReturnType<Command['connect']>>, what: string, body: unknown): Promise<unknown> {
	const headers = {'content-type': 'application/json'};
	return (await fetch(`/api/v1/policy/${what}`, {method: 'POST', headers, body: JSON.stringify(body)})).json();
}

function toJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (cause) {
		throw new WritError('invalid_request', '--input has to be JSON', {cause});
	}
}

const UNITS = {d: 86_400_000, h: 3_600_000, m: 60_000} as const;

/** `7d` as the time seven days ago; a date as it is. */
function toInstant(text: string): string {
	const [, count, unit] = /^(\d{1,5})([dhm])$/.exec(text) ?? [];
	const time = count && unit ? Date.now() - Number(count) * UNITS[unit as keyof typeof UNITS] : Date.parse(text);
	if (Number.isNaN(time)) throw new InvalidArgumentError('It has to be like 7d, 12h, 30m or 2026-03-01.');
	return new Date(time).toISOString();
}

function printProblems(io: Io, problems: readonly Problem[]): void {
	for (const problem of problems) print(io, printable(showProblem(problem)));
}

const STYLE = {allow: 'green', ask: 'yellow', deny: 'red'} as const;

function describeExplanation({runId, actionId, tool, principal, recorded, now}: Explanation, io: Io): string[] {
	const who = `${principal.kind} ${printable(principal.id)}`;
	const what = runId === null ? `${who} would use ${tool}` : `${who} used ${tool}: ${actionId} of ${runId}`;
	const same = recorded !== null && now !== null && JSON.stringify(recorded) === JSON.stringify(now);
	return [
		what,
		...(recorded === null ? [] : ['', ...describeDecision('then', recorded, io)]),
		...(now === null ? ['', 'now: the tool is gone or refuses the input, so no gate would judge it'] : []),
		...(same ? ['', 'now: the same'] : now === null ? [] : ['', ...describeDecision('now', now, io)]),
	];
}

function describeDecision(when: string, {effect, quorum, risk, policyVersion, gates}: Decision, io: Io): string[] {
	const people = quorum === undefined ? '' : ` of ${quorum} people`;
	return [
		`${when}: ${paint(io, STYLE[effect], effect)}${people}, risk ${risk}, policy ${policyVersion.slice(0, 12)}`,
		...gates.flatMap((gate) => [
			`  ${paint(io, STYLE[gate.effect], gate.effect.padEnd(5))} ${gate.gate}: ${printable(gate.reason)} [${gate.rules.join(', ')}]`,
			...(gate.factors ?? []).map(({name, detail, points, level}) => {
				const weight = [level, points === undefined ? undefined : `${points} points`]
					.filter((part) => part !== undefined)
					.join(', ');
				return `          ${name}: ${printable(detail)}${weight === '' ? '' : ` (${weight})`}`;
			}),
		]),
	];
}

function describeComparison({same, values, rules, asked, stricter, looser, examples}: Comparison, io: Io): string[] {
	if (same) return [`no difference, in ${asked} questions`];
	return [
		...values.map(
			({path, before, after}) => `${path}: ${JSON.stringify(before) ?? 'not there'} → ${JSON.stringify(after) ?? 'not there'}`,
		),
		...(rules ? ['the Cedar rules differ'] : []),
		`${asked} questions: ${stricter} stricter, ${looser} looser`,
		...examples.map(({question, before, after}) => `  ${paint(io, STYLE[after], `${before} → ${after}`)} ${question}`),
	];
}

function describeBacktest(
	{runs, examined, skipped, unchanged, counts, changes, truncated}: BacktestReply,
	since: string,
	io: Io,
): string[] {
	return [
		...changes.map(
			({at, runId, actionId, tool, principal, before, after}) =>
				`${at.slice(0, 19)} ${paint(io, STYLE[after.effect], `${before.effect} → ${after.effect}${after.quorum > 1 ? ` (${after.quorum})` : ''}`)} ${tool} by ${principal.kind} ${printable(principal.id)}, ${actionId} of ${runId}: ${printable(after.reason)} [${after.rules.join(', ')}]`,
		),
		...(truncated ? ['… the rest is only counted'] : []),
		...Object.entries(counts).map(([kind, count]) => `${kind}: ${count}`),
		`${examined} decisions in ${runs} runs since ${since.slice(0, 19)}: ${unchanged} unchanged, ${examined - unchanged} changed; ${skipped} could not be taken again`,
	];
}
