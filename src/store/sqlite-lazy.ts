import type {DatabaseSync} from 'node:sqlite';
import type {Execute} from './identity.ts';

/** What goes through Kysely, which is loaded when any of it is first asked for: a server starts sooner, and idles smaller, without. */
export function lazyQueries(reader: DatabaseSync, execute: Execute) {
	const load = () => import('./sqlite-queries.ts');
	type Queries = ReturnType<Awaited<ReturnType<typeof load>>['createSqliteQueries']>;
	const state: {queries: Promise<Queries> | null} = {queries: null};
	const queries = () => (state.queries ??= load().then(({createSqliteQueries}) => createSqliteQueries(reader, execute)));
	const part = <Part extends keyof Queries>(name: Part) => {
		const loaded = async () => (await queries())[name];
		return <Name extends keyof Queries[Part]>(names: readonly Name[]) => deferred<Pick<Queries[Part], Name>>(loaded, names);
	};
	return {
		store: part('store')([
			...(['rawEvents', 'head', 'headPosition', 'run', 'runs', 'audit', 'messages', 'threads'] as const),
			...(['approval', 'approvals', 'grants'] as const),
		]),
		identity: part('identity')([
			...(['addToken', 'tokenBy', 'tokens', 'revokeToken', 'noteTokenUse'] as const),
			...(['putAccount', 'account', 'accounts', 'disableAccount'] as const),
			...(['addSession', 'session', 'noteSessionUse', 'endSession', 'addSignIn', 'takeSignIn', 'sweepIdentity'] as const),
		]),
		retention: part('retention')(['holds', 'erasure', 'erasable', 'isCited', 'isUsed', 'tenants', 'citedSince', 'lease']),
		letters: part('letters')(['send', 'waiting', 'take', 'reply', 'replyTo', 'discard']),
		quota: part('quota')(['stored', 'spent']),
	};
}

type Method = (...parameters: readonly unknown[]) => unknown;

/** An object of these methods, all of which are asynchronous. */
function deferred<T>(load: () => Promise<T>, names: readonly (keyof T)[]): T {
	const method =
		(name: keyof T) =>
		async (...parameters: readonly unknown[]) => {
			const loaded = await load();
			return (loaded[name] as Method)(...parameters);
		};
	return Object.fromEntries(names.map((name) => [name, method(name)])) as T;
}
