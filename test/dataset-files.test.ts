/** Which files of a host become datasets: those that a run was opened to add, never what code would like or what the platform keeps. */
import assert from 'node:assert/strict';
import {readdirSync, symlinkSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, test} from 'node:test';
import type {Principal} from '#contract/event.ts';
import {toWorkReply} from '#tools/reply.ts';
import {OWNER, wholePlatform} from './platform.ts';

const {platform, directory, add} = await wholePlatform({after}, {WRIT_POOL_SIZE: '0'});
const dataDir = path.join(directory, 'data');
const ANA: Principal = {...OWNER, id: 'ana', roles: ['analyst']};
const signal = new AbortController().signal;

/** What code in a sandbox got when it added a file as a dataset and read it. */
async function addByCode(file: string, principal: Principal): Promise<unknown> {
	const code = `
const refusal = ({code}) => code;
const input = {id: 'stolen', files: [{name: 'k.csv', path: ${JSON.stringify(file)}}]};
export default await writ.call('dataset.add', input).then(() => 'added', refusal);`;
	const task = {tool: 'code.javascript', mode: 'javascript', input: {code, files: []}};
	const {run_id} = await platform.analyst.perform(task, {principal, requestId: '', signal});
	const {output, error} = toWorkReply(await platform.store.read(run_id), 'succeeded');
	return error ?? (output as {value: unknown}).value;
}

const HOST = path.join(directory, 'host.csv');
writeFileSync(HOST, 'a,b\r\n1,2\r\n');

for (const principal of [OWNER, ANA])
	test(`code of ${principal.id} adds no file of this host, though its user may`, async () => {
		const key = path.join(dataDir, 'keys', 'signing.pem');
		const refused = await Promise.all([HOST, key].map((file) => addByCode(file, principal)));
		assert.deepEqual(refused, ['forbidden', 'forbidden']);
		await assert.rejects(platform.analyst.dataset('local', 'stolen'), {code: 'not_found'});
	});

test('nobody adds what the platform keeps: keys, database, snapshots, not by a link either', async () => {
	const {hash, tables} = await add('mine', [{name: 'host.csv', path: HOST}]);
	const link = path.join(directory, 'way');
	symlinkSync(path.join(dataDir, 'keys'), link);
	const snapshot = path.join(dataDir, 'datasets', 'local', 'mine', hash, tables[0]?.file ?? '');
	const kept = ['keys/signing.pem', 'writ.db'].map((name) => path.join(dataDir, name));
	assert.ok(readdirSync(path.dirname(snapshot)).includes(path.basename(snapshot)));
	for (const file of [...kept, snapshot, path.join(link, 'signing.pem')])
		await assert.rejects(add('stolen', [{name: 'k.csv', path: file}]), {code: 'forbidden'}, file);
});

test('what was approved is the content: a file that was replaced meanwhile is asked about again', async (t) => {
	const policy = path.join(directory, 'policy.yaml');
	writeFileSync(policy, 'version: 1\nmodes:\n  - {tool: dataset.add, mode: propose}\n');
	const {platform: asking, add: ask} = await wholePlatform(t, {WRIT_POOL_SIZE: '0', WRIT_POLICY_FILE: policy});
	const file = path.join(directory, 'x.csv');
	writeFileSync(file, 'a,b\r\nharmless,1\r\n');
	await assert.rejects(ask('x', [{name: 'x.csv', path: file}]), {code: 'policy_denied'});

	const answer = async () => {
		const [row] = await asking.store.approvals('local', 'pending');
		assert.ok(row);
		const {approvalId, runId, previewDigest} = row;
		const grant = {approvalId, approver: OWNER, comment: 'seen', previewDigest, recently: 0};
		await asking.runs.write(runId, (events) => asking.approvals.grant(events, grant, new Date()));
		return asking.analyst.resume(runId, {principal: OWNER, requestId: '', signal});
	};
	writeFileSync(file, 'a,b\r\nEVIL,666\r\n');
	assert.equal((await answer()).status, 'awaiting_approval');
	await assert.rejects(asking.analyst.dataset('local', 'x'), {code: 'not_found'});
	const [again] = await asking.store.approvals('local', 'pending');
	assert.match(again?.preview ?? '', /15 bytes, SHA-256 [0-9a-f]{64}\)$/);

	assert.equal((await answer()).status, 'succeeded');
	const {tables} = await asking.analyst.dataset('local', 'x');
	assert.equal(tables[0]?.source.sha256, again?.preview.slice(-65, -1));
});
