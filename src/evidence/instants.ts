/**
 * Writes times (milliseconds since 1970) as `Date.toISOString` does, which takes as long as hashing an event: of times in one second
 * only the milliseconds are written anew. Throws `RangeError` on what is no time.
 */
export function createInstants(): (ms: number) => string {
	const last = {second: Number.NaN, text: ''};
	return (ms) => {
		const second = Math.floor(ms / 1_000);
		if (second !== last.second) Object.assign(last, {text: new Date(ms).toISOString().slice(0, -4), second});
		return `${last.text}${String(ms - second * 1_000).padStart(3, '0')}Z`;
	};
}
