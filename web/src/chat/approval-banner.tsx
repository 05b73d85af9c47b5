import {useMutation, useQuery} from '@tanstack/react-query';
import {useEffect} from 'react';
import {answerApproval, approvalsQuery, runStatusQuery} from '../api/queries.ts';
import {Button} from '../ui/button.tsx';
import {ErrorNotice, Notice} from '../ui/notice.tsx';
import {formatMoment} from '../ui/time.ts';
import type {Exchange} from './exchange.ts';
import {useChat} from './use-chat.ts';

/** The run waits for a person. Whoever answers, here or elsewhere, the conversation goes on. */
export function ApprovalBanner({exchange, runId}: {readonly exchange: Exchange; readonly runId: string}) {
	const {session} = useChat();
	const approvals = useQuery(approvalsQuery('pending'));
	const approval = approvals.data?.approvals.find((each) => each.runId === runId);
	const status = useQuery(runStatusQuery(runId, 2_000));
	const answer = useMutation({
		mutationFn: (granted: boolean) =>
			answerApproval(
				approval?.approvalId ?? exchange.approvalId ?? '',
				granted ? {verb: 'grant', comment: '', previewDigest: approval?.previewDigest ?? ''} : {verb: 'reject', comment: ''},
			),
		onSuccess: () => status.refetch(),
	});
	const goneOn = status.data !== undefined && status.data.status !== 'awaiting_approval';
	const {key} = exchange;
	useEffect(() => {
		if (goneOn) void session.attach(key, runId);
	}, [goneOn, key, runId, session]);
	return (
		<div className="mt-2 flex flex-col gap-2">
			<Notice tone="warn" title="This waits for a person's approval">
				{approval && (
					<>
						<p className="mt-1 font-mono whitespace-pre-wrap">{approval.preview}</p>
						<p className="mt-1 text-muted">
							{approval.tool} · risk {approval.risk} · answer before {formatMoment(approval.approveBy)}
						</p>
					</>
				)}
				<div className="mt-2 flex gap-2">
					<Button look="primary" disabled={answer.isPending || !approval} onClick={() => answer.mutate(true)}>
						Grant
					</Button>
					<Button look="danger" disabled={answer.isPending} onClick={() => answer.mutate(false)}>
						Reject
					</Button>
				</div>
			</Notice>
			{answer.isError && <ErrorNotice error={answer.error} />}
		</div>
	);
}
