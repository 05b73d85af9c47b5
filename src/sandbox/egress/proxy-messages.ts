/** What the platform and the process of a proxy tell each other. */
import type {EgressDecision} from '#contract/sandbox.ts';
import type {ProxyPolicy} from './proxy.ts';

export type ToProxy = {readonly type: 'open'; readonly socket: string; readonly policy: ProxyPolicy} | {readonly type: 'close'};

export type FromProxy =
	| {readonly type: 'listening'; readonly certificate: string}
	| {readonly type: 'decision'; readonly decision: EgressDecision}
	| {readonly type: 'exceeded'}
	| {readonly type: 'closed'};
