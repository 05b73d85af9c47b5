import assert from 'node:assert/strict';
import {test} from 'node:test';
import fc from 'fast-check';
import type {TurnEvent} from '#contract/stream.ts';
import {createRedactor} from '#evidence/redact.ts';
import {createSpeech} from './speech.ts';

const KNOWN = 'known-secret value 77';
const redact = createRedactor([]);

/** What watchers heard of `pieces`, one by one. */
function heard(pieces: readonly string[]): readonly string[] {
	const events: TurnEvent[] = [];
	const speech = createSpeech(redact, (event) => void events.push(event));
	for (const piece of pieces) speech.add(piece);
	speech.end();
	return events.flatMap((event) => (event.event === 'token' ? [event.data.content] : []));
}

const cut = (text: string, sizes: readonly number[]) => {
	const pieces: string[] = [];
	for (let at = 0, n = 0; at < text.length; n += 1) {
		const size = sizes[n % sizes.length] ?? 1;
		pieces.push(text.slice(at, at + size));
		at += size;
	}
	return pieces;
};

const BODY = 'aB3dE6gH9jK2mN5pQ8rT1uV4wX7yZ0aB3dE6gH9jK2mN5pQ8rT1uV4wX7yZ0';
const SECRETS = {
	'a token': [`npm_${BODY.slice(0, 36)}`, `Use npm_${BODY.slice(0, 36)} for this.`],
	'a bearer token': [BODY, `Send "Authorization: Bearer ${BODY}" with it.`],
	'a named secret': [BODY.slice(0, 30), `Set client_secret = ${BODY.slice(0, 30)} there, and go on.`],
	'a password': ['hunter2-Xy9!', 'The settings are password: hunter2-Xy9! and so on.'],
	'a private key': [BODY, `Here:\n-----BEGIN RSA PRIVATE KEY-----\n${BODY}\n${BODY}\n-----END RSA PRIVATE KEY-----\nDone.`],
} as const;

/** Which rule recognised it depends on how much was there. */
const unnamed = (text: string) => text.replace(/\[redacted:[a-z-]+\]/g, '[redacted]');

for (const [name, [secret, text]] of Object.entries(SECRETS))
	test(`${name} is not heard, however the stream cuts it`, () => {
		assert.ok(!String(redact(text).value).includes(secret));
		fc.assert(
			fc.property(fc.array(fc.integer({min: 1, max: 12}), {minLength: 1, maxLength: 6}), (sizes) => {
				const all = heard(cut(text, sizes)).join('');
				assert.ok(!all.includes(secret.slice(0, 12)), all);
				assert.equal(unnamed(all), unnamed(String(redact(text).value)));
			}),
		);
	});

test('what announces nothing is heard word by word', () => {
	assert.deepEqual(heard(['The ans', 'wer is ', '42', ' days.']), ['The ', 'answer is ', '42 ', 'days.']);
	assert.deepEqual(heard([`${KNOWN}`]).join(''), KNOWN);
});
