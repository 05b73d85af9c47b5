import type {ComponentProps} from 'react';

const LOOKS = {
	primary: 'bg-accent text-on-accent border-accent hover:brightness-110 disabled:opacity-50',
	plain: 'bg-bg text-fg border-line-strong hover:bg-hover disabled:text-faint',
	quiet: 'border-transparent text-muted hover:bg-hover hover:text-fg disabled:text-faint',
	danger: 'bg-bg text-bad border-line-strong hover:bg-bad-soft',
} as const;

type ButtonProps = ComponentProps<'button'> & {readonly look?: keyof typeof LOOKS; readonly square?: boolean};

export function Button({look = 'plain', square = false, className = '', ...rest}: ButtonProps) {
	const size = square ? 'size-7 justify-center' : 'h-7 px-2.5';
	return (
		<button
			type="button"
			className={`inline-flex shrink-0 items-center gap-1.5 rounded-md border text-xs font-medium whitespace-nowrap transition-colors ${size} ${LOOKS[look]} ${className}`}
			{...rest}
		/>
	);
}

/** The look of native inputs and selects. */
export const FIELD =
	'field h-7 rounded-md border border-control bg-bg px-2 text-xs text-fg hover:border-muted disabled:text-faint min-w-0';
