/** The exact text the answer is for. A diff has its lines coloured; nothing else about it is changed. */
export function Preview({text}: {readonly text: string}) {
	const isDiff = /^(diff --git |@@ |--- .*\n\+\+\+ )/m.test(text);
	return (
		// biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached without a mouse
		<pre tabIndex={0} className="max-h-96 overflow-auto rounded-md bg-panel p-3 font-mono text-xs whitespace-pre-wrap">
			{isDiff
				? text.split('\n').map((line, index) => (
						// biome-ignore lint/suspicious/noArrayIndexKey: lines of one text have no other name than their place
						<span key={index} className={toneOf(line)}>
							{`${line}\n`}
						</span>
					))
				: text}
		</pre>
	);
}

function toneOf(line: string): string {
	if (line.startsWith('+') && !line.startsWith('+++')) return 'text-ok';
	if (line.startsWith('-') && !line.startsWith('---')) return 'text-bad';
	return line.startsWith('@@') ? 'text-accent' : '';
}
