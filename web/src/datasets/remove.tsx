import {useMutation, useQueryClient} from '@tanstack/react-query';
import {Link, useNavigate} from '@tanstack/react-router';
import {useState} from 'react';
import {datasetsQuery, removeDataset} from '../api/queries.ts';
import {Button} from '../ui/button.tsx';
import {ErrorNotice, Notice} from '../ui/notice.tsx';

/** Removing takes a second press, and whatever approval the policy asks for. */
export function RemoveDataset({id}: {readonly id: string}) {
	const queries = useQueryClient();
	const navigate = useNavigate();
	const [sure, setSure] = useState(false);
	const remove = useMutation({
		mutationFn: () => removeDataset(id),
		onSuccess: async ({status}) => {
			if (status !== 'succeeded') return;
			await queries.invalidateQueries({queryKey: datasetsQuery.queryKey});
			await navigate({to: '/datasets'});
		},
		onSettled: () => setSure(false),
	});
	const {data} = remove;
	return (
		<div className="mt-3 flex flex-wrap items-center gap-2 text-xs">
			<Button look="danger" disabled={remove.isPending} onClick={() => (sure ? remove.mutate() : setSure(true))}>
				{sure ? `Remove ${id} for good` : 'Remove'}
			</Button>
			{sure && (
				<Button look="quiet" onClick={() => setSure(false)}>
					Keep it
				</Button>
			)}
			{data && data.approvalId !== null && (
				<p role="status">
					A person has to approve it: it waits among the{' '}
					<Link to="/approvals" className="underline">
						approvals
					</Link>
					.
				</p>
			)}
			{data?.error && <Notice tone="warn">{data.error.message}</Notice>}
			{remove.isError && <ErrorNotice error={remove.error} />}
		</div>
	);
}
