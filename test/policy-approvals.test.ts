/** Who may answer, who is asked too and how much is too much: policy.yaml says it, and what it leaves out the settings do. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import type {WorkReply} from '#contract/api.ts';
import type {ApprovalsReply} from '#contract/approval-api.ts';
import {freshData, startWrit} from './server.ts';

test('the approvers and the limits of policy.yaml count, and settings where it is silent', async (t) => {
	const dataDir = freshData(t);
	const file = path.join(dataDir, 'policy.yaml');
	const write = (approvals: string) =>
		writeFileSync(file, `version: 1\nmodes: [{tool: code.shell, mode: propose}]\napprovals: ${approvals}\n`);
	write('{approvers: [ada, bo], fatigue: {grants: 3, windowSeconds: 60}}');
	const env = {
		WRIT_POLICY_FILE: file,
		WRIT_POOL_SIZE: '0',
		WRIT_APPROVERS: 'cy',
		WRIT_GRANTS_IN_WINDOW: '7',
		WRIT_GRANT_WINDOW_SECONDS: '30',
	};
	const writ = await startWrit(t, {dataDir, until: 'listening', env});
	const approvers = async () => {
		const {body} = await writ.post<WorkReply>('/api/v1/code', {language: 'shell', code: 'true'});
		const {approvals, rate} = (await writ.get<ApprovalsReply>('/api/v1/approvals')).body;
		return [approvals.find(({approvalId}) => approvalId === body.approvalId)?.approvers, rate.limit, rate.windowSeconds];
	};
	assert.deepEqual(await approvers(), [['ada', 'bo'], 3, 60]);
	write('{}');
	assert.equal((await writ.post<{kind: string}>('/api/v1/policy/reload')).body.kind, 'changed');
	assert.deepEqual(await approvers(), [['cy'], 7, 30]);
});
