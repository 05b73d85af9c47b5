import {useState} from 'react';
import {Button} from '../ui/button.tsx';
import {Icon} from '../ui/icon.tsx';
import {useChat} from './use-chat.ts';
import {USES, type Use} from './uses.ts';

const NAMES = Object.keys(USES) as Use[];
const FIRST: readonly Use[] = ['plan', 'sql'];

/** Limits the next questions to the chosen dataset and some tools: the scope of their runs, which the server holds them to. */
export function MayUse() {
	const {session, state} = useChat();
	const [open, setOpen] = useState(false);
	const {uses, datasetId} = state;
	const toggle = (use: Use, on: boolean) =>
		session.setUses(NAMES.filter((each) => (each === use ? on : (uses?.includes(each) ?? false))));
	return (
		<>
			<Button look="quiet" className="ml-auto min-w-0 shrink" aria-expanded={open} onClick={() => setOpen(!open)}>
				<span className="truncate">May use: {uses === null ? 'all' : nameOf(uses)}</span>
				<Icon name={open ? 'close' : 'down'} />
			</Button>
			{open && (
				<fieldset className="-order-1 flex w-full flex-wrap gap-x-4 gap-y-1 border-line border-b pr-2 pb-2 text-xs">
					<legend className="sr-only">What the next questions may use</legend>
					<label className="inline-flex min-h-6 items-center gap-1.5">
						<input type="radio" name="uses" checked={uses === null} onChange={() => session.setUses(null)} />
						Whatever policy allows
					</label>
					<label className="inline-flex min-h-6 items-center gap-1.5">
						<input type="radio" name="uses" checked={uses !== null} onChange={() => session.setUses(uses ?? FIRST)} />
						Only {datasetId ?? 'the dataset'}, by
					</label>
					{NAMES.map((use) => (
						<label key={use} className={`inline-flex min-h-6 items-center gap-1.5 ${uses === null ? 'text-muted' : ''}`}>
							<input
								type="checkbox"
								disabled={uses === null}
								checked={uses?.includes(use) ?? false}
								onChange={(event) => toggle(use, event.target.checked)}
							/>
							{USES[use]}
						</label>
					))}
					<p className="w-full text-2xs text-muted">
						The scope of each run, written down before anything is read; all else is denied.
					</p>
				</fieldset>
			)}
		</>
	);
}

function nameOf(uses: readonly Use[]): string {
	return uses.map((use) => USES[use]).join(', ') || 'the schema';
}
