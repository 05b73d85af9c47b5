/** An event in one line for a person; all of it is one click away. */
import type {Event} from '#contract/event.ts';
import {formatMs, plural} from '../ui/time.ts';

export type Tone = 'plain' | 'good' | 'bad' | 'wait';

export function summarise(event: Event): string {
	switch (event.type) {
		case 'run.started':
			return `${event.data.job} · ${event.data.mode}${event.data.dataset ? ` · ${event.data.dataset.id}` : ''}`;
		case 'message.added':
			return `${event.data.role}: ${event.data.content}`;
		case 'model.responded':
			return `${event.data.provider}/${event.data.model} · ${event.data.inputTokens} → ${event.data.outputTokens} tokens · ${formatMs(event.data.durationMs)}`;
		case 'model.failed':
			return `attempt ${event.data.attempt}: ${event.data.error.message}`;
		case 'action.proposed':
			return event.data.tool + (event.data.redactions > 0 ? ` · ${plural(event.data.redactions, 'secret')} removed` : '');
		case 'action.decided':
			return `${event.data.decision.effect} · risk ${event.data.decision.risk}`;
		case 'approval.requested':
			return event.data.preview;
		case 'approval.granted':
		case 'approval.rejected':
		case 'approval.revoked':
		case 'approval.commented':
			return `by ${event.data.approver.id}${event.data.comment ? `: ${event.data.comment}` : ''}`;
		case 'approval.delegated':
			return `by ${event.data.approver.id} to ${event.data.to}`;
		case 'approval.escalated':
			return `to ${event.data.notified.join(', ')}`;
		case 'approval.cancelled':
			return event.data.reason;
		case 'approval.expired':
			return event.data.approvalId;
		case 'action.intent':
			return `permit ${event.data.permitId}`;
		case 'action.outcome':
			return `${event.data.status} · ${formatMs(event.data.durationMs)}${event.data.error ? ` · ${event.data.error.message}` : ''}`;
		case 'action.verified': {
			const {checks, kind} = event.data.verdict;
			return `${kind} · ${checks.filter((check) => check.passed).length} of ${plural(checks.length, 'check')} passed`;
		}
		case 'answer.checked': {
			const {numbers} = event.data;
			return `${numbers.filter((number) => number.found).length} of ${plural(numbers.length, 'number')} found in the results`;
		}
		case 'run.resumed':
			return event.data.reason;
		case 'run.parked':
			return `waits for ${event.data.waitsFor}`;
		case 'mode.changed':
			return `${event.data.mode}${event.data.reason === '' ? '' : ` · ${event.data.reason}`}`;
		case 'content.erased':
			return 'content was erased';
		case 'hold.placed':
		case 'hold.release-asked':
		case 'hold.released':
			return `hold ${event.data.holdId}`;
		case 'audit.recorded':
			return [event.data.what, event.data.target, event.data.detail].filter(Boolean).join(' · ');
		case 'policy.changed':
		case 'policy.refused':
			return `policy ${event.data.version.slice(0, 12)}`;
		case 'run.finished':
			return `${event.data.status} · ${formatMs(event.data.durationMs)}`;
	}
}

export function toneOf(event: Event): Tone {
	switch (event.type) {
		case 'action.decided':
			return ({allow: 'good', ask: 'wait', deny: 'bad'} as const)[event.data.decision.effect];
		case 'action.outcome':
		case 'run.finished':
			return event.data.status === 'succeeded' ? 'good' : 'bad';
		case 'action.verified':
			return event.data.verdict.kind === 'verified' ? 'good' : 'bad';
		case 'approval.requested':
		case 'approval.escalated':
			return 'wait';
		case 'approval.granted':
			return 'good';
		case 'approval.rejected':
		case 'approval.revoked':
		case 'approval.expired':
		case 'approval.cancelled':
		case 'model.failed':
			return 'bad';
		default:
			return 'plain';
	}
}
