/**
 * The process around the proxy of one run. It gets its policy from the process that started it and tells it what it decides; it may
 * open connections and read its own sources, and nothing else: Node's permissions keep it from starting programs and writing files.
 * It ends with its parent.
 */
import {createProxy, type ProxyServer} from './proxy.ts';
import type {FromProxy, ToProxy} from './proxy-messages.ts';

const state: {proxy: ProxyServer | undefined} = {proxy: undefined};

process.on('message', (message: ToProxy) => {
	if (message.type === 'close') return finish();
	void open(message);
});
process.on('disconnect', () => process.exit());

async function open({socket, policy}: Extract<ToProxy, {type: 'open'}>): Promise<void> {
	state.proxy = createProxy(policy, {
		onDecision: (decision) => tell({type: 'decision', decision}),
		onExceeded: () => tell({type: 'exceeded'}),
	});
	await state.proxy.listen(socket);
	tell({type: 'listening', certificate: state.proxy.certificate});
}

/** What is still open becomes a decision before the last word. */
function finish(): void {
	state.proxy?.close();
	tell({type: 'closed'});
	process.disconnect();
}

function tell(message: FromProxy): void {
	process.send?.(message);
}
