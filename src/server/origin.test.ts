import assert from 'node:assert/strict';
import {test} from 'node:test';
import {toCell} from './audit-export.ts';
import {createRouter} from './context.ts';
import {originOf} from './origin.ts';

async function origin(headers: Readonly<Record<string, string>>, remoteAddress: string, trustedProxies: readonly string[] = []) {
	const app = createRouter();
	app.use(async (c, next) => {
		c.set('requestId', 'req-1');
		return next();
	});
	app.get('/', (c) => c.json(originOf(c, {trustedProxies})));
	return (await app.request('/', {headers}, {incoming: {socket: {remoteAddress}}} as never)).json();
}

test('without trusted proxies what a client says of its address counts for nothing', async () => {
	assert.deepEqual(await origin({'x-forwarded-for': '198.51.100.1'}, '::ffff:203.0.113.9'), {
		...{address: '203.0.113.9', requestId: 'req-1', client: 'api'},
	});
	const proxied = await origin({'x-forwarded-for': '198.51.100.1'}, '203.0.113.9', ['203.0.113.9']);
	assert.equal((proxied as {address: string}).address, '198.51.100.1', 'with the defence off it would');
});

test('behind a trusted proxy the last address that is no proxy counts, not what stands before it', async () => {
	const chain = '6.6.6.6, 198.51.100.1, 10.0.0.2';
	const found = await origin({'x-forwarded-for': chain}, '10.0.0.1', ['10.0.0.1', '10.0.0.2']);
	assert.equal((found as {address: string}).address, '198.51.100.1');
	const nonsense = await origin({'x-forwarded-for': '<script>'}, '10.0.0.1', ['10.0.0.1']);
	assert.equal('address' in (nonsense as object), false);
});

test('a page, our terminal and other programs are told apart', async () => {
	const of = async (headers: Record<string, string>) => {
		const {client, agent = null} = (await origin(headers, '127.0.0.1')) as {client: string; agent?: string};
		return [client, agent];
	};
	assert.deepEqual(await of({'sec-fetch-site': 'same-origin', 'user-agent': 'Mozilla/5.0 (X11; Linux)'}), [
		'page',
		'Mozilla/5.0',
	]);
	assert.deepEqual(await of({'user-agent': 'writ/cli'}), ['cli', 'writ/cli']);
	assert.deepEqual(await of({'user-agent': 'curl/8'}), ['api', 'curl/8']);
});

test('what begins like a formula after a `;`, in full width or behind spaces is none either', () => {
	assert.deepEqual(['x;=1+1', 'a; ＠b;c', '＝1', '\u3000－1', 'a;b'].map(toCell), [
		...["x;'=1+1", "a;' ＠b;c", "'＝1", "'\u3000－1", 'a;b'],
	]);
});

test('no cell of an export is a formula', () => {
	assert.deepEqual(['=1+1', ' +A1', '-2', '@SUM(A1)', '\tx', 'a,"b"', 'fine', null].map(toCell), [
		...["'=1+1", "' +A1", "'-2", "'@SUM(A1)", "'\tx", '"a,""b"""', 'fine', ''],
	]);
});
