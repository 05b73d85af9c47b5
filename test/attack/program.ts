/** A program as it is sent: what attacks have in common, the attack, and what it says at the end. */
import {readFileSync} from 'node:fs';
import path from 'node:path';

const PRELUDE = readFileSync(path.join(import.meta.dirname, 'prelude.py'), 'utf8');
const LAST = '\nresult = "\\n".join(said) if all(isinstance(each, str) for each in said) else list(said)\n';

export function asProgram(code: string, fill: (text: string) => string): string {
	return fill(`${PRELUDE}\n${code}\n${LAST}`);
}
