/** The audit row of an event. Apart from how rows are found again, so that the thread that writes loads nothing for that. */
import type {Event} from '#contract/event.ts';
import type {RunRow} from '#kernel/ports.ts';
import {fold, storable, toInstant} from './project.ts';
import type {Tables} from './schema.ts';

/** A row before its action's tool is joined to it. */
export type AuditDraft = Tables['audit'];

const MAX_DETAIL = 500;

/** The row of an event; null for what nobody answers for: speech, answers of models, what follows from other events. */
export function projectAudit(event: Event, run: RunRow): AuditDraft | null {
	const said = describe(event);
	if (said === null) return null;
	const detail = storable(said.slice(0, MAX_DETAIL));
	const {data, type} = event;
	return {
		...{run_id: event.runId, seq: event.seq, hash: event.hash, at: toInstant(event.at), tenant: run.tenant, type},
		...{
			actor: storable(event.actor.id),
			actor_kind: event.actor.kind,
			principal: storable(event.actor.onBehalfOf ?? run.principal),
			job: run.job,
			mode: run.mode,
		},
		action_id: 'actionId' in data && typeof data.actionId === 'string' ? storable(data.actionId) : null,
		tool: type === 'action.proposed' ? storable(data.tool) : null,
		decision: type === 'action.decided' ? data.decision.effect : null,
		risk: type === 'action.decided' ? data.decision.risk : null,
		detail,
		folded: fold(detail),
		...fromWhere(event),
	};
}

function fromWhere({data}: Event): Pick<AuditDraft, 'address' | 'client' | 'request_id'> {
	const origin = 'origin' in data ? data.origin : undefined;
	if (!origin) return {address: null, client: null, request_id: null};
	const {address = null, client, requestId = null} = origin;
	return {address: address && storable(address), client, request_id: requestId && storable(requestId)};
}

function describe(event: Event): string | null {
	switch (event.type) {
		case 'run.started':
			return event.data.question ?? '';
		case 'action.proposed':
			return event.erased === undefined ? (JSON.stringify(event.data.input) ?? '') : '';
		case 'action.decided':
			return event.data.decision.gates
				.map(({gate, effect, rules, reason}) => `${gate} ${effect} (${rules.join(', ')}): ${reason}`)
				.join('; ');
		case 'approval.requested':
			return event.data.preview;
		case 'approval.granted':
		case 'approval.rejected':
		case 'approval.revoked':
		case 'approval.commented':
		case 'approval.delegated':
			return `${event.data.approver.id}: ${event.data.comment}`;
		case 'approval.expired':
			return event.data.approvalId;
		case 'approval.escalated':
			return event.data.notified.join(', ');
		case 'approval.cancelled':
			return event.data.reason;
		case 'mode.changed': {
			const {mode, scope, reason} = event.data;
			const whose = Object.entries(scope ?? {platform: 'all'}).map(([name, value]) => `${name} ${value}`);
			return `${mode} for ${whose.join(', ')}${reason === '' ? '' : `: ${reason}`}`;
		}
		case 'content.erased':
			return `${event.data.runId}: ${event.data.events.length} events, by the rule ${event.data.rule}: ${event.data.reason}`;
		case 'hold.placed':
			return `${event.data.holdId}: ${event.data.kind} ${event.data.target}: ${event.data.reason}`;
		case 'hold.release-asked':
		case 'hold.released':
			return `${event.data.holdId}: ${event.data.reason}`;
		case 'audit.recorded':
			return [event.data.what, event.data.target, event.data.detail].filter(Boolean).join(': ');
		case 'action.outcome':
			return `${event.data.status}${event.data.error ? `: ${event.data.error.message}` : ''}`;
		case 'run.finished':
			return `${event.data.status}${event.data.error ? `: ${event.data.error.message}` : ''}`;
		default:
			return null;
	}
}
