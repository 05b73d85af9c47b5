import type {Approval} from '#contract/approval-api.ts';

export const STATES: Readonly<Record<Approval['state'], string>> = {
	pending: 'text-warn',
	granted: 'text-ok',
	rejected: 'text-bad',
	expired: 'text-faint',
	consumed: 'text-muted',
	cancelled: 'text-faint',
};

export const RISKS: Readonly<Record<Approval['risk'], string>> = {
	low: 'text-muted',
	medium: 'text-warn',
	high: 'text-bad',
	critical: 'font-medium text-bad',
};

/** How many of the people it takes have granted it, as dots and in words. */
export function Quorum({approval: {grantedBy, required}}: {readonly approval: Approval}) {
	return (
		<span className="inline-flex items-center gap-1">
			{Array.from({length: required}, (_, index) => (
				<span
					// biome-ignore lint/suspicious/noArrayIndexKey: dots have no other name than their place
					key={index}
					aria-hidden="true"
					className={`size-1.5 rounded-full ${index < grantedBy.length ? 'bg-ok' : 'bg-line-strong'}`}
				/>
			))}
			<span>
				{grantedBy.length} of {required}
			</span>
		</span>
	);
}
