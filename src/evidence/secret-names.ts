/** Names whose values are secrets, and how a value is told from a word, a reference or a digest that stands there instead. */

/** Their values are secrets whatever they look like. */
const PASSWORD = 'passw(?:or)?d|passwd|passphrase|pwd|passcode';
/** Their values are secrets where they look like ones. */
const CREDENTIAL = [
	'(?:api|secret|private|access|auth|client|encryption|signing|master|account|shared|service|app|admin|deploy|license|webhook)[._-]?key',
	'(?:secret|shared)[._-]?access[._-]?key',
	'(?:client|app|api|shared|consumer|webhook|signing|jwt|session|cookie)[._-]?secret',
	'(?:access|auth|refresh|bearer|session|id|api|bot|user|oauth|security|personal|deploy|service|private|secret|admin|vault|registry|npm|github|gitlab|slack|cloudflare|csrf)[._-]?token',
	'secret',
	'credentials?',
	'_auth',
].join('|');
/** What may follow a name and still be the same thing. */
const TAIL = String.raw`(?:[._-]?(?:v?\d{1,3}|value|prod|production|dev|test|live|staging|base64|b64))?`;

const SHORTEST = 10; // `pwd=` and six characters
/** Without one of these words there is no such name. */
const HINT = /pass|pwd|key|secret|token|credential|_auth/i;
/**
 * `name = value` in text, found by its separator, of which there are few. INVARIANT: linear. What is looked back over is bounded, and
 * what follows is taken whole.
 */
const ASSIGNED =
	/[:=](?<=[deghlnstvyDEGHLNSTVY\d](?:\\?["'\]])?[ \t]{0,3}:?[:=])>?[ \t]{0,3}\\?["'`]?(?<value>[^\s"'`,;<>(){}\\&|:=][^\s"'`,;<>(){}\\&|]{5,511})/g;
/** The text with `put()` in the place of every value of such a name. The same text when there is none. */
export function replaceAssigned(text: string, put: () => string): string {
	if (text.length < SHORTEST || !HINT.test(text)) return text;
	return text.replace(ASSIGNED, (match, value: string, offset: number) => {
		if (!isSecretName(nameBefore(text, offset)) || !looksSecret(value)) return match;
		return match.slice(0, match.length - value.length) + put();
	});
}

const BETWEEN = new Set(' \t\\"\']:');
const NAME_LENGTH = 60;

/** The word before a separator at `end`, behind what may stand between them. */
function nameBefore(text: string, end: number): string {
	let last = end;
	while (last > 0 && end - last < 6 && BETWEEN.has(text[last - 1] ?? '')) last -= 1;
	let first = last;
	while (first > 0 && last - first < NAME_LENGTH && isNamePart(text.charCodeAt(first - 1))) first -= 1;
	return text.slice(first, last);
}

/** Letters, digits, `_`, `-` and `.`. */
function isNamePart(code: number): boolean {
	const lower = code | 32;
	return (lower >= 97 && lower <= 122) || (code >= 48 && code <= 57) || code === 95 || code === 45 || code === 46;
}

function isSecretName(name: string): boolean {
	return HINT.test(name) && (PASSWORD_NAME.test(name) || CREDENTIAL_NAME.test(name));
}

const PASSWORD_NAME = new RegExp(`(?:${PASSWORD})${TAIL}$`, 'i');
const CREDENTIAL_NAME = new RegExp(`(?:${CREDENTIAL})${TAIL}$`, 'i');

/** Headers and settings whose values are secrets whatever they look like. */
const SECRET_HEADER = /^(?:x-api-key|(?:aws_?)?secret_?access_?key|aws_?session_?token)$/i;
const AUTHORIZATION = /^(?:proxy-)?authorization$/i;
const CREDENTIALS = /^(?:bearer|basic|token|apikey|negotiate|digest|aws4-hmac-sha256)\s+(?!\[redacted:[a-z-]{1,40}\]$)\S/i;
const REDACTED = /^\[redacted:[a-z-]{1,40}\]$/;

/** What the value of a member is by its name: how much it must look like a secret depends on the name. Null when it is none. */
export function secretOf(name: string, value: string): 'authorization' | 'named-secret' | null {
	switch (kindOf(name)) {
		case 'plain':
			return null;
		case 'header':
			return REDACTED.test(value) ? null : 'authorization';
		case 'authorization':
			return CREDENTIALS.test(value) ? 'authorization' : null;
		case 'password':
			return value.length >= 4 && !/\s/.test(value) && !isStandIn(value) ? 'named-secret' : null;
		case 'credential':
			return !/\s/.test(value) && looksSecret(value) ? 'named-secret' : null;
	}
}

type Kind = 'header' | 'authorization' | 'password' | 'credential' | 'plain';

/** The few names that members have. Full after 1,024: hostile names cannot grow it. */
const kinds = new Map<string, Kind>();

function kindOf(name: string): Kind {
	if (name.length < 3 || name.length > 100) return 'plain';
	const known = kinds.get(name);
	if (known !== undefined) return known;
	const kind = judgeName(name);
	if (kinds.size < 1_024) kinds.set(name, kind);
	return kind;
}

function judgeName(name: string): Kind {
	if (SECRET_HEADER.test(name)) return 'header';
	if (AUTHORIZATION.test(name)) return 'authorization';
	return PASSWORD_NAME.test(name) ? 'password' : CREDENTIAL_NAME.test(name) ? 'credential' : 'plain';
}

const REFERENCE =
	/^(?:\$|%|#|@|\*+$|\.{3}|secret:|env[.:]|process\.|os\.|vault:|ref[+:]|file:|https?:\/\/|arn:|projects\/|\[|!)/i;
const WORDS =
	/^(?:string|text|varchar|char|number|integer|boolean|object|array|required|optional|true|false|null|none|nil|undefined|unset|empty|hidden|masked|redacted|removed|changeme|password|passwd|example|placeholder|value|token|secret|x+|your[-_a-z]*|my[-_a-z]*|test[-_a-z]*|dummy[-_a-z]*|fake[-_a-z]*|sample[-_a-z]*|default|unknown|n\/a|see|the|is|as|not|and)$/i;

/** A reference to where a secret is, or a word that stands where one would. */
function isStandIn(value: string): boolean {
	return REFERENCE.test(value) || WORDS.test(value);
}

/** Long and mixed enough that nobody thought of it as a word: the entropy of its characters, and not only letters. */
export function looksSecret(value: string): boolean {
	if (value.length < 8 || isStandIn(value)) return false;
	if (!/\d/.test(value) || !/[A-Za-z]/.test(value)) return value.length >= 16 && /[^\w.-]/.test(value) && entropy(value) >= 3.3;
	if (/^[\w$]+(?:\.[A-Za-z_$][\w$]*)+$/.test(value)) return false; // a place in a program: `config.key1`
	return entropy(value) >= 2.5;
}

/** Bits per character. */
function entropy(text: string): number {
	const counts = new Map<string, number>();
	for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
	const total = text.length;
	return [...counts.values()].reduce((sum, count) => sum - (count / total) * Math.log2(count / total), 0);
}
