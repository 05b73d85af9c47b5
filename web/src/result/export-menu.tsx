import {DropdownMenu} from 'radix-ui';
import {useState} from 'react';
import type {Result} from '#contract/api.ts';
import {Button} from '../ui/button.tsx';
import {copyText} from '../ui/copy.tsx';
import {Icon} from '../ui/icon.tsx';
import {columnsOf, toMarkdown, toTsv} from './cells.ts';

const FORMATS = [
	['csv', 'CSV'],
	['xlsx', 'Excel (XLSX)'],
	['parquet', 'Parquet'],
	['json', 'JSON'],
] as const;
export type Format = (typeof FORMATS)[number][0];

type MenuProps = {readonly result: Result; readonly busy: boolean; readonly onSave: (format: Format) => void};

/** Files hold the full result, computed again in a sandbox; copies hold the rows shown. */
export function ExportMenu({result, busy, onSave}: MenuProps) {
	const [said, setSaid] = useState<string | null>(null);
	const copy = async (text: string) => {
		setSaid((await copyText(text)) ? 'Copied' : 'Not allowed');
		setTimeout(() => setSaid(null), 1_500);
	};
	return (
		<DropdownMenu.Root>
			<DropdownMenu.Trigger asChild>
				<Button disabled={busy}>
					<Icon name="download" />
					<span aria-live="polite">{busy ? 'Exporting' : (said ?? 'Export')}</span>
				</Button>
			</DropdownMenu.Trigger>
			<DropdownMenu.Portal>
				<DropdownMenu.Content
					align="end"
					sideOffset={4}
					className="z-50 min-w-44 rounded-lg border border-line bg-raised p-1 text-xs shadow-pop"
				>
					<DropdownMenu.Label className="px-2 py-1 text-2xs text-muted">All rows as a file</DropdownMenu.Label>
					{FORMATS.map(([format, label]) => (
						<Item key={format} label={label} onSelect={() => onSave(format)} />
					))}
					<DropdownMenu.Separator className="my-1 h-px bg-line" />
					<DropdownMenu.Label className="px-2 py-1 text-2xs text-muted">Copy the rows shown</DropdownMenu.Label>
					<Item label="As TSV" onSelect={() => copy(toTsv(columnsOf(result), result.rows, true))} />
					<Item label="As Markdown" onSelect={() => copy(toMarkdown(columnsOf(result), result.rows))} />
				</DropdownMenu.Content>
			</DropdownMenu.Portal>
		</DropdownMenu.Root>
	);
}

function Item({label, onSelect}: {readonly label: string; readonly onSelect: () => void}) {
	return (
		<DropdownMenu.Item onSelect={onSelect} className="rounded px-2 py-1 outline-none data-[highlighted]:bg-hover">
			{label}
		</DropdownMenu.Item>
	);
}
