/** Source with its words told apart: enough to read by, made of elements and text only. */
const SQL =
	/(?<comment>--[^\n]*|\/\*[\s\S]*?\*\/)|(?<text>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?<number>\b\d+(?:\.\d+)?\b)|(?<word>\b(?:select|from|where|group|by|order|having|qualify|limit|offset|join|left|right|inner|outer|full|cross|on|using|and|or|not|in|is|null|as|case|when|then|else|end|with|distinct|between|like|ilike|escape|union|all|except|intersect|asc|desc|nulls|first|last|cast|interval|over|partition|rows|filter|true|false|exists)\b)/gi;
const PYTHON =
	/(?<comment>#[^\n]*)|(?<text>"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?<number>\b\d+(?:\.\d+)?\b)|(?<word>\b(?:import|from|as|def|return|if|elif|else|for|while|in|not|and|or|is|None|True|False|lambda|try|except|finally|with|class|pass|break|continue|yield|raise)\b)/g;

const LOOKS: Readonly<Record<string, string>> = {
	comment: 'text-faint italic',
	text: 'text-ok',
	number: 'text-warn',
	word: 'text-accent font-medium',
};

export function Code({source, language}: {readonly source: string; readonly language: 'sql' | 'python'}) {
	return (
		// biome-ignore lint/a11y/noNoninteractiveTabindex: long lines scroll, and keys must reach them
		<pre className="overflow-auto p-4 font-mono text-xs leading-5" tabIndex={0}>
			<code>{paint(source, language === 'sql' ? SQL : PYTHON)}</code>
		</pre>
	);
}

function paint(source: string, grammar: RegExp) {
	const parts = [];
	let from = 0;
	for (const match of source.matchAll(grammar)) {
		const kind = Object.entries(match.groups ?? {}).find(([, text]) => text !== undefined)?.[0] ?? '';
		parts.push(source.slice(from, match.index));
		parts.push(
			<span key={match.index} className={LOOKS[kind]}>
				{match[0]}
			</span>,
		);
		from = match.index + match[0].length;
	}
	return [...parts, source.slice(from)];
}
