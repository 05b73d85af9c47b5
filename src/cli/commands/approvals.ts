import {createHash} from 'node:crypto';
import type {Command as Program} from 'commander';
import type {Approval, ApprovalsReply} from '#contract/approval-api.ts';
import {type Act, type Command, type Io, paint, print, printable, printJson} from '../io.ts';
import {renderTable} from '../table.ts';

/** What waits for people, and their answers. */
export function approvalCommands(program: Program, act: Act): void {
	const approvals = program
		.command('approvals')
		.description('actions that wait for people')
		.addHelpText(
			'after',
			`
Examples:
  writ approvals
  writ approvals show apr_123
  writ approvals approve apr_123 -m "checked with the owner"
  writ approvals delegate apr_123 grace`,
		);
	approvals
		.command('list', {isDefault: true})
		.description('those that wait; with --all, those that were answered too')
		.option('--all', 'whatever their state')
		.action(
			act(async ({connect, io, json}, [{all}]: [{all?: boolean}]) => {
				const query = all ? {} : {state: 'pending' as const};
				const reply = (await (await (await connect()).api.api.v1.approvals.$get({query})).json()) as ApprovalsReply;
				if (json) printJson(io, reply);
				else print(io, describeList(reply, io));
			}),
		);
	approvals
		.command('show')
		.description('what would be done, how far it reaches, and who has said what')
		.argument('<approval>')
		.action(
			act(async (command, [id]: [string]) => {
				const approval = await load(command, id);
				if (command.json) printJson(command.io, approval);
				else print(command.io, describe(approval, command.io));
			}),
		);
	answerCommands(approvals, act);
}

type Given = {readonly comment: string; readonly confirm?: string; readonly digest?: string};

function answerCommands(approvals: Program, act: Act): void {
	approvals
		.command('approve')
		.alias('grant')
		.description('shows what would be done and allows exactly that, once; its run goes on when enough people have')
		.argument('<approval>')
		.option('-m, --comment <text>', 'why; kept with the run', '')
		.option('--confirm <action>', 'the id of its action, when you have granted much lately')
		.option('--digest <sha256>', 'the preview that you looked at; without it the one shown now')
		.action(
			act(async (command, [id, {comment, confirm, digest}]: [string, Given]) => {
				const approval = await load(command, id);
				const tell = command.json ? command.io.err : command.io.out;
				tell(`${describe(approval, command.io)}\n`);
				const previewDigest = digest ?? createHash('sha256').update(approval.preview).digest('hex');
				await send(command, id, 'grant', {comment, previewDigest, ...(confirm === undefined ? {} : {confirm})});
			}),
		);
	for (const [verb, about] of [
		['reject', 'refuse the action; its run goes on without it'],
		['revoke', 'take your grant back before it is used, or all of an approval that was granted'],
	] as const) {
		approvals
			.command(verb)
			.description(about)
			.argument('<approval>')
			.option('-m, --comment <text>', 'why; kept with the run', '')
			.action(act((command, [id, {comment}]: [string, Given]) => send(command, id, verb, {comment})));
	}
	approvals
		.command('comment')
		.description('say something about it; kept with the run')
		.argument('<approval>')
		.argument('<text>')
		.action(act((command, [id, comment]: [string, string]) => send(command, id, 'comment', {comment})));
	approvals
		.command('delegate')
		.description('hand it on to another person, and not answer it yourself')
		.argument('<approval>')
		.argument('<person>')
		.option('-m, --comment <text>', 'why; kept with the run', '')
		.action(act((command, [id, to, {comment}]: [string, string, Given]) => send(command, id, 'delegate', {to, comment})));
}

async function load({connect}: Command, id: string): Promise<Approval> {
	return (await (await connect()).fetch(`/api/v1/approvals/${encodeURIComponent(id)}`)).json() as Promise<Approval>;
}

async function send({connect, io, json}: Command, id: string, verb: string, body: object): Promise<void> {
	const path = `/api/v1/approvals/${encodeURIComponent(id)}/${verb}`;
	const headers = {'content-type': 'application/json'};
	const response = await (await connect()).fetch(path, {method: 'POST', headers, body: JSON.stringify(body)});
	const approval = (await response.json()) as Approval;
	if (json) printJson(io, approval);
	else print(io, `${approval.approvalId} ${stateOf(approval)}; run ${approval.runId}`);
}

function describeList({approvals, rate}: ApprovalsReply, io: Io): string {
	if (approvals.length === 0) return 'nothing waits';
	const rows = approvals.map((row) => [
		row.approvalId,
		stateOf(row),
		row.risk,
		row.tool,
		row.approveBy.slice(0, 19),
		row.preview,
	]);
	const table = renderTable(['approval', 'state', 'risk', 'tool', 'answer by', 'what'], rows, io);
	if (rate.granted < rate.limit) return table;
	return `${table}\nyou granted ${rate.granted} in the last ${rate.windowSeconds} s: the next wants --comment and --confirm`;
}

function stateOf({state, grantedBy, required}: Approval): string {
	return required > 1 && (state === 'pending' || state === 'granted') ? `${state} (${grantedBy.length} of ${required})` : state;
}

function describe(approval: Approval, io: Io): string {
	const {blastRadius: reach, owner, approvers, parentActionId, history} = approval;
	const risky = approval.risk === 'high' || approval.risk === 'critical';
	const facts: readonly (readonly [string, string | null])[] = [
		['approval', `${approval.approvalId} ${stateOf(approval)}`],
		['action', `${approval.actionId} of run ${approval.runId}`],
		['called by', parentActionId && `the code of ${parentActionId}, which waits`],
		['tool', reach ? `${approval.tool} (${reach.effect}) on ${reach.target.type} ${reach.target.id}` : approval.tool],
		['risk', paint(io, risky ? 'red' : 'yellow', approval.risk)],
		['hosts', reach && reach.hosts.length > 0 ? reach.hosts.join(', ') : null],
		[
			'budget',
			reach &&
				Object.entries(reach.budget)
					.map(([name, {used, limit}]) => `${used} of ${limit} ${name}`)
					.join(', '),
		],
		['asked by', `${approval.requestedBy}${owner ? ` for ${owner}` : ''}, ${approval.requestedAt}`],
		['answer by', approval.approveBy],
		['may answer', approvers?.join(', ') ?? null],
		['preview', `sha256 ${approval.previewDigest}`],
	];
	const said = history.map(({at, kind, by, comment, to}) =>
		[at, by ?? 'writ', kind, to.length > 0 ? `to ${to.join(', ')}` : '', comment].filter(Boolean).join(' '),
	);
	return [
		...facts.flatMap(([name, value]) =>
			value === null ? [] : [`${name.padEnd(11)}${name === 'risk' ? value : printable(value)}`],
		),
		'',
		...approval.preview.split('\n').map((line) => `  ${printable(line)}`),
		...(said.length > 0 ? ['', ...said.map((line) => printable(line))] : []),
	].join('\n');
}
