/**
 * The little of Markdown that answers use: paragraphs, lists, fenced code, pipe tables, bold and code. It builds elements out of
 * text, so whatever a cell, a column or a model says stays text.
 */
import type {ReactNode} from 'react';

export function Prose({text}: {readonly text: string}) {
	return <div className="flex flex-col gap-2 break-words">{splitBlocks(text).map(renderBlock)}</div>;
}

type Block =
	| {readonly kind: 'text'; readonly lines: readonly string[]}
	| {readonly kind: 'code'; readonly lines: readonly string[]}
	| {readonly kind: 'table'; readonly lines: readonly string[]}
	| {readonly kind: 'list'; readonly ordered: boolean; readonly lines: readonly string[]};

const ITEM = /^\s*(?:[-*•]|\d+[.)])\s+/;
const RULE = /^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$/;

function splitBlocks(text: string): Block[] {
	const lines = text.replaceAll('\r\n', '\n').split('\n');
	const blocks: Block[] = [];
	for (let at = 0; at < lines.length; ) {
		const line = lines[at] ?? '';
		const take = (holds: (line: string, index: number) => boolean) => {
			const start = at;
			while (at < lines.length && holds(lines[at] ?? '', at)) at += 1;
			return lines.slice(start, at);
		};
		if (line.trim() === '') at += 1;
		else if (line.startsWith('```')) {
			at += 1;
			blocks.push({kind: 'code', lines: take((next) => !next.startsWith('```'))});
			at += 1;
		} else if (line.includes('|') && RULE.test(lines[at + 1] ?? '')) {
			blocks.push({kind: 'table', lines: take((next) => next.includes('|'))});
		} else if (ITEM.test(line)) {
			blocks.push({kind: 'list', ordered: /^\s*\d/.test(line), lines: take((next) => ITEM.test(next))});
		} else {
			const start = at;
			const isText = (next: string, index: number) =>
				index === start ||
				(next.trim() !== '' && !ITEM.test(next) && !next.startsWith('```') && !RULE.test(lines[index + 1] ?? ''));
			blocks.push({kind: 'text', lines: take(isText)});
		}
	}
	return blocks;
}

function renderBlock(block: Block, index: number): ReactNode {
	const key = `${block.kind}-${index}`;
	switch (block.kind) {
		case 'text':
			return (
				<p key={key} className="whitespace-pre-wrap">
					{renderInline(block.lines.join('\n'))}
				</p>
			);
		case 'code':
			return (
				<pre key={key} className="overflow-x-auto rounded-md bg-panel p-2 font-mono text-xs">
					{block.lines.join('\n')}
				</pre>
			);
		case 'list': {
			const items = numbered(block.lines).map(([at, line]) => <li key={at}>{renderInline(line.replace(ITEM, ''))}</li>);
			const look = 'flex flex-col gap-0.5 pl-5';
			return block.ordered ? (
				<ol key={key} className={`list-decimal ${look}`}>
					{items}
				</ol>
			) : (
				<ul key={key} className={`list-disc ${look}`}>
					{items}
				</ul>
			);
		}
		case 'table':
			return <PipeTable key={key} lines={block.lines} />;
	}
}

function PipeTable({lines}: {readonly lines: readonly string[]}) {
	const [head = [], rule = [], ...rows] = lines.map(splitCells);
	const side = (at: number) => (rule[at]?.endsWith(':') ? 'text-right' : 'text-left');
	return (
		<div className="overflow-x-auto">
			<table className="border-collapse text-xs">
				<thead>
					<tr>
						{numbered(head).map(([at, cell], index) => (
							<th key={at} className={`border border-line bg-panel px-2 py-1 font-medium ${side(index)}`}>
								{renderInline(cell)}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{numbered(rows).map(([row, cells]) => (
						<tr key={row}>
							{numbered(cells).map(([at, cell], index) => (
								<td key={at} className={`border border-line px-2 py-1 ${side(index)}`}>
									{renderInline(cell)}
								</td>
							))}
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}

function splitCells(line: string): string[] {
	const inner = line
		.trim()
		.replace(/^\|/, '')
		.replace(/(?<!\\)\|$/, '');
	return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
}

/** What was parsed once never changes its order, so its position names it. */
function numbered<T>(items: readonly T[]): [string, T][] {
	return items.map((item, index) => [`n${index}`, item]);
}

function renderInline(text: string): ReactNode[] {
	return text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).map((part, index) => {
		const key = `${index}-${part.length}`;
		if (/^`[^`]+`$/.test(part)) {
			return (
				<code key={key} className="rounded bg-hover px-1 font-mono text-xs">
					{part.slice(1, -1)}
				</code>
			);
		}
		return /^\*\*[^*]+\*\*$/.test(part) ? <strong key={key}>{part.slice(2, -2)}</strong> : part;
	});
}
