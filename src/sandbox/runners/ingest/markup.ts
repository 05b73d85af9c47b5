/** A tokeniser for the XML inside workbooks. It knows elements and text only: no entities but the five, no DTD, nothing external. */

export type Element = {
	readonly kind: 'open' | 'close';
	readonly name: string;
	readonly attributes: string;
	readonly empty: boolean;
};
type Token = Element | {readonly kind: 'text'; readonly text: string};

/** Tokens of a text that arrives in pieces. Throws on a document type declaration, where entity bombs and file reads live. */
export async function* tokens(pieces: AsyncIterable<string>): AsyncGenerator<Token> {
	let pending = '';
	for await (const piece of pieces) {
		const text = pending + piece;
		const end = text.lastIndexOf('>') + 1;
		pending = text.slice(end);
		if (end > 0) yield* tokenise(text.slice(0, end));
		else if (pending.length > MAX_TOKEN) throw new SyntaxError('an element is too long');
	}
}

const MAX_TOKEN = 1 << 20;

function* tokenise(text: string): Generator<Token> {
	for (const [token] of text.matchAll(/<[^>]*>|[^<]+/g)) {
		if (!token.startsWith('<')) yield {kind: 'text', text: decodeEntities(token)};
		else if (/^<!DOCTYPE|^<!ENTITY/i.test(token)) throw new SyntaxError('it has a document type declaration');
		else if (!token.startsWith('<?') && !token.startsWith('<!')) yield element(token);
	}
}

function element(token: string): Token {
	const [, slash, name = '', attributes = ''] = /^<(\/?)(?:[\w.-]+:)?([\w.-]+)([\s\S]*?)\/?>$/.exec(token) ?? [];
	return {kind: slash ? 'close' : 'open', name, attributes, empty: token.endsWith('/>')};
}

export function attribute(attributes: string, name: string): string | undefined {
	const found = new RegExp(`(?:^|[\\s:])${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`).exec(attributes);
	const text = found?.[1] ?? found?.[2];
	return text === undefined ? undefined : decodeEntities(text);
}

const NAMED: Readonly<Record<string, string>> = {amp: '&', lt: '<', gt: '>', quot: '"', apos: "'"};

function decodeEntities(text: string): string {
	if (!text.includes('&')) return text;
	return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));/gi, (whole, hex, decimal, name) => {
		if (name) return NAMED[name] ?? whole;
		const code = hex ? Number.parseInt(hex, 16) : Number(decimal);
		return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
	});
}
