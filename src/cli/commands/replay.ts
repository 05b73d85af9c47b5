import type {Command as Program} from 'commander';
import type {ReplayReply} from '#contract/reproducibility.ts';
import {type Act, paint, print, printable, printJson} from '../io.ts';

/** Exit codes of a replay, which scripts rely on. */
const VERDICT_EXIT = {same: 0, different: 1, could_not: 2} as const;
const STYLES = {same: 'green', different: 'red', could_not: 'yellow'} as const;

export function replayCommand(program: Program, act: Act): void {
	program
		.command('replay')
		.description('do again what a run did, as a new run through every gate, and compare the results')
		.argument('<run>')
		.addHelpText(
			'after',
			'\nExit codes: 0 the results are the same, 1 they differ (where, is named), 2 it could not be done again.',
		)
		.action(
			act(async ({connect, io, json}, [runId]: [string]) => {
				const path = `/api/v1/runs/${encodeURIComponent(runId)}/replay`;
				const reply = (await (await (await connect()).fetch(path, {method: 'POST'})).json()) as ReplayReply;
				if (json) printJson(io, reply);
				else for (const line of describe(reply)) print(io, line);
				if (!json)
					print(
						io,
						`${paint(io, STYLES[reply.verdict], reply.verdict.replace('_', ' '))}: ${printable(reply.reason)}; run ${reply.runId}`,
					);
				return VERDICT_EXIT[reply.verdict];
			}),
		);
}

function describe({actions, changed}: ReplayReply): readonly string[] {
	return [
		...actions.map(({tool, same, was, is, difference}) =>
			same ? `same  ${tool} ${is.status}` : `OTHER ${tool} ${was.status} → ${is.status}, first at ${printable(difference ?? '')}`,
		),
		...changed.map(({fact, was, is}) => `${fact} was ${printable(String(was))}, is ${printable(String(is))}`),
	];
}
