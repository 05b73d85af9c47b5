/**
 * Executors: typed clients of systems that a sandbox cannot hold. This one tells people elsewhere that an approval waits: signed, tried
 * again for a while and after a restart, and never in the way of a run. What it sends is what the record holds when it is sent, secrets
 * already taken out; of what was erased from it nothing is sent. Each message has an id, by which whoever gets it twice can tell.
 */
import {createHmac} from 'node:crypto';
import {setTimeout as delay} from 'node:timers/promises';
import {WritError} from '#contract/errors.ts';
import type {Event} from '#contract/event.ts';
import type {Outbox} from './webhook-outbox.ts';

export type WebhookOptions = {
	readonly url: string;
	/** signs what is sent */
	readonly secret: string;
	/** the next event of a run after one, or more, as they are stored */
	readonly read: (runId: string, after: number) => Promise<readonly Event[]>;
	/** what could not be delivered, and why */
	readonly report: (error: WritError) => void;
	/** before the second attempt; doubled for each one after it */
	readonly backoffMs?: number;
	/** what is kept here until it was taken is sent again by the next process; without one it is lost at the end of this one */
	readonly outbox?: Outbox;
};

export type Webhook = {
	/** Sends what concerns approvals, in order, and what was sent or taken in before not again. Returns at once and never throws. */
	notify(event: Event): void;
	/** Gives up on what has not been delivered; resolves when nothing is under way. */
	close(): Promise<void>;
};

type Failure = {readonly again: boolean; readonly why: string};

const ATTEMPTS = 6;
const TIMEOUT_MS = 5_000;
/** What waits to be sent; beyond it something is wrong elsewhere, and the inbox has it all. */
const MOST_WAITING = 1_000;

export function createWebhook({url, secret, read, report, backoffMs = 1_000, outbox}: WebhookOptions): Webhook {
	const stop = new AbortController();
	const state = {waiting: 0, last: Promise.resolve()};

	/** Null when it was taken, or there is nothing to send. A redirect is not followed: the signature is for this address. */
	const send = async (id: string): Promise<Failure | null> => {
		const body = bodyOf(await eventAt(id, read));
		if (body === null) return null;
		const timestamp = String(Math.floor(Date.now() / 1_000));
		const signature = sign(secret, timestamp, body);
		const headers = {
			'content-type': 'application/json',
			'x-writ-timestamp': timestamp,
			'x-writ-signature': signature,
			'x-writ-delivery': id,
		};
		const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(TIMEOUT_MS)]);
		const response = await fetch(url, {method: 'POST', headers, body, signal, redirect: 'manual'});
		await response.body?.cancel();
		if (response.ok) return null;
		return {again: response.status === 429 || response.status >= 500, why: `it answered ${response.status}`};
	};

	const deliver = async (id: string): Promise<void> => {
		for (let attempt = 1; ; attempt += 1) {
			const failure = await send(id).catch((error: unknown) => ({again: true, why: wordsOf(error)}));
			if (!failure) return outbox?.settled(id);
			if (stop.signal.aborted) return;
			if (!failure.again || attempt === ATTEMPTS) {
				const text = `an approval could not be told to the webhook: ${failure.why}`;
				return report(new WritError('not_ready', text, {hint: 'check WRIT_WEBHOOK_URL; the inbox has the approval'}));
			}
			// Ended by `stop`, which the next attempt meets.
			await delay(backoffMs * 2 ** (attempt - 1), undefined, {signal: stop.signal, ref: false}).catch(() => {});
		}
	};

	const queue = (id: string) => {
		state.waiting += 1;
		state.last = state.last
			.then(() => (stop.signal.aborted ? undefined : deliver(id)))
			.catch((error: unknown) => report(new WritError('store_unavailable', `the webhook's file: ${wordsOf(error)}`)))
			.finally(() => {
				state.waiting -= 1;
			});
	};
	for (const id of outbox?.waiting ?? []) queue(id);

	return {
		notify(event) {
			if (sentenceOf(event) === null || stop.signal.aborted) return;
			if (state.waiting >= MOST_WAITING) {
				report(new WritError('not_ready', `${MOST_WAITING} messages wait for the webhook, so one was left out`));
				return;
			}
			const id = `${event.runId}:${event.seq}`;
			try {
				if (outbox && !outbox.add(id)) return;
			} catch (error) {
				report(new WritError('store_unavailable', `the webhook's file: ${wordsOf(error)}`));
			}
			queue(id);
		},
		async close() {
			stop.abort();
			await state.last;
		},
	};
}

/** Undefined for what the store does not have. */
async function eventAt(id: string, read: WebhookOptions['read']): Promise<Event | undefined> {
	const [, runId = '', seq = ''] = /^(.*):(\d+)$/.exec(id) ?? [];
	const [event] = await read(runId, Number(seq) - 1);
	return event?.seq === Number(seq) ? event : undefined;
}

/** Null for what is about no approval, or was erased. */
function bodyOf(event: Event | undefined): string | null {
	const payload = event === undefined || event.erased !== undefined ? null : toPayload(event);
	return payload && JSON.stringify(payload);
}

/** `v1=` and the HMAC-SHA256 of `v1:TIMESTAMP:BODY` in hex. Whoever checks it refuses old timestamps. */
function sign(secret: string, timestamp: string, body: string): string {
	return `v1=${createHmac('sha256', secret).update(`v1:${timestamp}:${body}`).digest('hex')}`;
}

const MOST_PREVIEW = 2_000;

/** A message as Slack takes it; the metadata is for programs. Null for what is about no approval. */
function toPayload(event: Event): object | null {
	const text = sentenceOf(event);
	if (text === null || !('approvalId' in event.data)) return null;
	const {approvalId} = event.data;
	const preview = event.type === 'approval.requested' ? event.data.preview.slice(0, MOST_PREVIEW).replaceAll('`', "'") : null;
	const shown = preview === null ? [] : ['```', preview, '```', `\`writ approvals show ${approvalId}\``];
	const lines = [text, ...shown].map(inert);
	return {
		text: inert(text),
		blocks: [{type: 'section', text: {type: 'mrkdwn', text: lines.join('\n')}}],
		metadata: {
			event_type: `writ_${event.type.replace('.', '_')}`,
			event_payload: {runId: event.runId, seq: event.seq, at: event.at, ...event.data},
		},
	};
}

function sentenceOf(event: Event): string | null {
	switch (event.type) {
		case 'approval.requested': {
			const {tool, risk, requestedBy, approveBy, required = 1, approvers} = event.data;
			const people = required === 1 ? 'a person' : `${required} people`;
			const whom = approvers ? ` (${approvers.join(', ')})` : '';
			return `${tool}, risk ${risk}, asked by ${requestedBy.id}, waits for ${people}${whom} until ${approveBy}`;
		}
		case 'approval.escalated':
			return `${event.data.approvalId} still waits: ${event.data.notified.join(', ')}, please look at it`;
		case 'approval.delegated':
			return `${event.data.approver.id} handed ${event.data.approvalId} on to ${event.data.to}`;
		case 'approval.granted':
		case 'approval.rejected':
		case 'approval.revoked':
		case 'approval.commented': {
			const {approver, approvalId, comment} = event.data;
			return `${approver.id} ${event.type.slice('approval.'.length)} ${approvalId}${comment === '' ? '' : `: ${comment}`}`;
		}
		case 'approval.expired':
		case 'approval.cancelled':
			return `${event.data.approvalId} is ${event.type.slice('approval.'.length)}`;
		default:
			return null;
	}
}

/** INVARIANT: what an agent wrote mentions nobody and links nowhere. */
function inert(text: string): string {
	return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function wordsOf(error: unknown): string {
	if (!(error instanceof Error)) return 'it cannot be reached';
	return error.cause instanceof Error ? error.cause.message : error.message;
}
