const MOMENT = new Intl.DateTimeFormat(undefined, {
	month: 'short',
	day: 'numeric',
	hour: '2-digit',
	minute: '2-digit',
	second: '2-digit',
});
const DAY = new Intl.DateTimeFormat(undefined, {month: 'short', day: 'numeric'});

export const formatMoment = (iso: string) => MOMENT.format(new Date(iso));

export function formatAgo(iso: string, now = Date.now()): string {
	const seconds = Math.max(0, (now - new Date(iso).getTime()) / 1000);
	if (seconds < 60) return 'now';
	if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
	if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
	return seconds < 7 * 86_400 ? `${Math.floor(seconds / 86_400)}d` : DAY.format(new Date(iso));
}

export function formatMs(ms: number | null): string {
	if (ms === null) return '';
	if (ms < 1) return '<1 ms';
	if (ms < 1_000) return `${Math.round(ms)} ms`;
	return ms < 60_000
		? `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`
		: `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}

const COUNT = new Intl.NumberFormat('en-US');
export const formatCount = (count: number) => COUNT.format(count);
export const plural = (count: number, noun: string) => `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;

export function formatBytes(bytes: number): string {
	if (bytes < 1_024) return `${bytes} B`;
	const power = Math.min(4, Math.floor(Math.log2(bytes) / 10));
	const value = bytes / 1_024 ** power;
	return `${value.toFixed(value < 10 ? 1 : 0)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`;
}
