/** What the command line is given by its process, and how it prints. Text of others passes `printable` before a terminal sees it. */
import type {AddedSample, Verification} from '#contract/api.ts';
import type {Comparison, PolicyText} from '#contract/policy-api.ts';
import type {KeyRecord} from '#evidence/keys.ts';
import type {CaseReport} from '#policy/cases.ts';
import type {Problem} from '#policy/policy-text.ts';
import type {Client} from '#server/client.ts';

/** The terminal, or what stands in for it. */
export type Io = {
	readonly out: (text: string) => void;
	/** progress and errors; never mixed with what a script reads */
	readonly err: (text: string) => void;
	/** characters in a line; Infinity when nobody looks at it */
	readonly columns: number;
	readonly colour: boolean;
	/** whether progress may be drawn */
	readonly interactive: boolean;
	readonly stdin: () => Promise<string>;
	/** what is typed and not shown, or piped in */
	readonly askSecret: (question: string) => Promise<string>;
	readonly readFile: (path: string) => Promise<string>;
	readonly readBytes: (path: string) => Promise<Uint8Array>;
	/** the plain files below a directory, or the file itself, in the order of their names; no links, no `node_modules`, nothing hidden */
	readonly listFiles: (path: string) => Promise<readonly string[]>;
	/** for uploads: streams from disk */
	readonly openBlob: (path: string) => Promise<Blob>;
	readonly writeFile: (path: string, body: ReadableStream<Uint8Array>) => Promise<void>;
	/** the directory that relative paths are relative to */
	readonly cwd: string;
};

export type ServeFlags = {
	readonly config: string | undefined;
	/** by setting, e.g. `server.port` */
	readonly flags: Readonly<Record<string, string | undefined>>;
};

export type LocalEvidence = {
	/**
	 * Checks a bundle or an evidence file; null when there is nothing at `place`. `key` is a `.pub` file: only what it signed is valid
	 * then. `anchor` is where the platform appended its checkpoints: a log that was cut or rewritten since is found.
	 * Throws `invalid_request` when `key` is no key.
	 */
	verify(place: string | Uint8Array, trust: {readonly key?: string; readonly anchor?: string}): Promise<Verification | null>;
	/** The files of a bundle, of its directory or its archive; null when there is nothing at that place. Throws `invalid_request`. */
	read(bundle: string | Uint8Array): Promise<ReadonlyMap<string, Uint8Array> | null>;
	write(files: ReadonlyMap<string, Uint8Array>, directory: string): Promise<void>;
};

/** What only this machine can do, done by the rooms that main.ts joins. Each returns sentences for the terminal. */
export type Local = {
	/** Serves until a signal ends it. */
	serve(flags: ServeFlags): Promise<void>;
	/** Adds the sample datasets that are missing to the server that runs, or else to the data directory: `where` says to which. */
	addSamples(): Promise<{readonly datasets: readonly AddedSample[]; readonly where: string}>;
	/** Examines every row of the datasets. A report that examined nothing is not ok. */
	verifyDatasets(
		id: string | undefined,
	): Promise<readonly {readonly name: string; readonly ok: boolean; readonly detail: string}[]>;
	readonly secrets: LocalSecrets;
	/** Evidence that lies on this machine, without a server. */
	readonly evidence: LocalEvidence;
	/** the keys of this machine's data directory */
	readonly keys: {
		list(): Promise<readonly KeyRecord[]>;
		/** `revoke` says why the old key must not be trusted any more; null when it is only old. */
		rotate(revoke: string | null): Promise<KeyRecord>;
	};
	/** Loads what reads policy files. */
	policy(): Promise<PolicyFiles>;
};

export type SecretRow = {
	readonly name: string;
	readonly source: 'file' | 'environment';
	readonly createdAt: string | null;
	readonly changedAt: string | null;
	readonly lastUsedAt: string | null;
};

export type LocalSecrets = {
	list(): Promise<readonly SecretRow[]>;
	set(name: string, value: string): Promise<void>;
	delete(name: string): Promise<void>;
	/** `ask` gets the new passphrase where the secrets are encrypted with one. Returns what to do now. */
	rotateKey(ask: () => Promise<string>): Promise<string>;
};

/** Policies in files, without a server. What is wrong with a file is a value; a file that is not there throws. */
export type PolicyFiles = {
	/** `version` is null when the file could not come into force */
	check(file: string): {readonly version: string | null; readonly problems: readonly Problem[]};
	/** Null for the policy that the settings name, or the built-in one. */
	test(files: readonly string[], policy: string | null): CaseReport;
	/** `comparison` is null when one of the files is not sound */
	diff(before: string, after: string): {readonly comparison: Comparison | null; readonly problems: readonly Problem[]};
	/** The file with those it names, to be sent to a server. */
	gather(file: string): PolicyText;
	toYaml(document: Readonly<Record<string, unknown>>): string;
};

export type CliPorts = {
	readonly io: Io;
	/** a server that runs, or one in this process; made when a command needs it */
	readonly connect: () => Promise<Client>;
	readonly local: Local;
	readonly version: string;
	/** ends with Ctrl-C */
	readonly signal: AbortSignal;
};

/** What every command gets. */
export type Command = CliPorts & {readonly json: boolean};

/** What a command does with its arguments and options; a number it returns is the exit code. */
export type Act = <Args extends readonly unknown[]>(
	work: (command: Command, args: Args) => Promise<unknown>,
) => (...args: unknown[]) => Promise<void>;

export function print(io: Io, text: string): void {
	io.out(`${text}\n`);
}

export function printJson(io: Io, value: unknown): void {
	print(io, JSON.stringify(value, null, 2));
}

const STYLES = {bold: 1, dim: 2, red: 31, green: 32, yellow: 33} as const;

export function paint({colour}: Pick<Io, 'colour'>, style: keyof typeof STYLES, text: string): string {
	return colour ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
}

/** What a file, a model or a cell holds must not steer the terminal. */
export function printable(text: string): string {
	return text.replace(/[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/gu, '\ufffd');
}
