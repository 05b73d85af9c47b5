import {useMutation, useQueryClient} from '@tanstack/react-query';
import {Link} from '@tanstack/react-router';
import {type ReactNode, useState} from 'react';
import type {Approval} from '#contract/approval-api.ts';
import {type ApprovalAnswer, answerApproval} from '../api/queries.ts';
import {Button, FIELD} from '../ui/button.tsx';
import {ErrorNotice, Notice} from '../ui/notice.tsx';
import {formatMoment} from '../ui/time.ts';
import {Countdown} from './countdown.tsx';
import {Quorum, RISKS, STATES} from './marks.tsx';
import {Preview} from './preview.tsx';

/** One approval: what would be done, how far it reaches, what was said, and the answers there are. */
export function ApprovalDetail({approval, tired}: {readonly approval: Approval; readonly tired: boolean}) {
	const {approvalId, tool, state, approveBy, preview, previewDigest} = approval;
	return (
		<article aria-label={approvalId} className="flex flex-col gap-4 p-4">
			<header className="flex flex-wrap items-center gap-x-3 gap-y-1">
				<h2 className="font-medium font-mono text-base">{tool}</h2>
				<span className={`text-xs ${STATES[state]}`}>{state}</span>
				<span className="text-muted text-xs">
					<Quorum approval={approval} />
				</span>
				{state === 'pending' && (
					<span className="ml-auto text-xs">
						<Countdown until={approveBy} />
					</span>
				)}
			</header>
			<Reach approval={approval} />
			<section aria-label="What would be done">
				<Preview text={preview} />
				<p className="mt-1 break-all font-mono text-2xs text-faint">sha256 {previewDigest}</p>
			</section>
			<History approval={approval} />
			<Answers approval={approval} tired={tired} />
		</article>
	);
}

/** The blast radius. */
function Reach({approval}: {readonly approval: Approval}) {
	const {blastRadius, risk, requestedBy, owner, requestedAt, runId, parentActionId, approvers} = approval;
	const budget = Object.entries(blastRadius?.budget ?? {}).map(([name, {used, limit}]) => `${used} of ${limit} ${name}`);
	return (
		<dl aria-label="Blast radius" className="grid grid-cols-[max-content_1fr] gap-x-4 gap-y-1 rounded-md bg-panel p-3 text-xs">
			<Fact name="Risk">
				<span className={RISKS[risk]}>{risk}</span>
			</Fact>
			{blastRadius && (
				<>
					<Fact name="Effect">{blastRadius.effect}</Fact>
					<Fact name="Target">
						{blastRadius.target.type} {blastRadius.target.id}
					</Fact>
					<Fact name="Hosts">{blastRadius.hosts.length > 0 ? blastRadius.hosts.join(', ') : 'none'}</Fact>
					<Fact name="Budget used">{budget.join(', ')}</Fact>
				</>
			)}
			<Fact name="Asked by">
				{requestedBy}
				{owner && ` for ${owner}`}, {formatMoment(requestedAt)}
			</Fact>
			<Fact name="Run">
				<Link to="/runs/$runId" params={{runId}} className="break-all text-accent hover:underline">
					{runId}
				</Link>
			</Fact>
			{parentActionId && <Fact name="Waiting">code in a sandbox, which is held until this is answered</Fact>}
			{approvers && <Fact name="May answer">{approvers.join(', ')}</Fact>}
		</dl>
	);
}

function Fact({name, children}: {readonly name: string; readonly children: ReactNode}) {
	return (
		<>
			<dt className="text-muted">{name}</dt>
			<dd className="min-w-0">{children}</dd>
		</>
	);
}

function History({approval: {history}}: {readonly approval: Approval}) {
	if (history.length === 0) return null;
	return (
		<ol aria-label="What was said" className="flex flex-col gap-1 border-line border-l-2 pl-3 text-xs">
			{history.map(({at, kind, by, comment, to}) => (
				<li key={`${at} ${kind} ${by}`}>
					<span className="font-medium">{by ?? 'writ'}</span> {kind}
					{to.length > 0 && ` to ${to.join(', ')}`} <span className="text-faint">{formatMoment(at)}</span>
					{comment !== '' && <p className="whitespace-pre-wrap text-muted">{comment}</p>}
				</li>
			))}
		</ol>
	);
}

function Answers({approval, tired}: {readonly approval: Approval; readonly tired: boolean}) {
	const {approvalId, actionId, state, previewDigest} = approval;
	const queries = useQueryClient();
	const [comment, setComment] = useState('');
	const [confirm, setConfirm] = useState('');
	const [to, setTo] = useState('');
	const answer = useMutation({
		mutationFn: (given: ApprovalAnswer) => answerApproval(approvalId, given),
		onSuccess: () => setComment(''),
		onSettled: () => queries.invalidateQueries({queryKey: ['approvals']}),
	});
	if (state !== 'pending' && state !== 'granted') return null;
	const pending = state === 'pending';
	const busy = answer.isPending;
	const grant = {verb: 'grant', comment, previewDigest, ...(tired && {confirm})} as const;
	return (
		<section aria-label="Answer" className="flex flex-col gap-2 border-line border-t pt-4">
			{tired && pending && (
				<Notice tone="warn" title="You have granted much lately">
					<p className="mt-1">
						Look at this one again. To approve it, give a reason and type the id of its action: <code>{actionId}</code>
					</p>
					<input
						aria-label="Id of the action"
						className={`${FIELD} mt-2 w-full max-w-sm font-mono`}
						value={confirm}
						onChange={(event) => setConfirm(event.target.value)}
					/>
				</Notice>
			)}
			<textarea
				aria-label="Comment"
				placeholder="Reason or comment; it is kept with the run"
				rows={2}
				className={`${FIELD} h-auto w-full py-1`}
				value={comment}
				onChange={(event) => setComment(event.target.value)}
			/>
			<div className="flex flex-wrap items-center gap-2">
				{pending && (
					<>
						<Button look="primary" disabled={busy} onClick={() => answer.mutate(grant)}>
							Approve
						</Button>
						<Button look="danger" disabled={busy} onClick={() => answer.mutate({verb: 'reject', comment})}>
							Reject
						</Button>
					</>
				)}
				{approval.grantedBy.length > 0 && (
					<Button look="danger" disabled={busy} onClick={() => answer.mutate({verb: 'revoke', comment})}>
						Revoke
					</Button>
				)}
				<Button disabled={busy || comment.trim() === ''} onClick={() => answer.mutate({verb: 'comment', comment})}>
					Comment
				</Button>
				{pending && (
					<span className="ml-auto flex gap-2">
						<input
							aria-label="Person to hand it on to"
							placeholder="Person"
							className={`${FIELD} w-32`}
							value={to}
							onChange={(event) => setTo(event.target.value)}
						/>
						<Button disabled={busy || to.trim() === ''} onClick={() => answer.mutate({verb: 'delegate', to: to.trim(), comment})}>
							Hand on
						</Button>
					</span>
				)}
			</div>
			{answer.isError && <ErrorNotice error={answer.error} />}
		</section>
	);
}
