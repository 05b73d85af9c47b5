/** Sixteen-pixel line icons, drawn here; decoration beside a label, never the label itself. */
const PATHS = {
	chat: 'M2.5 3.5h11v7h-6l-3 2.5v-2.5h-2z',
	data: 'M2.5 3.5h11v9h-11z M2.5 6.5h11 M6.5 6.5v6',
	runs: 'M3 4h10 M3 8h10 M3 12h6',
	approve: 'M8 1.8 13 4v4c0 3-2.2 5.2-5 6.2C5.2 13.2 3 11 3 8V4z M5.8 8l1.6 1.6L10.4 6.4',
	system: 'M3 4.5h6 M12 4.5h1 M3 11.5h1 M7 11.5h6 M9 3v3 M4 10v3',
	person: 'M8 2.5a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2z M3 13.5c.4-2.6 2.4-4 5-4s4.6 1.4 5 4',
	people:
		'M6 3a2.3 2.3 0 1 0 0 4.6A2.3 2.3 0 0 0 6 3z M1.5 13c.3-2.4 2-3.7 4.5-3.7s4.2 1.3 4.5 3.7 M10.5 3.2a2.3 2.3 0 0 1 0 4.3 M12 9.5c1.4.5 2.3 1.7 2.5 3.5',
	plus: 'M8 3v10 M3 8h10',
	close: 'M4 4l8 8 M12 4l-8 8',
	menu: 'M2.5 4.5h11 M2.5 8h11 M2.5 11.5h11',
	send: 'M8 13V3.5 M4 7.5l4-4 4 4',
	stop: 'M4.5 4.5h7v7h-7z',
	copy: 'M5.5 5.5h7.5v8H5.5z M3 10.5V2.5h7.5',
	check: 'M3 8.5 6.5 12 13 4.5',
	down: 'M4 6l4 4 4-4',
	right: 'M6 4l4 4-4 4',
	download: 'M8 2.5v8 M4.5 7 8 10.5 11.5 7 M3 13.5h10',
	upload: 'M8 10.5v-8 M4.5 6 8 2.5 11.5 6 M3 13.5h10',
	again: 'M13 8a5 5 0 1 1-1.6-3.7 M13 2.5v3h-3',
	sun: 'M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6z M8 1.5v1.2 M8 13.3v1.2 M1.5 8h1.2 M13.3 8h1.2 M3.4 3.4l.9.9 M11.7 11.7l.9.9 M12.6 3.4l-.9.9 M4.3 11.7l-.9.9',
	moon: 'M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z',
	screen: 'M2.5 3h11v8h-11z M6 13.5h4',
	warn: 'M8 2.5 14 13H2z M8 6.5v3 M8 11.2v.3',
	search: 'M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z M10.4 10.4 13.5 13.5',
	chart: 'M3 13V8.5 M7 13V3 M11 13V6.5 M2 13.5h12',
	shield: 'M8 1.8 13 4v4c0 3-2.2 5.2-5 6.2C5.2 13.2 3 11 3 8V4z',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({name, className = ''}: {readonly name: IconName; readonly className?: string}) {
	return (
		<svg
			viewBox="0 0 16 16"
			className={`size-4 shrink-0 ${className}`}
			fill="none"
			stroke="currentColor"
			strokeWidth="1.3"
			strokeLinecap="round"
			strokeLinejoin="round"
			aria-hidden="true"
		>
			<path d={PATHS[name]} />
		</svg>
	);
}
