/** Two tenants with data of every kind, for tests that look at what one may know of the other. */
import assert from 'node:assert/strict';
import type {WorkReply} from '#contract/api.ts';
import type {Approval} from '#contract/approval-api.ts';
import {freshData, type Scope, startWrit, type Writ} from './server.ts';

/** Asks the server as one person. */
export type Person = (path: string, init?: RequestInit) => Promise<Response>;
export type CapsuleReply = readonly unknown[];

export type Data = {
	readonly ids: Readonly<
		Record<'run' | 'code' | 'waiting' | 'thread' | 'dataset' | 'approval' | 'sha256' | 'token' | 'account' | 'hold', string>
	>;
	/** texts that only this tenant has */
	readonly marks: readonly string[];
};

const PEOPLE = {'ann-of-acme': 'acme', 'eve-of-other': 'other'} as const;

export async function serveTwo(scope: Scope): Promise<Writ> {
	const tokens = Object.entries(PEOPLE).map(([id, tenant]) => `${id}-token-0123456789=${id}@${tenant}`);
	const env = {
		SANDBOX_PROVIDER: 'process',
		WRIT_POOL_SIZE: '0',
		WRIT_AUTH_TOKENS: tokens.join(','),
		WRIT_BURST: '10000',
	};
	return startWrit(scope, {dataDir: freshData(scope), until: 'listening', env});
}

export function personOf(writ: Writ, id: keyof typeof PEOPLE): Person {
	return (path, init = {}) =>
		writ.request(path, {
			...init,
			headers: {...(init.headers as Record<string, string>), authorization: `Bearer ${id}-token-0123456789`},
		});
}

/** A dataset, answers in a thread, a program that left a file, one that waits for a person, a token and a mode of its own. */
export async function fillTenant(person: Person, tenant: string): Promise<Data> {
	const post = async <T>(path: string, body: unknown, status = 200): Promise<T> => {
		const reply = await person(path, {method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(body)});
		const text = await reply.text();
		assert.equal(reply.status, status, `${path}: ${text}`);
		return JSON.parse(text) as T;
	};
	const secret = `secret-of-${tenant}`;
	const dataset = `people_of_${tenant}`;
	const thread = `thread-of-${tenant}`;
	const form = new FormData();
	form.append('file', new Blob([`name,${tenant}_column\n${secret},1\n`], {type: 'text/csv'}), 'people.csv');
	form.append('id', dataset);
	const added = await person('/datasets', {method: 'POST', body: form});
	assert.equal(added.status, 201, await added.text());
	const question = `SQL: SELECT '${secret}' AS ${tenant}_answer`;
	const answer = await post<{run_id: string}>('/chat', {dataset_id: dataset, message: question, thread_id: thread});
	const work = await post<WorkReply>('/api/v1/code', {
		language: 'shell',
		code: `echo ${secret} | tee /out/kept.txt`,
		artifacts: true,
	});
	const [artifact] = (work.output as {artifacts: {sha256: string}[]} | null)?.artifacts ?? [];
	assert.ok(artifact, JSON.stringify(work));
	await post('/api/v1/kill-switch', {mode: 'propose', reason: secret, scope: {tool: 'code.shell'}});
	const waiting = await post<WorkReply>('/api/v1/code', {language: 'shell', code: `echo ${secret}`});
	const approvalId = waiting.approvalId ?? '';
	await post<Approval>(`/api/v1/approvals/${approvalId}/comment`, {comment: secret});
	const token = await post<{token?: string; tokenId: string}>(
		'/api/v1/tokens',
		{name: `key-of-${tenant}`, roles: ['viewer']},
		201,
	);
	const hold = await post<{holdId: string}>('/api/v1/holds', {kind: 'run', target: answer.run_id, reason: secret}, 201);
	const me = (await (await person('/api/v1/me')).json()) as {id: string};
	const ids = {
		...{run: answer.run_id, code: work.runId, waiting: waiting.runId, thread, dataset, approval: approvalId},
		...{sha256: artifact.sha256, token: token.tokenId, account: me.id, hold: hold.holdId},
	};
	return {
		ids,
		marks: [...Object.values(ids), secret, `${tenant}_column`, `key-of-${tenant}`, tenant].filter((mark) => mark !== ''),
	};
}
