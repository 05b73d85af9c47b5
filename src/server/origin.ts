import type {Origin} from '#contract/event.ts';
import type {AppContext} from './context.ts';
import type {ServerOptions} from './deps.ts';

/**
 * From where a request came. The address is that of the connection; of a connection from one of `trustedProxies`, the last address in
 * `X-Forwarded-For` that is none of them: what stands before it, anybody can have written.
 */
export function originOf(c: AppContext, {trustedProxies = []}: Pick<ServerOptions, 'trustedProxies'>): Origin {
	const socket = plain(c.env?.incoming?.socket.remoteAddress ?? '');
	const forwarded = (c.req.header('x-forwarded-for') ?? '').split(',').map((each) => plain(each.trim()));
	const isTrusted = (address: string) => trustedProxies.includes(address);
	const address = isTrusted(socket) ? (forwarded.findLast((each) => each !== '' && !isTrusted(each)) ?? socket) : socket;
	const given = c.req.header('user-agent') ?? '';
	const [agent = ''] = /^[A-Za-z][\w./-]{0,99}/.exec(given) ?? [];
	return {
		...(ADDRESS.test(address) ? {address} : {}),
		requestId: c.get('requestId').slice(0, 200),
		client: clientOf(c),
		...(agent === '' ? {} : {agent}),
	};
}

const ADDRESS = /^[0-9a-fA-F.:]{2,45}$/;

/** IPv4 that came in over IPv6 is IPv4. */
function plain(address: string): string {
	return address.replace(/^::ffff:(?=\d+\.)/, '');
}

/** A page says from where its requests are; our terminal names itself; the rest is programs. */
function clientOf(c: AppContext): Origin['client'] {
	if (c.req.header('sec-fetch-site') === 'same-origin') return 'page';
	return /^writ\//.test(c.req.header('user-agent') ?? '') ? 'cli' : 'api';
}
