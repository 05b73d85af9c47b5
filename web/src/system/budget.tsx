import {useQuery} from '@tanstack/react-query';
import type {BudgetUse} from '#contract/budget.ts';
import {budgetQuery} from '../api/queries.ts';
import {ErrorNotice, Loading} from '../ui/notice.tsx';
import {formatBytes, formatCount} from '../ui/time.ts';

const LABELS: Readonly<Record<BudgetUse['name'], string>> = {
	runs: 'Runs',
	concurrency: 'Runs at the same time',
	tokens: 'Tokens',
	money: 'Money',
	bytes: 'Bytes that actions returned',
	storage: 'Datasets and files on disk',
};

const HEADINGS = ['Budget', 'Used', 'Reserved', 'Limit', 'Anew'] as const;

/** What the tenant may use, and what of it is left. */
export function Budget() {
	const {data, error} = useQuery(budgetQuery);
	if (error) return <ErrorNotice error={error} />;
	if (!data) return <Loading label="Counting" />;
	return (
		<div className="flex max-w-4xl flex-col gap-3">
			<p className="text-muted text-xs">
				{data.window === null ? 'policy.yaml limits nothing of ' : 'Under budgets.tenant in policy.yaml, for '}
				{data.tenant}
			</p>
			<div className="overflow-x-auto rounded-md border border-line">
				<table className="w-full text-left text-xs">
					<thead className="bg-panel text-2xs text-muted">
						<tr>
							{HEADINGS.map((heading) => (
								<th key={heading} scope="col" className="whitespace-nowrap px-3 py-1.5 font-medium">
									{heading}
								</th>
							))}
						</tr>
					</thead>
					<tbody>
						{data.budgets.map((budget) => (
							<Row key={budget.name} {...budget} />
						))}
					</tbody>
				</table>
			</div>
		</div>
	);
}

function Row({name, unit, limit, used, reserved, renewsAt}: BudgetUse) {
	const isFull = limit !== null && used + reserved >= limit;
	return (
		<tr className="whitespace-nowrap border-line border-t">
			<th scope="row" className="px-3 py-1 font-normal">
				{LABELS[name]}
			</th>
			<td className={`px-3 tabular-nums ${isFull ? 'text-bad' : ''}`}>{format(used, unit)}</td>
			<td className="px-3 tabular-nums">{format(reserved, unit)}</td>
			<td className="px-3 tabular-nums">{limit === null ? 'none' : format(limit, unit)}</td>
			<td className="px-3 text-muted">{renewsAt ? new Date(renewsAt).toLocaleString() : 'when given back'}</td>
		</tr>
	);
}

function format(amount: number, unit: BudgetUse['unit']): string {
	if (unit === 'bytes') return formatBytes(amount);
	return unit === 'US dollars' ? `$${amount.toFixed(2)}` : formatCount(amount);
}
