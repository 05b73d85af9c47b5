/**
 * The secrets of the platform: from the environment, else from the encrypted file. Configuration names them as `secret:NAME`; a value is
 * looked up where it is used and nowhere before. Every value is known to the redactor.
 */
import {type FSWatcher, readdirSync, statSync, utimesSync, watch, writeFileSync} from 'node:fs';
import path from 'node:path';
import {makeDirectory} from '#contract/directory.ts';
import {WritError} from '#contract/errors.ts';
import {openSecretFile, SECRET_NAME, type SecretEntry, type SecretFile} from './secret-file.ts';
import {createKeyring} from './secret-key.ts';

export type SecretFacts = {
	readonly name: string;
	readonly source: 'file' | 'environment';
	/** null of the environment's */
	readonly createdAt: string | null;
	readonly changedAt: string | null;
	/** to the minute; null when it was never used */
	readonly lastUsedAt: string | null;
};

export type Secrets = {
	/** The value of a secret, which counts as a use. Throws `secrets_unreadable`. */
	value(name: string): string | undefined;
	/** What a setting says, or the secret it refers to. Throws `invalid_config` for one that is not there. */
	resolve<T extends string | null>(setting: T): T;
	/** Every value there is or was since this was opened: the same array until there are more. */
	values(): readonly string[];
	list(): readonly SecretFacts[];
	readonly file: SecretFile;
	close(): void;
};

export type SecretsOptions = {
	/** holds the file and what is remembered about it */
	readonly directory: string;
	readonly keyFile: string;
	readonly passphrase: string | null;
	/** values by name as the environment spells them, e.g. `GITHUB_TOKEN` */
	readonly environment: Readonly<Record<string, string>>;
	/** a file that could be read once and cannot be any more; what was read stays known */
	readonly report?: (error: unknown) => void;
};

const REFERENCE = /^secret:(.+)$/;
const ENVIRONMENT = 'WRIT_SECRET_';
const MINUTE_MS = 60_000;

/** The secrets that the environment holds: `WRIT_SECRET_GITHUB_TOKEN` is `GITHUB_TOKEN`, also by the names `github-token` and `github.token`. */
export function secretsIn(environment: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
	const found = Object.entries(environment).filter(([name, value]) => name.startsWith(ENVIRONMENT) && value);
	return Object.fromEntries(found.map(([name, value]) => [name.slice(ENVIRONMENT.length), value ?? '']));
}

/** The name in a reference; null when the text is no reference. */
export function referenceIn(setting: string): string | null {
	return REFERENCE.exec(setting)?.[1] ?? null;
}

/** Reads the file once, so that one that cannot be read is known at the start. Throws `secrets_unreadable`. */
export function openSecrets({directory, keyFile, passphrase, environment, report = () => {}}: SecretsOptions): Secrets {
	const file = openSecretFile(path.join(directory, 'store.json'), createKeyring(keyFile, passphrase));
	const uses = createUses(path.join(directory, 'used'));
	const state = {entries: new Map() as ReadonlyMap<string, SecretEntry>, stamp: 'unread', stale: true};
	const known = {values: Object.values(environment) as readonly string[]};
	const load = () => {
		state.stale = false;
		const stamp = stampOf(path.join(directory, 'store.json'));
		if (stamp === state.stamp) return;
		state.entries = file.read();
		state.stamp = stamp;
		const more = [...state.entries.values()].map(({value}) => value).filter((value) => !known.values.includes(value));
		if (more.length > 0) known.values = [...known.values, ...more];
	};
	const watcher = watchDirectory(directory, () => {
		state.stale = true;
	});
	load();
	const value = (name: string) => {
		load();
		const found = environment[toEnvironment(name)] ?? state.entries.get(name)?.value;
		if (found !== undefined) uses.mark(name);
		return found;
	};
	return {
		file,
		value,
		resolve(setting) {
			const name = setting === null ? null : referenceIn(setting);
			if (name === null) return setting;
			const found = value(name);
			if (found !== undefined) return found as typeof setting;
			throw new WritError('invalid_config', `a setting refers to the secret \`${name}\`, which is not there`, {
				hint: `run \`writ secrets set ${name}\`, or set ${ENVIRONMENT}${toEnvironment(name)}`,
			});
		},
		values() {
			try {
				if (state.stale) load();
			} catch (error) {
				report(error);
			}
			return known.values;
		},
		list() {
			load();
			return [...listEnvironment(environment, uses), ...listFile(state.entries, uses)].toSorted((a, b) =>
				a.name < b.name ? -1 : 1,
			);
		},
		close: () => watcher?.close(),
	};
}

function listEnvironment(environment: Readonly<Record<string, string>>, uses: Uses): SecretFacts[] {
	return Object.keys(environment).map((name) => ({
		...{name, source: 'environment', createdAt: null, changedAt: null},
		lastUsedAt: uses.last((used) => toEnvironment(used) === name),
	}));
}

function listFile(entries: ReadonlyMap<string, SecretEntry>, uses: Uses): SecretFacts[] {
	return [...entries].map(([name, {createdAt, changedAt}]) => {
		const used = uses.last((each) => each === name);
		// An earlier use was of another secret of this name, since deleted.
		return {name, source: 'file', createdAt, changedAt, lastUsedAt: used !== null && used >= createdAt ? used : null};
	});
}

function toEnvironment(name: string): string {
	return name.toUpperCase().replace(/[^A-Z0-9]/g, '_');
}

function stampOf(file: string): string {
	const facts = statSync(file, {bigint: true, throwIfNoEntry: false});
	return facts ? `${facts.ino} ${facts.mtimeNs} ${facts.size}` : 'none';
}

/** Null where nothing can be watched: then a change is seen at the next use of a secret. */
function watchDirectory(directory: string, onChange: () => void): FSWatcher | null {
	try {
		makeDirectory(path.dirname(directory), 0o711); // sandboxes have their places there too
		makeDirectory(directory, 0o700);
		const watcher = watch(directory, {persistent: false}, onChange);
		watcher.on('error', () => watcher.close());
		return watcher;
	} catch {
		return null; // no right to make it, or no watch to be had
	}
}

type Uses = {mark(name: string): void; last(matches: (name: string) => boolean): string | null};

/** One empty file for each name, whose time is that of its last use: nothing is lost when two processes mark one at once. */
function createUses(directory: string): Uses {
	const marked = new Map<string, number>();
	return {
		mark(name) {
			if (!SECRET_NAME.test(name) || Date.now() - (marked.get(name) ?? 0) < MINUTE_MS) return;
			marked.set(name, Date.now());
			try {
				makeDirectory(directory, 0o700);
				const file = path.join(directory, name);
				writeFileSync(file, '', {mode: 0o600});
				utimesSync(file, new Date(), new Date());
			} catch {
				// A directory that cannot be written to must not keep a secret from its use.
			}
		},
		last(matches) {
			try {
				const times = readdirSync(directory)
					.filter(matches)
					.map((name) => statSync(path.join(directory, name)).mtimeMs);
				return times.length > 0 ? new Date(Math.max(...times)).toISOString() : null;
			} catch {
				return null; // nothing was used yet
			}
		},
	};
}
