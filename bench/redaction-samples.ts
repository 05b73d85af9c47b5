/**
 * Samples for measuring redaction: credentials made by the published form of each kind, from a seeded generator, and texts that look like
 * them and are none. Nothing here was ever issued by anybody. The forms are facts of vendors' documentation and of the rules that public
 * scanners (gitleaks, detect-secrets) have for them.
 */
import {createHash} from 'node:crypto';

/** A credential in the texts that it turns up in; `secret` must not be left in any of them. */
export type Positive = {readonly kind: string; readonly secret: string; readonly value: unknown};
export type Negative = {readonly kind: string; readonly value: unknown};

const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const UPPER = LOWER.toUpperCase();
const DIGITS = '0123456789';
const HEX = '0123456789abcdef';
const ALNUM = LOWER + UPPER + DIGITS;
const URLSAFE = `${ALNUM}-_`;
const BASE64 = `${ALNUM}+/`;
const BASE32 = `${UPPER}234567`;

/** The same sequence for the same seed, on every machine. */
export type Random = (below: number) => number;

export function seeded(seed: number): Random {
	const state = {a: seed >>> 0};
	return (below) => {
		state.a = (state.a + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state.a ^ (state.a >>> 15), 1 | state.a);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
	};
}

type Make = (draw: (alphabet: string, length: number) => string) => string;

/** By kind, how one is made. */
const TOKENS: Readonly<Record<string, Make>> = {
	'AWS key id': (r) => `AKIA${r(BASE32, 16)}`,
	'AWS temporary key id': (r) => `ASIA${r(BASE32, 16)}`,
	'Alibaba key id': (r) => `LTAI${r(ALNUM, 20)}`,
	'Azure AD client secret': (r) => `${r(ALNUM, 3)}8Q~${r(URLSAFE, 34)}`,
	'Azure storage key': (r) => `AccountKey=${r(BASE64, 86)}==`,
	'Google API key': (r) => `AIza${r(URLSAFE, 35)}`,
	'Google OAuth client secret': (r) => `GOCSPX-${r(URLSAFE, 28)}`,
	'Google access token': (r) => `ya29.a0${r(URLSAFE, 60)}`,
	'DigitalOcean token': (r) => `dop_v1_${r(HEX, 64)}`,
	'Databricks token': (r) => `dapi${r(HEX, 32)}`,
	'Fly.io token': (r) => `fm2_${r(BASE64, 120)}`,
	'Netlify token': (r) => `nfp_${r(ALNUM, 36)}`,
	'Supabase token': (r) => `sbp_${r(HEX, 40)}`,
	'Tailscale key': (r) => `tskey-auth-${r(ALNUM, 12)}-${r(ALNUM, 32)}`,
	'Vault token': (r) => `hvs.${r(URLSAFE, 90)}`,
	'Terraform Cloud token': (r) => `${r(ALNUM, 14)}.atlasv1.${r(URLSAFE, 67)}`,
	'PlanetScale token': (r) => `pscale_tkn_${r(URLSAFE, 43)}`,
	'Pulumi token': (r) => `pul-${r(HEX, 40)}`,
	'Doppler token': (r) => `dp.pt.${r(ALNUM, 43)}`,
	'Cloudflare origin CA key': (r) => `v1.0-${r(HEX, 24)}-${r(HEX, 146)}`,
	'1Password service token': (r) => `ops_eyJ${r(BASE64, 260)}`,
	'age key': (r) => `AGE-SECRET-KEY-1${r('QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L', 58)}`,
	'GitHub token': (r) => `ghp_${r(ALNUM, 36)}`,
	'GitHub app token': (r) => `ghs_${r(ALNUM, 36)}`,
	'GitHub fine-grained token': (r) => `github_pat_${r(ALNUM, 22)}_${r(ALNUM, 59)}`,
	'GitLab token': (r) => `glpat-${r(URLSAFE, 20)}`,
	'GitLab runner token': (r) => `glrt-${r(URLSAFE, 20)}`,
	'npm token': (r) => `npm_${r(ALNUM, 36)}`,
	'PyPI token': (r) => `pypi-AgEIcHlwaS5vcmc${r(URLSAFE, 90)}`,
	'RubyGems key': (r) => `rubygems_${r(HEX, 48)}`,
	'Clojars token': (r) => `CLOJARS_${r(HEX, 60)}`,
	'Docker Hub token': (r) => `dckr_pat_${r(URLSAFE, 27)}`,
	'Artifactory key': (r) => `AKCp${r(ALNUM, 69)}`,
	'Atlassian token': (r) => `ATATT3xFfGF0${r(URLSAFE, 180)}`,
	'SonarQube token': (r) => `sqp_${r(HEX, 40)}`,
	'Sentry token': (r) => `sntryu_${r(HEX, 64)}`,
	'Linear key': (r) => `lin_api_${r(ALNUM, 40)}`,
	'Postman key': (r) => `PMAK-${r(HEX, 24)}-${r(HEX, 34)}`,
	'Grafana token': (r) => `glsa_${r(ALNUM, 32)}_${r(HEX, 8)}`,
	'New Relic key': (r) => `NRAK-${r(UPPER + DIGITS, 27)}`,
	'Dynatrace token': (r) => `dt0c01.${r(UPPER + DIGITS, 24)}.${r(UPPER + DIGITS, 64)}`,
	'OpenAI key': (r) => `sk-proj-${r(URLSAFE, 58)}T3BlbkFJ${r(URLSAFE, 58)}`,
	'OpenAI legacy key': (r) => `sk-${r(ALNUM, 20)}T3BlbkFJ${r(ALNUM, 20)}`,
	'Anthropic key': (r) => `sk-ant-api03-${r(URLSAFE, 93)}AA`,
	'Hugging Face token': (r) => `hf_${r(LOWER + UPPER, 34)}`,
	'Groq key': (r) => `gsk_${r(ALNUM, 52)}`,
	'Perplexity key': (r) => `pplx-${r(ALNUM, 48)}`,
	'Replicate token': (r) => `r8_${r(ALNUM, 37)}`,
	'Slack bot token': (r) => `xoxb-${r(DIGITS, 12)}-${r(DIGITS, 13)}-${r(ALNUM, 24)}`,
	'Slack app token': (r) => `xapp-1-A${r(UPPER + DIGITS, 10)}-${r(DIGITS, 13)}-${r(HEX, 64)}`,
	'Slack webhook': (r) => `https://hooks.slack.com/services/T${r(UPPER + DIGITS, 8)}/B${r(UPPER + DIGITS, 10)}/${r(ALNUM, 24)}`,
	'Discord webhook': (r) => `https://discord.com/api/webhooks/${r('123456789', 18)}/${r(URLSAFE, 68)}`,
	'Discord bot token': (r) => `M${r(ALNUM, 23)}.${r(URLSAFE, 6)}.${r(URLSAFE, 38)}`,
	'Telegram bot token': (r) => `${r('123456789', 10)}:AA${r(URLSAFE, 33)}`,
	'SendGrid key': (r) => `SG.${r(URLSAFE, 22)}.${r(URLSAFE, 43)}`,
	'Mailgun key': (r) => `key-${r(HEX, 32)}`,
	'Mailchimp key': (r) => `${r(HEX, 32)}-us14`,
	'Brevo key': (r) => `xkeysib-${r(HEX, 64)}-${r(ALNUM, 16)}`,
	'Twilio key': (r) => `SK${r(HEX, 32)}`,
	'Stripe key': (r) => `sk_live_${r(ALNUM, 24)}`,
	'Stripe webhook secret': (r) => `whsec_${r(ALNUM, 32)}`,
	'Shopify token': (r) => `shpat_${r(HEX, 32)}`,
	'Square token': (r) => `sq0atp-${r(URLSAFE, 22)}`,
	'EasyPost key': (r) => `EZAK${r(ALNUM, 54)}`,
	'Facebook page token': (r) => `EAAM${r(ALNUM, 120)}`,
	'Notion token': (r) => `ntn_${r(DIGITS, 11)}${r(ALNUM, 35)}`,
	'Airtable token': (r) => `pat${r(ALNUM, 14)}.${r(HEX, 64)}`,
	'Figma token': (r) => `figd_${r(URLSAFE, 40)}`,
	'Contentful token': (r) => `CFPAT-${r(URLSAFE, 43)}`,
	'Frame.io token': (r) => `fio-u-${r(URLSAFE, 64)}`,
	'OpenShift token': (r) => `sha256~${r(URLSAFE, 43)}`,
	JWT: (r) => `eyJ${r(URLSAFE, 33)}.eyJ${r(URLSAFE, 60)}.${r(URLSAFE, 43)}`,
};

type Frame = (secret: string) => unknown;

/** Where a token that speaks for itself turns up. */
const PLACES: readonly Frame[] = [
	(s) => s,
	(s) => `the key is ${s}, keep it`,
	(s) => `export SERVICE=${s}\nexport NEXT=1\n`,
	(s) => `curl -H 'X-Service: ${s}' https://api.example.com/v1?a=1`,
	(s) => JSON.stringify({settings: {entry: s}}),
	(s) => JSON.stringify(`line one\n${s}\nline three`),
	(s) => `https://api.example.com/v1?entry=${s}&page=2`,
	(s) => ({
		rows: [
			[1, 'a', s],
			[2, 'b', 'c'],
		],
	}),
	(s) => `| name | value |\n|---|---|\n| entry | ${s} |`,
	(s) => `Traceback (most recent call last):\n  File "a.py", line 3\nValueError: bad value '${s}'`,
];

/** Values without a form of their own, known by their names. */
const NAMED: Readonly<Record<string, {readonly names: readonly string[]; readonly make: Make}>> = {
	'password by name': {
		names: ['password', 'DB_PASSWORD', 'passwd', 'pwd', 'adminPassword', 'passphrase', 'db.password', 'POSTGRES_PASSWORD'],
		make: (r) => `${r(LOWER, 5)}${r(UPPER, 2)}${r(DIGITS, 3)}${r('!$%*+^_-', 1)}${r(ALNUM, 3)}`,
	},
	'API key by name': {
		names: ['api_key', 'API_KEY', 'apiKey', 'x-api-key', 'SERVICE_API_KEY', 'app-key', 'DD_API_KEY', 'stripe.api.key'],
		make: (r) => r(HEX, 32),
	},
	'secret by name': {
		names: [
			'client_secret',
			'CLIENT_SECRET',
			'clientSecret',
			'secret',
			'JWT_SECRET',
			'SECRET_KEY',
			'app_secret',
			'webhook-secret',
		],
		make: (r) => r(BASE64, 40),
	},
	'token by name': {
		names: [
			'access_token',
			'ACCESS_TOKEN',
			'accessToken',
			'auth_token',
			'refresh_token',
			'GITLAB_TOKEN',
			'oauth-token',
			'NPM_TOKEN',
		],
		make: (r) => r(URLSAFE, 40),
	},
	'AWS secret by name': {
		names: ['aws_secret_access_key', 'AWS_SECRET_ACCESS_KEY', 'secretAccessKey'],
		make: (r) => r(BASE64, 40),
	},
};

const ASSIGNMENTS: readonly ((name: string, secret: string) => unknown)[] = [
	(n, s) => `${n}=${s}`,
	(n, s) => `${n} = "${s}"`,
	(n, s) => `${n}: ${s}\nother: 1`,
	(n, s) => JSON.stringify({[n]: s}),
	(n, s) => JSON.stringify(JSON.stringify({a: 1, [n]: s})),
	(n, s) => ({config: {[n]: s}}),
	(n, s) => `  ${n} => '${s}',`,
	(n, s) => `set ${n} := ${s}`,
];

/** Whole structures. */
const STRUCTURES: Readonly<Record<string, (r: Parameters<Make>[0]) => readonly [secret: string, value: unknown]>> = {
	'private key': (r) => {
		const body = r(BASE64, 64);
		return [body, `-----BEGIN RSA PRIVATE KEY-----\n${body}\n${r(BASE64, 40)}==\n-----END RSA PRIVATE KEY-----`];
	},
	'PGP private key': (r) => {
		const body = r(BASE64, 64);
		return [
			body,
			`-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2.0.22 (GNU/Linux)\n\n${body}\n=ab3d\n-----END PGP PRIVATE KEY BLOCK-----`,
		];
	},
	'PuTTY private key': (r) => {
		const body = r(BASE64, 64);
		return [
			body,
			`PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPrivate-Lines: 2\n${body}\n${r(BASE64, 30)}\nPrivate-MAC: 00`,
		];
	},
	'password in a URL': (r) => {
		const secret = `${r(ALNUM, 8)}!${r(ALNUM, 4)}`;
		return [secret, `postgresql://app:${secret}@db.internal:5432/sales?sslmode=require`];
	},
	'basic credentials': (r) => {
		const secret = Buffer.from(`admin:${r(ALNUM, 14)}`).toString('base64');
		return [secret, `Authorization: Basic ${secret}`];
	},
	'bearer token': (r) => {
		const secret = r(URLSAFE, 40);
		return [secret, `curl -H "Authorization: Bearer ${secret}" https://api.example.com/`];
	},
	'Azure shared access signature': (r) => {
		const secret = `${r(ALNUM, 42)}%3D`;
		return [secret, `https://store.blob.core.windows.net/box?sv=2023-01-03&sp=r&sig=${secret}`];
	},
	'kubeconfig key': (r) => {
		const secret = r(BASE64, 120);
		return [secret, `users:\n- name: admin\n  user:\n    client-key-data: ${secret}\n`];
	},
};

/** At least `each` samples of every kind. */
export function makePositives(each: number, random: Random): readonly Positive[] {
	const {draw} = drawing(random);
	const indices = Array.from({length: each}, (_, index) => index);
	const tokens = Object.entries(TOKENS).flatMap(([kind, make]) =>
		indices.map((index) => {
			const secret = make(draw);
			return {kind, secret, value: PLACES[index % PLACES.length]?.(secret)};
		}),
	);
	const named = Object.entries(NAMED).flatMap(([kind, {names, make}]) =>
		Array.from({length: each * 4}, (_, index) => {
			const secret = make(draw);
			const name = names[random(names.length)] ?? '';
			return {kind, secret, value: ASSIGNMENTS[index % ASSIGNMENTS.length]?.(name, secret)};
		}),
	);
	const structures = Object.entries(STRUCTURES).flatMap(([kind, make]) =>
		indices.map(() => {
			const [secret, value] = make(draw);
			return {kind, secret, value};
		}),
	);
	return [...tokens, ...named, ...structures];
}

const WORDS =
	'the a customer order region token of key value is in not secret ingredient password policy access for report and sales monthly total author api service ticket priority basic bearer market plan authorization was late because we saw session state public health'.split(
		' ',
	);

type Drawing = {
	draw(alphabet: string, length: number): string;
	random: Random;
	hash(algorithm: string): string;
	uuid(): string;
	words(count: number): string;
	number(): string;
	integrity(): string;
};

function drawing(random: Random): Drawing {
	const draw = (alphabet: string, length: number) => Array.from({length}, () => alphabet[random(alphabet.length)]).join('');
	return {
		...{draw, random},
		hash: (algorithm) => createHash(algorithm).update(draw(ALNUM, 12)).digest('hex'),
		uuid: () => `${draw(HEX, 8)}-${draw(HEX, 4)}-4${draw(HEX, 3)}-a${draw(HEX, 3)}-${draw(HEX, 12)}`,
		words: (count) => Array.from({length: count}, () => WORDS[random(WORDS.length)]).join(' '),
		number: () => (random(1_000_000) / 100).toFixed(2),
		integrity: () => createHash('sha512').update(draw(ALNUM, 9)).digest('base64'),
	};
}

const NEGATIVES: Readonly<Record<string, (d: Drawing) => unknown>> = {
	UUIDs: (d) => [`id ${d.uuid()}`, {key: d.uuid(), session_id: d.uuid()}],
	'MD5 and SHA digests': (d) => `md5 ${d.hash('md5')} sha1:${d.hash('sha1')} sha256=${d.hash('sha256')} ${d.hash('sha512')}`,
	'git commits': (d) =>
		`commit ${d.hash('sha1')}\nparent ${d.hash('sha1')}\nMerge ${d.hash('sha1').slice(0, 7)} into ${d.hash('sha1').slice(0, 9)}`,
	'images in base64': (d) => `<img src="data:image/png;base64,iVBORw0KGgo${d.draw(BASE64, 400)}==">`,
	prose: (d) => `${d.words(30)}. ${d.words(12)}: ${d.words(8)}; ${d.words(6)}, password: ${d.words(2)}.`,
	'rows of numbers': (d) =>
		Array.from(
			{length: 8},
			() => `${d.random(99_999)},${d.number()},2024-0${1 + d.random(9)}-1${d.random(9)},${d.number()}`,
		).join('\n'),
	'lock files': (d) =>
		JSON.stringify({
			[`node_modules/${d.words(1)}-${d.words(1)}`]: {
				version: `${d.random(9)}.${d.random(20)}.0`,
				resolved: `https://registry.example/${d.words(1)}/-/${d.words(1)}-1.0.${d.random(9)}.tgz`,
				integrity: `sha512-${d.integrity()}`,
			},
		}),
	'module checksums': (d) => `golang.org/x/oauth2 v0.1${d.random(9)}.0 h1:${d.draw(BASE64, 43)}=`,
	'source code': (d) =>
		`const token = await getToken('${d.words(1)}');\nif (password === config.password) secretKey = process.env.SECRET_KEY;\nclass ApiKeyProvider { key: string; keyId = ${d.random(99)}; }\npublic_key: "${d.words(1)}_public"`,
	'references to secrets': (d) =>
		[
			`password: \${DB_PASSWORD}`,
			'api_key = "{{ api_key }}"',
			`client_secret: secret:${d.words(1)}`,
			'SECRET_KEY=$SECRET',
			'passwd = "********"',
			'token: <your-token>',
			'access_token=YOUR_ACCESS_TOKEN',
		].join('\n'),
	schemas: (d) => ({
		...{type: 'object', properties: {password: {type: 'string'}, apiKey: {type: 'string'}}, required: ['password']},
		columns: [
			{name: 'token', type: 'varchar'},
			{name: 'secret_count', type: 'int'},
		],
		title: d.words(3),
	}),
	'identifiers of the platform': (d) => ({
		...{
			runId: `run_${d.draw(LOWER + DIGITS, 9)}${d.draw(HEX, 20)}`,
			actionId: `act_${d.draw(LOWER + DIGITS, 9)}${d.draw(HEX, 20)}`,
		},
		...{requestId: `req-${d.uuid()}`, policyVersion: d.hash('sha256'), inputDigest: d.hash('sha256'), keyId: d.hash('sha256')},
	}),
	'public keys': (d) =>
		`ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${d.draw(BASE64, 43)} ada@host\n-----BEGIN CERTIFICATE-----\n${d.draw(BASE64, 64)}\n-----END CERTIFICATE-----`,
	'addresses and times': (d) =>
		`https://example.com/${d.words(1)}/${d.uuid()}?page=${d.random(99)}&sort=created_at&next=${d.draw(DIGITS, 10)} 10:3${d.random(9)} ada@example.com 192.168.0.${d.random(255)}:8080`,
	'stack traces': (d) =>
		`    at Object.${d.words(1)} (/srv/app/node_modules/${d.words(1)}/lib/index.js:${d.random(999)}:${d.random(80)})\n    at async Promise.all (index ${d.random(9)})`,
	'names of models and images': (d) =>
		`ghcr.io/example/${d.words(1)}@sha256:${d.hash('sha256')} gpt-4o-mini-2024-07-18 claude-sonnet-4-5-20250929 text-embedding-3-large`,
};

/** Texts without a secret, at least `each` of every kind. */
export function makeNegatives(each: number, random: Random): readonly Negative[] {
	const d = drawing(random);
	return Object.entries(NEGATIVES).flatMap(([kind, make]) => Array.from({length: each}, () => ({kind, value: make(d)})));
}
