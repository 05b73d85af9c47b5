import {useQuery} from '@tanstack/react-query';
import {useEffect, useState} from 'react';
import type {Approval} from '#contract/approval-api.ts';
import {approvalsQuery} from '../api/queries.ts';
import {FIELD} from '../ui/button.tsx';
import {Empty, ErrorNotice, Loading} from '../ui/notice.tsx';
import {ApprovalDetail} from './approval-detail.tsx';
import {Countdown} from './countdown.tsx';
import {Quorum, RISKS, STATES} from './marks.tsx';

const CHOICES = ['pending', 'granted', 'rejected', 'expired', 'cancelled', 'consumed', 'all'] as const;

/** What waits for people, over all runs. An answer counts for exactly the one action shown, once. */
export function InboxScreen() {
	const [state, setState] = useState<(typeof CHOICES)[number]>('pending');
	const [chosen, setChosen] = useState<string | null>(null);
	const {data, error, isPending} = useQuery({...approvalsQuery(state), refetchInterval: 3_000});
	const approvals = data?.approvals ?? [];
	const shown = approvals.find(({approvalId}) => approvalId === chosen);
	const first = approvals[0]?.approvalId;
	// Chosen once and then by hand alone: another approval must not slip under the hand that is about to approve this one.
	useEffect(() => setChosen((before) => before ?? first ?? null), [first]);
	const tired = data !== undefined && data.rate.granted >= data.rate.limit;
	return (
		<div className="flex h-full min-h-0 flex-col">
			<div className="flex h-11 shrink-0 items-center gap-3 border-line border-b px-4">
				<h1 className="font-medium">Inbox</h1>
				<select
					aria-label="State"
					className={FIELD}
					value={state}
					onChange={(event) => setState(event.target.value as typeof state)}
				>
					{CHOICES.map((each) => (
						<option key={each} value={each}>
							{each.charAt(0).toUpperCase() + each.slice(1)}
						</option>
					))}
				</select>
				{data && (
					<span className={`ml-auto text-xs ${tired ? 'text-warn' : 'text-muted'}`}>
						{data.rate.granted} of {data.rate.limit} granted in {Math.round(data.rate.windowSeconds / 60)} min
					</span>
				)}
			</div>
			{error && (
				<div className="p-4">
					<ErrorNotice error={error} />
				</div>
			)}
			{isPending && <Loading label="Loading the inbox" />}
			{data && approvals.length === 0 && (
				<Empty title={state === 'pending' ? 'Nothing waits for you' : 'None'}>
					An action that policy will not allow by itself appears here.
				</Empty>
			)}
			{approvals.length > 0 && (
				<div className="flex min-h-0 flex-1 flex-col md:flex-row">
					<ul
						aria-label="Approvals"
						className="max-h-48 shrink-0 overflow-y-auto border-line border-b md:max-h-none md:w-72 md:border-r md:border-b-0"
					>
						{approvals.map((approval) => (
							<ApprovalLine
								key={approval.approvalId}
								approval={approval}
								current={approval === shown}
								onChoose={() => setChosen(approval.approvalId)}
							/>
						))}
					</ul>
					<div className="min-h-0 min-w-0 flex-1 overflow-y-auto">
						{shown ? (
							<ApprovalDetail key={shown.approvalId} approval={shown} tired={tired} />
						) : (
							<Empty title="This one was answered">Choose another.</Empty>
						)}
					</div>
				</div>
			)}
		</div>
	);
}

type LineProps = {readonly approval: Approval; readonly current: boolean; onChoose(): void};

function ApprovalLine({approval, current, onChoose}: LineProps) {
	const {tool, risk, state, preview, approveBy} = approval;
	return (
		<li>
			<button
				type="button"
				aria-current={current}
				onClick={onChoose}
				className={`flex w-full flex-col gap-0.5 border-line border-b px-4 py-2 text-left text-xs hover:bg-hover ${current ? 'bg-hover' : ''}`}
			>
				<span className="flex w-full items-center gap-2">
					<span className="truncate font-medium font-mono">{tool}</span>
					<span className={`ml-auto shrink-0 ${state === 'pending' ? RISKS[risk] : STATES[state]}`}>
						{state === 'pending' ? risk : state}
					</span>
				</span>
				<span className="w-full truncate font-mono text-muted">{preview.split('\n')[0]}</span>
				<span className="flex w-full items-center gap-2 text-muted">
					<Quorum approval={approval} />
					{state === 'pending' && <Countdown until={approveBy} />}
				</span>
			</button>
		</li>
	);
}
