import {listSettings, type Setting} from './settings.ts';

const INTRODUCTION = `# Configuration

Every setting has a place in \`writ.yaml\` and a name in the environment. Later sources win: default, \`writ.yaml\` in the working
directory (or the file given with \`--config\`), \`.env\`, environment, flags. A value out of range, an unknown key in \`writ.yaml\` and a
contradiction between settings stop the start, with a message that names the setting. Secrets are never printed.

This page is generated from \`src/config/settings.ts\`.
`;

/** The text of docs/configuration.md. */
export function describeConfig(): string {
	const sections = Map.groupBy(listSettings(), ({path}) => path.split('.')[0] ?? '');
	return [INTRODUCTION, ...[...sections].map(([name, settings]) => describeSection(name, settings))].join('\n');
}

function describeSection(name: string, settings: readonly Setting[]): string {
	const rows = settings.map(
		(setting) =>
			`| \`${setting.path}\` | \`${setting.env}\` | ${initialOf(setting)} | ${rangeOf(setting)} | ${cell(setting.about)}${setting.secret ? ' (secret)' : ''} |`,
	);
	return `## ${name}\n\n| setting | environment | default | values | what it is |\n|---|---|---|---|---|\n${rows.join('\n')}\n`;
}

function initialOf({initial, unit}: Setting): string {
	if (initial === null || (Array.isArray(initial) && initial.length === 0)) return 'none';
	return `\`${String(initial)}\`${unit ? ` ${unit}` : ''}`;
}

function rangeOf({schema, kind}: Setting): string {
	const {minimum, maximum, exclusiveMinimum, enum: values} = jsonSchemaOf(schema);
	if (values) return values.map((value) => `\`${String(value)}\``).join(', ');
	if (kind === 'boolean') return '`true`, `false`';
	if (kind === 'list') return 'list; commas in the environment';
	if (maximum === undefined) return 'text';
	return exclusiveMinimum === undefined ? `${minimum} to ${maximum}` : `above ${exclusiveMinimum}, to ${maximum}`;
}

type Bounds = {minimum?: number; maximum?: number; exclusiveMinimum?: number; enum?: unknown[]};

function jsonSchemaOf(schema: Setting['schema']): Bounds {
	return schema.toJSONSchema({io: 'input', unrepresentable: 'any'}) as Bounds;
}

function cell(value: string): string {
	return value.replaceAll('|', '\\|');
}
