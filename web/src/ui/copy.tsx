import {useState} from 'react';
import {Button} from './button.tsx';
import {Icon} from './icon.tsx';

/** False where the browser refuses, for instance outside a secure context. */
export async function copyText(text: string): Promise<boolean> {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		return false;
	}
}

export function CopyButton({text, label}: {readonly text: () => string; readonly label: string}) {
	const [said, setSaid] = useState<string | null>(null);
	const copy = async () => {
		setSaid((await copyText(text())) ? 'Copied' : 'Not allowed');
		setTimeout(() => setSaid(null), 1_500);
	};
	return (
		<Button look="quiet" onClick={copy}>
			<Icon name={said === 'Copied' ? 'check' : 'copy'} />
			<span aria-live="polite">{said ?? label}</span>
		</Button>
	);
}
