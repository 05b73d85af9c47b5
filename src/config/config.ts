/**
 * Configuration: the only reader of the environment and of `writ.yaml`. Defaults < `writ.yaml` < environment (`.env` below the
 * real one) < flags. Imported by main.ts alone; everything else is handed the values it needs.
 */
import {readFileSync} from 'node:fs';
import {parseEnv} from 'node:util';
import type {z} from 'zod';
import type {ConfigReply} from '#contract/api.ts';
import {WritError} from '#contract/errors.ts';
import {isRecord, type Json} from '#contract/json.ts';
import {suggestion} from '#contract/nearest.ts';
import {yaml} from '#contract/yaml.ts';
import {secretsIn} from './secrets.ts';
import {type Config, configSchema, listSettings, type Setting} from './settings.ts';

export type {Config} from './settings.ts';

type Source = ConfigReply['settings'][number]['source'];
type Environment = Readonly<Record<string, string | undefined>>;

export type ConfigInput = {
	/** `writ.yaml`; null when the caller wants none. A path that was asked for must exist. */
	readonly file?: string | null;
	readonly env?: Environment;
	/** by place, e.g. `{'server.port': '8080'}` */
	readonly flags?: Readonly<Record<string, string | undefined>>;
};

export type LoadedConfig = {
	readonly config: Config;
	readonly sources: ReadonlyMap<string, Source>;
	/** what is odd but not wrong, in sentences for the person who runs the server */
	readonly notices: readonly string[];
	/** secrets of the environment, by name */
	readonly secrets: Readonly<Record<string, string>>;
};

/** Throws `invalid_config` with every problem found, one a line, each naming where the value came from. */
export function loadConfig({file, env = process.env, flags = {}}: ConfigInput = {}): LoadedConfig {
	const settings = listSettings();
	const sources = new Map<string, Source>(settings.map(({path}) => [path, 'default']));
	const tree: Tree = {};
	const problems: string[] = [];

	for (const [path, value] of flatten(readYaml(file), settings, problems)) put(tree, sources, {path, value, source: 'file'});
	const environment = {...readDotEnv(env), ...env};
	for (const setting of settings) {
		const raw = environment[setting.env];
		if (raw) put(tree, sources, {path: setting.path, value: fromText(setting, raw), source: 'environment'});
		const flag = flags[setting.path];
		if (flag !== undefined) put(tree, sources, {path: setting.path, value: fromText(setting, flag), source: 'flag'});
	}

	const parsed = configSchema.safeParse(tree);
	if (!parsed.success) problems.push(...parsed.error.issues.map((issue) => explain(issue, settings, sources)));
	else problems.push(...contradictions(parsed.data));
	if (!parsed.success || problems.length > 0) {
		throw new WritError('invalid_config', problems.join('\n'), {hint: 'docs/configuration.md lists every setting'});
	}
	return {config: parsed.data, sources, notices: strangers(environment, settings), secrets: secretsIn(environment)};
}

/** Settings in force, without secrets. */
export function publicConfig({config, sources}: LoadedConfig): ConfigReply {
	return {
		settings: listSettings().map(({path, secret}) => {
			const value = valueAt(config, path);
			const set = Array.isArray(value) ? value.length > 0 : value !== null;
			return {
				name: path,
				value: secret ? (set ? '(set)' : '(not set)') : (withoutCredentials(value) as Json & z.core.util.JSONType),
				source: sources.get(path) ?? 'default',
			};
		}),
	};
}

type Tree = Record<string, Record<string, unknown>>;

function put(tree: Tree, sources: Map<string, Source>, entry: {path: string; value: unknown; source: Source}): void {
	const [section = '', key = ''] = entry.path.split('.');
	tree[section] = {...tree[section], [key]: entry.value};
	sources.set(entry.path, entry.source);
}

function readYaml(file: string | null | undefined): unknown {
	if (file === null) return {};
	try {
		const text = readFileSync(file ?? 'writ.yaml', 'utf8');
		return yaml().parse(text) ?? {};
	} catch (cause) {
		if (file === undefined && isMissing(cause)) return {};
		const reason = cause instanceof Error ? cause.message : 'it cannot be read';
		throw new WritError('invalid_config', `${file ?? 'writ.yaml'}: ${reason}`, {cause});
	}
}

function readDotEnv(env: Environment): Environment {
	// A caller with its own environment (a test, an embedding) does not want this directory's.
	if (env !== process.env) return {};
	try {
		return parseEnv(readFileSync('.env', 'utf8'));
	} catch (cause) {
		if (isMissing(cause)) return {};
		throw new WritError('invalid_config', '.env cannot be read', {cause});
	}
}

function isMissing(cause: unknown): boolean {
	return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
}

function* flatten(document: unknown, settings: readonly Setting[], problems: string[]): Iterable<[path: string, value: unknown]> {
	const known = settings.map(({path}) => path);
	const sections = [...new Set(known.map((path) => path.split('.')[0] ?? ''))];
	if (!isRecord(document)) {
		problems.push('writ.yaml: expected sections with settings under them');
		return;
	}
	for (const [section, body] of Object.entries(document)) {
		if (!sections.includes(section)) problems.push(`writ.yaml: unknown section \`${section}\`; ${suggestion(section, sections)}`);
		else if (!isRecord(body)) problems.push(`writ.yaml: \`${section}\` holds settings, one a line`);
		else {
			for (const [key, value] of Object.entries(body)) {
				const path = `${section}.${key}`;
				if (known.includes(path)) yield [path, value];
				else problems.push(`writ.yaml: unknown setting \`${path}\`; ${suggestion(path, known)}`);
			}
		}
	}
}

function fromText({kind}: Setting, raw: string): unknown {
	const value = raw.trim();
	if (kind === 'integer' || kind === 'number') return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
	if (kind === 'list') return value === '' ? [] : value.split(',').map((part) => part.trim());
	if (kind !== 'boolean') return value;
	if (/^(true|1|yes|on)$/i.test(value)) return true;
	return /^(false|0|no|off)$/i.test(value) ? false : value;
}

function explain(issue: z.core.$ZodIssue, settings: readonly Setting[], sources: ReadonlyMap<string, Source>): string {
	const path = issue.path.slice(0, 2).join('.');
	const setting = settings.find((candidate) => candidate.path === path);
	if (!setting) return `${path}: ${issue.message}`;
	const name = sources.get(path) === 'environment' ? setting.env : path;
	return `${name}: ${issue.message}${setting.unit ? ` (in ${setting.unit})` : ''}`;
}

function contradictions({data, observability}: Config): string[] {
	const found: string[] = [];
	if (data.storage === 'postgres' && data.databaseUrl === null)
		found.push('STORAGE_PROVIDER is postgres: set DATABASE_URL as well');
	if (observability.mlflowEnabled && observability.mlflowTrackingUri === null) {
		found.push('MLFLOW_ENABLED is true: set MLFLOW_TRACKING_URI as well');
	}
	return found;
}

/** A misspelt `WRIT_…` variable would otherwise be ignored in silence. */
function strangers(env: Environment, settings: readonly Setting[]): string[] {
	const known = settings.map((setting) => setting.env);
	return Object.keys(env)
		.filter((name) => name.startsWith('WRIT_') && !name.startsWith('WRIT_SECRET_') && !known.includes(name))
		.map((name) => `the environment has ${name}, which is not a setting; ${suggestion(name, known)}`);
}

function valueAt(config: Config, path: string): unknown {
	const [section = '', key = ''] = path.split('.');
	return (config as unknown as Tree)[section]?.[key] ?? null;
}

function withoutCredentials(value: unknown): unknown {
	return typeof value === 'string' ? value.replace(/\/\/[^/@\s]*@/, '//***@') : value;
}
