import path from 'node:path';
import type {Config, LoadedConfig} from '#config/config.ts';
import {openSecrets, referenceIn, type Secrets} from '#config/secrets.ts';

type Given = {readonly environment: Readonly<Record<string, string>>; readonly report?: (error: unknown) => void};

/** The secret store that the settings name. Throws `secrets_unreadable`: what is not known cannot be kept out of records either. */
export function openStoreOfSecrets({data, secrets}: Config, given: Given): Secrets {
	const dataDir = path.resolve(data.dir);
	return openSecrets({
		...given,
		directory: path.join(dataDir, 'secrets'),
		keyFile: secrets.keyFile ?? path.join(dataDir, 'keys', 'secrets.key'),
		passphrase: secrets.passphrase,
	});
}

/** Secrets that settings hold themselves. What is only a name of a secret may be read by all. */
export function secretsOf({models, server, data, secrets, client, governance, identity}: Config): readonly string[] {
	const held = [
		models.openaiApiKey,
		models.anthropicApiKey,
		secrets.passphrase,
		client.token,
		passwordIn(data.databaseUrl),
		identity.clientSecret,
		governance.webhookUrl,
		governance.webhookSecret,
	];
	return [...held, ...server.authTokens.map(({token}) => token)].filter(
		(secret) => secret !== null && secret !== '' && referenceIn(secret) === null,
	) as string[];
}

/** The secrets of the settings and of the store: the same array until there are more. */
export function knownSecrets(config: Config, store: Secrets): () => readonly string[] {
	const held = secretsOf(config);
	const state = {stored: [] as readonly string[], all: held};
	return () => {
		const stored = store.values();
		if (stored !== state.stored) {
			state.stored = stored;
			// A secret that is an address holds another one.
			state.all = [...new Set([...held, ...stored, ...stored.map(passwordIn)])].filter((secret) => secret !== null);
		}
		return state.all;
	};
}

function passwordIn(url: string | null): string | null {
	const password = url !== null && URL.canParse(url) ? new URL(url).password : '';
	return password === '' ? null : decodeURIComponent(password);
}

/** Encrypts the store with another key; says what is to be done then. */
export async function rotateKey({config, secrets: environment}: LoadedConfig, ask: () => Promise<string>): Promise<string> {
	const store = openStoreOfSecrets(config, {environment});
	try {
		const passphrase = config.secrets.passphrase === null ? null : await ask();
		await store.file.rotateKey(passphrase);
		if (passphrase === null) return 'all secrets are encrypted with a new key, and the old one is gone';
		return 'all secrets are encrypted with the new passphrase; set WRIT_SECRETS_PASSPHRASE to it and start the server again';
	} finally {
		store.close();
	}
}
