import type {Event} from '#contract/event.ts';
import {type ActionRecord, endOf, faultOf, frameOf, testsOf, toActions} from './actions.ts';
import {canonical} from './canonical.ts';

/** What other programs and people read of a run: JUnit XML, SARIF 2.1.0 and Markdown. */
export function toReports(events: readonly Event[]): ReadonlyMap<string, string> {
	const actions = toActions(events);
	return new Map([
		['reports/junit.xml', toJunit(events, actions)],
		['reports/results.sarif', toSarif(events, actions)],
		['reports/summary.md', toSummary(events, actions)],
	]);
}

/** A suite for each action, and in it a case for each thing that was tested; an action that did not run is one skipped case. */
function toJunit(events: readonly Event[], actions: readonly ActionRecord[]): string {
	const suites = actions.map((action) => {
		const {proposed, outcome} = action;
		const fault = faultOf(action);
		const tests = outcome
			? testsOf(action)
			: [{name: `${proposed.data.tool} runs`, status: 'skipped' as const, message: fault?.message ?? null}];
		const count = (...statuses: readonly string[]) => tests.filter(({status}) => statuses.includes(status)).length;
		const seconds = ((outcome?.data.durationMs ?? 0) / 1_000).toFixed(3);
		const cases = tests.map(({name, status, message}) => {
			const open = `    <testcase classname="${xml(proposed.data.tool)}" name="${xml(name)}"`;
			const tag = {passed: null, skipped: 'skipped', failed: 'failure', error: 'error'}[status];
			return tag === null ? `${open}/>` : `${open}><${tag} message="${xml(message ?? endOf(action))}"/></testcase>`;
		});
		const numbers = `tests="${tests.length}" failures="${count('failed')}" errors="${count('error')}" skipped="${count('skipped')}"`;
		const open = `  <testsuite name="${xml(`${proposed.data.tool} ${proposed.data.actionId}`)}" ${numbers} time="${seconds}" timestamp="${proposed.at}">`;
		return [open, ...cases, '  </testsuite>'].join('\n');
	});
	const name = xml(events[0]?.runId ?? '');
	return ['<?xml version="1.0" encoding="UTF-8"?>', `<testsuites name="${name}">`, ...suites, '</testsuites>', ''].join('\n');
}

/** Text that no XML reader stumbles over: what XML cannot hold becomes U+FFFD. */
function xml(text: string): string {
	const replace: Readonly<Record<string, string>> = {'<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;', '\n': '&#10;'};
	return text
		.toWellFormed()
		.replace(/[^\P{Cc}\n\t]|[\ufffe\uffff]/gu, '\ufffd')
		.replace(/[<>&"\n]/g, (character) => replace[character] ?? '');
}

/** A result for each action that did not do what was wanted. */
function toSarif(events: readonly Event[], actions: readonly ActionRecord[]): string {
	const {started, finished} = frameOf(events);
	const results = actions.flatMap((action) => {
		const fault = faultOf(action);
		if (!fault) return [];
		const {actionId, tool} = action.proposed.data;
		return {
			ruleId: fault.rule,
			level: action.outcome ? 'error' : 'warning',
			message: {text: `${tool} ${endOf(action)}: ${fault.message}`},
			locations: [
				{logicalLocations: [{name: actionId, fullyQualifiedName: `${action.proposed.runId}/${actionId}`, kind: 'function'}]},
			],
			partialFingerprints: {action: action.proposed.hash},
		};
	});
	const rules = [...new Set(results.map(({ruleId}) => ruleId))].sort().map((id) => ({id}));
	const sarif = {
		$schema: 'https://json.schemastore.org/sarif-2.1.0.json',
		version: '2.1.0',
		runs: [
			{
				tool: {driver: {name: 'writ', informationUri: 'urn:writ', semanticVersion: versionOf(started?.software), rules}},
				automationDetails: {id: events[0]?.runId ?? ''},
				invocations: [{executionSuccessful: finished?.status === 'succeeded', endTimeUtc: events.at(-1)?.at ?? ''}],
				results,
			},
		],
	};
	return `${canonical(sarif)}\n`;
}

function versionOf(software = ''): string {
	return /\d+\.\d+\.\d+[\w.+-]*/.exec(software)?.[0] ?? '0.0.0';
}

function toSummary(events: readonly Event[], actions: readonly ActionRecord[]): string {
	const {started, finished} = frameOf(events);
	const [first, last] = [events[0], events.at(-1)];
	const rows = actions.map((action) => {
		const {proposed, decided, answers, verified} = action;
		const decision = decided?.data.decision;
		const who = answers.flatMap(({data}) => ('approver' in data ? [data.approver.id] : []));
		const cells = [
			`${proposed.seq}`,
			proposed.data.tool,
			decision?.effect ?? 'not decided',
			decision?.risk ?? '',
			who.join(', ') || '—',
			endOf(action),
			verified?.data.verdict.kind ?? '—',
		];
		return `| ${cells.map(cell).join(' | ')} |`;
	});
	const faults = actions.flatMap((action) => {
		const fault = faultOf(action);
		return fault ? [`- \`${action.proposed.data.tool}\` ${endOf(action)} (${cell(fault.rule)}): ${cell(fault.message)}`] : [];
	});
	return [
		`# Run ${first?.runId ?? ''}`,
		'',
		...(started?.question ? [`> ${cell(started.question)}`, ''] : []),
		`- Ended: **${finished?.status ?? 'not yet'}**, ${first?.at ?? ''} to ${last?.at ?? ''}`,
		`- For: ${cell(started?.principal.id ?? '')} (${started?.principal.kind}) of tenant ${cell(started?.principal.tenant ?? '')}`,
		`- Job: ${started?.job ?? ''}, ${cell(started?.mode ?? '')}`,
		...(started?.dataset ? [`- Data: ${cell(started.dataset.id)}, snapshot \`${started.dataset.hash}\``] : []),
		`- Software: ${cell(started?.software ?? '')}; policy \`${started?.policyVersion ?? ''}\``,
		`- Chain: ${events.length} events, the last \`${last?.hash ?? ''}\``,
		'',
		'## Actions',
		'',
		...(rows.length > 0
			? ['| Event | Tool | Decision | Risk | Answered by | End | Verdict |', '|---|---|---|---|---|---|---|', ...rows]
			: ['None.']),
		...(faults.length > 0 ? ['', '## What did not succeed', '', ...faults] : []),
		'',
	].join('\n');
}

/** Text of others in one cell: no row, no link and no markup of its own. */
function cell(text: string): string {
	const line = text.replace(/\s+/g, ' ').slice(0, 500).toWellFormed();
	return line.replace(/[\\`*_{}[\]<>()#|!]/g, '\\$&');
}
