import {z} from 'zod';
import {suggestion} from './nearest.ts';

/** An object that takes no other keys, and says of one which may have been meant. */
export function strict<Shape extends z.ZodRawShape>(shape: Shape) {
	const known = Object.keys(shape);
	return z.strictObject(shape, {
		error: (issue) =>
			issue.code === 'unrecognized_keys'
				? issue.keys.map((key) => `unknown key \`${key}\`; ${suggestion(key, known)}`).join('; ')
				: undefined,
	});
}
