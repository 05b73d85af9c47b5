/** What a secret looks like, and how it is taken out of a text. */
import {replaceAssigned} from './secret-names.ts';
import {replaceTokens, WEBHOOK} from './token-formats.ts';

/** Counts what was replaced. */
export type Tally = {count: number};

/** Returns the text without its secrets; the same text when it has none. */
export type Scan = (text: string, tally: Tally) => string;

type Rule = {
	readonly kind: string;
	/**
	 * INVARIANT: linear. A rule is a literal start, then character classes that cannot match what follows them; what would be scanned
	 * again from every start (`eyJeyJeyJ…`) may start only where its own characters do not precede it.
	 */
	readonly source: string;
	/** where the secret starts within a match; what is before it stays */
	readonly value?: RegExp;
	/** for matches that may be ordinary text */
	readonly isSecret?: (value: string) => boolean;
};

const ASSIGNED = String.raw`["']?\s{0,4}[:=]\s{0,4}["']?`;
const LAST_WORD = /[^\s"']+$/;

const PLACEHOLDER = String.raw`\[redacted:[a-z-]{1,40}\]`;
const ONLY_PLACEHOLDER = new RegExp(`^${PLACEHOLDER}$`);
const USER = String.raw`[^\s/?#@:"'<>,;[]*(?:${PLACEHOLDER}[^\s/?#@:"'<>,;[]*)*`;

const RULES: readonly Rule[] = [
	// Comes first: a placeholder stays as it is, so that no rule eats into it the next time.
	{kind: '', source: PLACEHOLDER, isSecret: () => false},
	{
		kind: 'private-key',
		// The body may be cut off, escaped as in JSON, or carry headers such as `DEK-Info: AES-128-CBC,…`.
		source: String.raw`-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\w+/=\s\\:,.()]*(?:-[\w+/=\s\\:,.()]+){0,20}(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?`,
	},
	{kind: 'anthropic-key', source: 'sk-ant-[A-Za-z0-9_-]{16,}'},
	{
		kind: 'openai-key',
		source: String.raw`sk-(?<=(?:^|[^A-Za-z0-9]|\\[nrt]|%[0-9A-Fa-f]{2})sk-)[A-Za-z0-9_-]{20,}`,
		isSecret: isRandom,
	},
	// The secret has no form of its own; it is taken where it follows its id or its name.
	{kind: 'aws-key', source: String.raw`A[KS]IA[A-Z0-9]{16}(?:[\s,:;|"']{1,8}[A-Za-z0-9/+]{40})?`},
	{kind: 'aws-key', source: `(?i:secret_?access_?key)${ASSIGNED}[A-Za-z0-9/+]{40}`, value: /.{40}$/},
	{kind: 'github-token', source: 'gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}'},
	{kind: 'slack-token', source: 'xox[a-z]-[A-Za-z0-9-]{10,}'},
	{kind: 'google-key', source: 'AIza[A-Za-z0-9_-]{35}'},
	{kind: 'stripe-key', source: '[rs]k_(?:live|test)_[A-Za-z0-9]{10,}'},
	{
		kind: 'authorization',
		source: String.raw`(?i:authorization)${ASSIGNED}(?i:bearer|basic|token|apikey|negotiate)\s{1,4}[^\s"',;[\]]{4,}`,
		value: LAST_WORD,
	},
	{
		kind: 'bearer-token',
		source: String.raw`(?<![A-Za-z0-9_])(?i:bearer)\s{1,4}[A-Za-z0-9._~+/=-]{16,}`,
		value: LAST_WORD,
		isSecret: (value) => value.length >= 20 || /\d/.test(value),
	},
	{
		kind: 'basic-credentials',
		source: String.raw`(?<![A-Za-z0-9_])(?i:basic)\s{1,4}[A-Za-z0-9+/]{4,}={0,2}`,
		value: LAST_WORD,
		isSecret: isCredentials,
	},
	{
		kind: 'jwt',
		source: String.raw`eyJ(?<=(?:^|[^A-Za-z0-9_-]|\\[nrt]|%[0-9A-Fa-f]{2})eyJ)[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_.-]*`,
	},
	{kind: 'kubernetes-token', source: 'sha256~[A-Za-z0-9_-]{40,}'},
	{kind: 'kubernetes-token', source: String.raw`--token[= ]\s{0,2}[a-z0-9]{6}\.[a-z0-9]{16}`, value: /.{23}$/},
	{
		kind: 'kubernetes-token',
		source: String.raw`(?<![A-Za-z0-9_])token:\s{1,4}["']?[A-Za-z0-9._~-]{20,}`,
		value: LAST_WORD,
		isSecret: isRandom,
	},
	{kind: 'kubernetes-key', source: `client-key-data${ASSIGNED}[A-Za-z0-9+/=]{32,}`, value: /[A-Za-z0-9+/=]{32,}$/},
	{kind: 'webhook', source: WEBHOOK},
	{
		kind: 'private-key',
		source: String.raw`Private-Lines: \d{1,4}\s{1,4}[A-Za-z0-9+/=\s\\]{40,}`,
		value: /(?<=^Private-Lines: \d{1,4}\s{1,4})[\s\S]+$/,
	},
	{
		kind: 'azure-key',
		source: '(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{43,88}={0,2}',
		value: /(?<=^[A-Za-z]{1,20}=)[\s\S]+$/,
	},
	{kind: 'azure-key', source: '[?&]sig=[A-Za-z0-9%/+]{43,}={0,2}', value: /(?<=^.sig=)[\s\S]+$/},
	{
		kind: 'url-password',
		source: String.raw`:\/\/${USER}:[^\s/?#"'<>,;]+(?=@)`,
		value: new RegExp(`(?<=^://${USER}:)[^]+$`),
		isSecret: (value) => !ONLY_PLACEHOLDER.test(value),
	},
];

/** Shorter configured values are no secrets, and replacing them would eat ordinary words. */
const MIN_CONFIGURED = 6;

/** One replacement can bring the next to light; a text that still changes after this many passes is dropped whole. */
const MAX_PASSES = 8;

const MAX_REMEMBERED = 100;
const REMEMBERED = 2_000;

/** `extra` are exact values to find besides what has a known form, in all their spellings. */
export function createScanner(extra: readonly string[]): Scan {
	const needles = [...new Set(extra.filter((secret) => secret.length >= MIN_CONFIGURED).flatMap(spellings))];
	needles.sort((a, b) => b.length - a.length);
	const configured: Rule = {kind: 'configured-secret', source: needles.map((needle) => RegExp.escape(needle)).join('|')};
	// Configured values go first and alone: another rule's match must not begin inside one and leave the rest.
	const stages =
		needles.length > 0 ? [createStage([...RULES.slice(0, 1), configured]), createStage(RULES)] : [createStage(RULES)];
	const shortest = Math.min(8, ...needles.map((needle) => needle.length));
	// Nearly every text has no secret; asking is quicker than replacing nothing, once per stage.
	const probe = new RegExp([...needles.map((needle) => RegExp.escape(needle)), ...RULES.map(({source}) => source)].join('|'));

	const known = needles.length > 0 ? new RegExp(needles.map((needle) => RegExp.escape(needle)).join('|')) : null;
	// No rule begins within a digest: only what is configured could be one.
	const isPlain = (text: string) => text.length < shortest || (DIGEST.test(text) && !known?.test(text));

	return remembering(isPlain, (text, tally) => {
		let current = text;
		for (let pass = 0; pass < MAX_PASSES; pass += 1) {
			const before = tally.count;
			if (probe.test(current)) for (const stage of stages) current = stage(current, tally);
			current = replaceTokens(current, counting('access-token', tally));
			current = replaceAssigned(current, counting('named-secret', tally));
			if (tally.count === before) return current;
		}
		return '[redacted:tangled]';
	});
}

/** Digests and UUIDs, of which every event holds new ones. */
const DIGEST = /^[0-9a-f-]{32,}$/;

/** What nearly every event says again, a name, a rule or a reason, is looked at once. */
function remembering(isPlain: (text: string) => boolean, scan: Scan): Scan {
	const clean = new Set<string>();
	return (text, tally) => {
		if (clean.has(text) || isPlain(text)) return text;
		const scanned = scan(text, tally);
		if (scanned !== text || text.length > MAX_REMEMBERED) return scanned;
		if (clean.size >= REMEMBERED) clean.clear();
		clean.add(text);
		return text;
	};
}

function counting(kind: string, tally: Tally): () => string {
	return () => {
		tally.count += 1;
		return `[redacted:${kind}]`;
	};
}

function createStage(rules: readonly Rule[]): Scan {
	const pattern = new RegExp(rules.map(({source}) => `(${source})`).join('|'), 'g');
	const stage: Scan = (text, tally) =>
		text.replace(pattern, (match: string, ...groups: unknown[]) => {
			const {kind, value, isSecret} = rules[groups.findIndex((group) => group !== undefined)] as Rule;
			const start = value ? match.search(value) : 0;
			// What stays is looked at by itself: a match must not hide a secret of another kind.
			const head = start > 0 ? stage(match.slice(0, start), tally) : '';
			const rest = match.slice(start);
			if (isSecret && !isSecret(rest)) return start > 0 ? head + stage(rest, tally) : match;
			tally.count += 1;
			return `${head}[redacted:${kind}]`;
		});
	return stage;
}

/** A word is shorter than this, or has no digits; a key is neither. */
function isRandom(token: string): boolean {
	return token.split(/[-_]/).some((part) => part.length >= 20 || (part.length >= 16 && /\d/.test(part)));
}

function isCredentials(base64: string): boolean {
	const text = Buffer.from(base64, 'base64').toString('utf8');
	return /^[^:\p{Cc}\ufffd]*:[^\p{Cc}\ufffd]*$/u.test(text);
}

/** How a secret may be written: itself, inside JSON text, URL-encoded, in hex, and at the three offsets it can have within base64. */
export function spellings(secret: string): string[] {
	const wellFormed = secret.toWellFormed();
	const url = encodeURIComponent(wellFormed);
	const lowerCase = url.replace(/%../g, (code) => code.toLowerCase());
	const bytes = Buffer.from(wellFormed, 'utf8');
	const base64 = [0, 1, 2].map((offset) => {
		const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
		// Only characters made of the secret's bits alone: the first and the last may hold a neighbour's.
		return text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
	});
	const base64url = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
	const json = JSON.stringify(wellFormed).slice(1, -1);
	const hex = bytes.toString('hex');
	const all = [
		wellFormed,
		json,
		json.replaceAll('/', '\\/'),
		JSON.stringify(json.replaceAll('/', '\\/')).slice(1, -1),
		json.replace(/[<>&'=+\u0080-\uffff]/g, unicodeEscape),
		JSON.stringify(json).slice(1, -1),
		hex,
		hex.toUpperCase(),
		url,
		lowerCase,
		url.replaceAll('%20', '+'),
		encodeURIComponent(url),
		...base64,
		...base64url,
		[...wellFormed].reverse().join(''),
	];
	return [...new Set(all)];
}

/** As writers of JSON do that think of HTML, or of ASCII only. */
function unicodeEscape(character: string): string {
	return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
