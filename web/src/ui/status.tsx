import type {RunStatus} from '#contract/event.ts';

type Look = {readonly label: string; readonly color: string; readonly pulse?: boolean; readonly hollow?: boolean};

const LOOKS: Readonly<Record<RunStatus, Look>> = {
	running: {label: 'Running', color: 'text-accent', pulse: true},
	awaiting_approval: {label: 'Awaiting approval', color: 'text-warn', pulse: true},
	succeeded: {label: 'Succeeded', color: 'text-ok'},
	failed: {label: 'Failed', color: 'text-bad'},
	rejected: {label: 'Rejected', color: 'text-bad', hollow: true},
	timed_out: {label: 'Timed out', color: 'text-warn'},
	cancelled: {label: 'Cancelled', color: 'text-faint'},
	unknown: {label: 'Unknown', color: 'text-warn', hollow: true},
};

export const STATUSES = Object.keys(LOOKS) as RunStatus[];
export const statusLabel = (status: RunStatus) => LOOKS[status].label;

export function StatusBadge({status, note}: {readonly status: RunStatus; readonly note?: string}) {
	const {label, color, pulse, hollow} = LOOKS[status] ?? LOOKS.unknown;
	const fill = hollow ? 'border-[1.5px] border-current' : 'bg-current';
	return (
		<span className="inline-flex items-center gap-1.5 whitespace-nowrap text-xs" data-status={status}>
			<span className={`size-2 rounded-full ${color} ${fill} ${pulse ? 'pulse' : ''}`} aria-hidden="true" />
			<span>{note ?? label}</span>
		</span>
	);
}
