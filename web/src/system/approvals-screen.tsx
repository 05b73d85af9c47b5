import {useMutation, useQuery, useQueryClient} from '@tanstack/react-query';
import {Link} from '@tanstack/react-router';
import {useState} from 'react';
import type {Approval} from '#contract/api.ts';
import {answerApproval, approvalsQuery} from '../api/queries.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {Empty, ErrorNotice, Loading} from '../ui/notice.tsx';
import {formatMoment} from '../ui/time.ts';

const STATES = ['pending', 'granted', 'rejected', 'expired', 'consumed', 'all'] as const;
const COLORS: Readonly<Record<Approval['state'], string>> = {
	pending: 'text-warn',
	granted: 'text-ok',
	rejected: 'text-bad',
	expired: 'text-faint',
	consumed: 'text-muted',
	cancelled: 'text-faint',
};

/** What waits for a person. An answer counts for exactly the one action shown, once. */
export function ApprovalsScreen() {
	const [state, setState] = useState<(typeof STATES)[number]>('pending');
	const {data, error, isPending} = useQuery(approvalsQuery(state));
	return (
		<div className="flex h-full min-h-0 flex-col">
			<div className="flex h-11 shrink-0 items-center gap-3 border-line border-b px-4">
				<h1 className="font-medium">Approvals</h1>
				<select
					aria-label="State"
					className={FIELD}
					value={state}
					onChange={(event) => setState(event.target.value as typeof state)}
				>
					{STATES.map((each) => (
						<option key={each} value={each}>
							{each.charAt(0).toUpperCase() + each.slice(1)}
						</option>
					))}
				</select>
			</div>
			<div className="min-h-0 flex-1 overflow-y-auto">
				{error && (
					<div className="p-4">
						<ErrorNotice error={error} />
					</div>
				)}
				{isPending && <Loading label="Loading the approvals" />}
				{data?.length === 0 && (
					<Empty title={state === 'pending' ? 'Nothing waits for you' : 'None'}>
						An action that policy will not allow by itself appears here.
					</Empty>
				)}
				<ul>
					{data?.map((approval) => (
						<ApprovalItem key={approval.approvalId} approval={approval} />
					))}
				</ul>
			</div>
		</div>
	);
}

function ApprovalItem({approval}: {readonly approval: Approval}) {
	const queries = useQueryClient();
	const [comment, setComment] = useState('');
	const answer = useMutation({
		mutationFn: (granted: boolean) =>
			answerApproval(
				approval.approvalId,
				granted ? {verb: 'grant', comment, previewDigest: approval.previewDigest} : {verb: 'reject', comment},
			),
		onSettled: () => queries.invalidateQueries({queryKey: ['approvals']}),
	});
	const {approvalId, tool, preview, risk, state, requestedBy, requestedAt, approveBy, approver, runId} = approval;
	return (
		<li className="flex flex-col gap-2 border-line border-b px-4 py-3">
			<p className="flex flex-wrap items-center gap-x-3 text-xs">
				<span className="font-medium font-mono">{tool}</span>
				<span className={COLORS[state]}>{state}</span>
				<span className="text-muted">risk {risk}</span>
				<span className="text-muted">
					asked by {requestedBy}, {formatMoment(requestedAt)}
				</span>
				<Link to="/runs/$runId" params={{runId}} className="text-accent hover:underline">
					run
				</Link>
			</p>
			<pre className="max-h-60 overflow-auto rounded-md bg-panel p-2 font-mono text-xs whitespace-pre-wrap">{preview}</pre>
			{state === 'pending' ? (
				<div className="flex flex-wrap items-center gap-2">
					<input
						aria-label="Comment"
						placeholder="Comment"
						className={`${FIELD} w-64 max-w-full`}
						value={comment}
						onChange={(event) => setComment(event.target.value)}
					/>
					<Button look="primary" disabled={answer.isPending} onClick={() => answer.mutate(true)}>
						Grant
					</Button>
					<Button look="danger" disabled={answer.isPending} onClick={() => answer.mutate(false)}>
						Reject
					</Button>
					<span className="text-muted text-xs">before {formatMoment(approveBy)}</span>
				</div>
			) : (
				<p className="text-muted text-xs">
					{approver === null ? approvalId : `by ${approver}${approval.comment ? `: ${approval.comment}` : ''}`}
				</p>
			)}
			{answer.isError && <ErrorNotice error={answer.error} />}
		</li>
	);
}
