import {useEffect, useState} from 'react';

/** The time left, to the second. */
export function Countdown({until}: {readonly until: string}) {
	const [now, setNow] = useState(Date.now());
	useEffect(() => {
		const timer = setInterval(() => setNow(Date.now()), 1_000);
		return () => clearInterval(timer);
	}, []);
	const seconds = Math.floor((new Date(until).getTime() - now) / 1_000);
	if (seconds <= 0) return <span className="text-bad">over</span>;
	const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor((seconds % 3_600) / 60)];
	const padded = [minutes, seconds % 60].map((part) => String(part).padStart(2, '0'));
	return (
		<time dateTime={until} className={`tabular-nums ${seconds < 300 ? 'text-warn' : 'text-muted'}`}>
			{hours > 0 ? `${hours}:` : ''}
			{padded.join(':')} left
		</time>
	);
}
