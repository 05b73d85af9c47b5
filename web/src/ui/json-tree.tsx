import {Icon} from './icon.tsx';

/** A value as a tree that opens level by level; text stays text. */
export function JsonTree({value, name, open = 1}: {readonly value: unknown; readonly name?: string; readonly open?: number}) {
	const label = name === undefined ? null : <span className="text-muted">{name}: </span>;
	if (typeof value !== 'object' || value === null) {
		return (
			<div className="py-px pl-5 font-mono text-xs break-words whitespace-pre-wrap">
				{label}
				<Scalar value={value} />
			</div>
		);
	}
	const entries = Object.entries(value);
	const shape = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
	if (entries.length === 0) {
		return (
			<div className="py-px pl-5 font-mono text-xs">
				{label}
				<span className="text-faint">{Array.isArray(value) ? '[]' : '{}'}</span>
			</div>
		);
	}
	return (
		<details open={open > 0} className="group/tree font-mono text-xs">
			<summary className="flex items-center rounded py-px hover:bg-hover">
				<Icon name="right" className="mr-1 text-faint group-open/tree:rotate-90" />
				{label ?? <span className="text-muted">{Array.isArray(value) ? 'list' : 'object'}&nbsp;</span>}
				<span className="ml-1 text-faint">{shape}</span>
			</summary>
			<div className="ml-[7px] border-line border-l pl-2">
				{entries.slice(0, MOST).map(([key, child]) => (
					<JsonTree key={key} name={key} value={child} open={open - 1} />
				))}
				{entries.length > MOST && <p className="pl-5 text-faint">… {entries.length - MOST} more</p>}
			</div>
		</details>
	);
}

const MOST = 200;

function Scalar({value}: {readonly value: unknown}) {
	if (value === null || value === undefined) return <span className="text-faint italic">null</span>;
	if (typeof value === 'string') return <span>{value}</span>;
	return <span className="text-accent">{String(value)}</span>;
}
