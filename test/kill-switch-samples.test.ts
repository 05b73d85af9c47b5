/** Rows that were read once are shown as long as the gates would let them be read again, and no longer. */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import type {DatasetSchemaReply} from '#contract/api.ts';
import type {AuditReply} from '#contract/audit.ts';
import {freshData, startWrit, type Writ} from './server.ts';

const PLAIN = 'version: 1\n';
const FORBIDDING = `${PLAIN}cedar:\n  rules: |\n    forbid (principal, action == Action::"analyst.sql", resource);\n`;

async function shown(writ: Writ): Promise<{readonly rows: number; readonly notices: readonly string[]}> {
	const {status, body} = await writ.get<DatasetSchemaReply>('/datasets/cells/schema');
	assert.equal(status, 200);
	const [file] = body.files;
	assert.equal(Object.keys(file?.schema ?? {}).length, 2);
	return {rows: file?.sample_rows.length ?? 0, notices: file?.notices ?? []};
}

async function denials(writ: Writ): Promise<number> {
	return (await writ.get<AuditReply>('/api/v1/audit?decision=deny&limit=50')).body.entries.length;
}

test('sample rows are asked for again after a stop and after a change of the policy, and shown again when it ends', async (t) => {
	const dataDir = freshData(t);
	const policyFile = path.join(dataDir, 'policy.yaml');
	writeFileSync(policyFile, PLAIN);
	const env = {SANDBOX_PROVIDER: 'process', WRIT_POOL_SIZE: '0', WRIT_POLICY_FILE: policyFile};
	const writ = await startWrit(t, {dataDir, until: 'listening', env});
	const form = new FormData();
	form.set('id', 'cells');
	form.append('file', new Blob(['letter,number\na,1\nb,2\n']), 'cells.csv');
	assert.equal((await writ.request('/datasets', {method: 'POST', body: form})).status, 201);
	const change = async (mode: string, scope?: object) =>
		assert.equal((await writ.post('/api/v1/kill-switch', {mode, reason: 'a drill', ...(scope && {scope})})).status, 200);
	const reload = async (text: string) => {
		writeFileSync(policyFile, text);
		assert.equal((await writ.post('/api/v1/policy/reload')).status, 200);
	};

	assert.deepEqual(await shown(writ), {rows: 2, notices: []});
	assert.equal(await denials(writ), 0);
	for (const [stop, go, reason] of [
		[
			() => change('observe', {tool: 'analyst.sql'}),
			() => change('execute', {tool: 'analyst.sql'}),
			/tool:analyst.sql` is stopped/,
		],
		[() => change('observe'), () => change('execute'), /the platform was stopped by/],
		[() => reload(FORBIDDING), () => reload(PLAIN), /^no sample of its rows: /],
	] as const) {
		await stop();
		const {rows, notices} = await shown(writ);
		assert.deepEqual([rows, notices.length], [0, 1], `${reason} ${notices}`);
		assert.match(notices[0] ?? '', reason);
		await go();
		assert.deepEqual(await shown(writ), {rows: 2, notices: []});
	}
	assert.equal(await denials(writ), 2, 'the tool’s stop and the policy; when everything is stopped no run starts');
});
