import assert from 'node:assert/strict';
import {after, test} from 'node:test';
import {OWNER, wholePlatform} from '../../test/platform.ts';

const {platform} = await wholePlatform({after});

test('what happened outside of any run is in the audit, signed, also while the platform is stopped', async () => {
	await platform.killSwitch.change({mode: 'observe', reason: 'a test'}, OWNER);
	const origin = {address: '192.0.2.7', requestId: 'req-1', client: 'page'} as const;
	await platform.recordAudit({what: 'login.succeeded', target: 'ada', detail: 'by OIDC', origin}, OWNER);
	const {rows} = await platform.store.audit({tenant: 'local', type: 'audit.recorded', limit: 10});
	assert.deepEqual(
		rows.map(({actor, mode, detail}) => ({actor, mode, detail})),
		[{actor: 'owner', mode: 'audit', detail: 'login.succeeded: ada: by OIDC'}],
	);
	const [event] = (await platform.store.read(rows[0]?.runId ?? '')).filter(({type}) => type === 'audit.recorded');
	assert.deepEqual(event?.data, {what: 'login.succeeded', target: 'ada', detail: 'by OIDC', origin});
	assert.ok(await platform.store.head(rows[0]?.runId ?? ''));
});
