/** As much of `oidc-provider` as the issuer of the tests uses. */
declare module 'oidc-provider' {
	import type {IncomingMessage, ServerResponse} from 'node:http';

	type Interaction = {
		readonly prompt: {readonly name: string};
		readonly params: {readonly client_id: string; readonly scope: string};
		readonly session?: {readonly accountId: string};
	};
	type Grant = {addOIDCScope(scope: string): void; save(): Promise<string>};

	export class Provider {
		constructor(issuer: string, configuration: object);
		readonly Grant: new (of: {
			accountId: string;
			clientId: string;
		}) => Grant;
		callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>;
		interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>;
		interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>;
	}
}
