/**
 * The one way out of a sandbox. A run whose spec names destinations gets a proxy of its own: a process that holds this run's rules and
 * the secrets they name, ends with the run, and can neither block nor crash the platform or another run. The sandbox keeps its empty
 * network; a Unix socket is mounted into it, and the first program inside carries a local port to it. What ignores the proxy settings
 * and connects by itself finds no network at all.
 *
 * The proxy takes plain HTTP and CONNECT. It reads what is said over TLS with a certificate authority that only this run trusts, so that
 * every request is checked: host, port, method, path; evidence names them, and no connection can be used for a host behind the one it was
 * opened for. A rule that says `opaque` gets a tunnel of which only the server name is checked: two names that one server answers for
 * (a content network) cannot then be told apart. Not covered by either: what an allowed host is told in a request that its rule allows.
 */
import {chmod, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {rootCertificates} from 'node:tls';
import {WritError} from '#contract/errors.ts';
import type {EgressDecision, EgressReport, EgressRule, HostInjection, Network} from '#contract/sandbox.ts';
import {spellings} from '#evidence/secrets.ts';
import type {Mount} from '../runtime.ts';
import {type AddressException, listOf} from './addresses.ts';
import type {Secret} from './forward.ts';
import {isHostPattern, mayMeet} from './host-name.ts';
import {MIN_SECRET_LENGTH} from './mask.ts';
import type {Check, ProxyLimits, ProxyPolicy} from './proxy.ts';
import {type ProxyProcess, startProxy} from './start-proxy.ts';

export type EgressOptions = {
	/** the value of a secret that a rule sends to `host`; undefined when there is none of this name that may go there */
	readonly secrets: (name: string, host: string) => string | undefined;
	/** what requests to a host get on their way out, though no rule says so; the values are those of `secrets` */
	readonly injections?: readonly HostInjection[];
	/** where the sockets of the proxies are made; short, as a socket's path is */
	readonly directory: string;
	/** hosts that may have addresses which are refused otherwise */
	readonly exceptions?: readonly AddressException[];
	/** `address:port` of the DNS servers to ask instead of the host's own */
	readonly resolvers?: readonly string[];
	/** certificate authorities to accept besides the public ones, in PEM */
	readonly trust?: readonly string[];
	readonly limits?: Partial<ProxyLimits>;
	/** checks to leave out, for the tests that show what each of them stops */
	readonly without?: readonly Check[];
	readonly onDecision?: (decision: EgressDecision) => void;
};

/** The way out of one sandbox. */
export type Way = {
	/** on the host */
	readonly socket: string;
	readonly mounts: readonly Mount[];
	readonly environment: Readonly<Record<string, string>>;
	/** The command to start inside, in place of `command`. */
	wrap(command: readonly string[]): readonly string[];
	/** Settles when the run must end: its bytes are used up, or the proxy died. Never rejects. */
	readonly broken: Promise<WritError>;
	/** What was decided so far. */
	report(): EgressReport;
	/** Closes the way; what was decided until then. Again returns the same. */
	close(): Promise<EgressReport>;
};

export type Egress = {
	/** Throws `validation_error` for rules that cannot be kept, `sandbox_unavailable` when the proxy does not start. */
	open(network: Exclude<Network, 'none'>): Promise<Way>;
};

const LIMITS: ProxyLimits = {
	connections: 32,
	headerBytes: 16 * 1024,
	headMs: 10_000,
	connectMs: 10_000,
	idleMs: 60_000,
	totalMs: 600_000,
};

/** Kept one by one; the rest is counted. */
const MAX_DECISIONS = 500;

const INSIDE = '/runtime/egress';
const PORT = 3_128;

export function createEgress(options: EgressOptions): Egress {
	const {
		exceptions = [],
		injections = [],
		resolvers = [],
		trust = [],
		limits = {},
		without = [],
		onDecision = () => {},
	} = options;
	assertExceptions(exceptions);
	for (const injection of injections) assertConfigured(injection);
	return {
		async open({allow, maxBytes}) {
			for (const rule of allow) assertRule(rule);
			const fitting = injections.filter(({host}) => allow.some((rule) => mayMeet(rule.host, host)));
			const secrets = secretsFor([...fitting, ...namedBy(allow)], options.secrets);
			const policy: ProxyPolicy = {
				...{rules: allow, maxBytes, secrets, injections: fitting, exceptions, resolvers, trust, without},
				limits: {...LIMITS, ...limits},
			};
			const directory = await mkdtemp(join(options.directory, 'writ-egress-'));
			const report = createReport(onDecision);
			try {
				const proxy = await startProxy(join(directory, 'proxy'), policy, report.add);
				await writeCertificates(directory, [proxy.certificate, ...trust]);
				return wayOf(directory, proxy, report, maxBytes);
			} catch (error) {
				await rm(directory, {recursive: true, force: true});
				throw error;
			}
		},
	};
}

function wayOf(directory: string, proxy: ProxyProcess, report: Report, maxBytes: number): Way {
	const state: {closing: Promise<EgressReport> | undefined} = {closing: undefined};
	const close = async () => {
		await proxy.close();
		await rm(directory, {recursive: true, force: true});
		return report.read();
	};
	const mount = (name: string) => ({source: join(directory, name), target: `${INSIDE}/${name}`});
	const node = {source: process.execPath, target: `${INSIDE}/node`};
	const forwarder = {source: join(import.meta.dirname, 'forwarder.ts'), target: `${INSIDE}/forwarder.ts`};
	return {
		socket: join(directory, 'proxy'),
		mounts: [mount('proxy'), mount('run.pem'), mount('all.pem'), node, forwarder],
		environment: ENVIRONMENT,
		wrap: (command) => [`${INSIDE}/node`, ...NODE_FLAGS, forwarder.target, `${INSIDE}/proxy`, String(PORT), '--', ...command],
		broken: proxy.broken.then((reason) => (reason === 'exceeded' ? usedUp(maxBytes) : died(reason))),
		report: report.read,
		close() {
			state.closing ??= close();
			return state.closing;
		},
	};
}

/** Small: it counts towards what the run may use. */
const NODE_FLAGS = [
	'--no-warnings',
	'--v8-pool-size=1',
	'--disable-wasm-trap-handler',
	'--max-old-space-size=32',
	'--max-semi-space-size=1',
];

const PROXY = `http://127.0.0.1:${PORT}`;
const ALL = `${INSIDE}/all.pem`;

/** What curl, Python, Node, git, pip, npm and cloud clients look at. Some replace their list of authorities by ours, Node adds to its own. */
const ENVIRONMENT = {
	...{HTTP_PROXY: PROXY, HTTPS_PROXY: PROXY, http_proxy: PROXY, https_proxy: PROXY, NODE_USE_ENV_PROXY: '1'},
	...{SSL_CERT_FILE: ALL, REQUESTS_CA_BUNDLE: ALL, CURL_CA_BUNDLE: ALL, GIT_SSL_CAINFO: ALL, PIP_CERT: ALL, AWS_CA_BUNDLE: ALL},
	NODE_EXTRA_CA_CERTS: `${INSIDE}/run.pem`,
};

async function writeCertificates(directory: string, own: readonly string[]): Promise<void> {
	await writeFile(join(directory, 'run.pem'), own.join('\n'));
	await writeFile(join(directory, 'all.pem'), [...own, ...rootCertificates].join('\n'));
	await Promise.all(['run.pem', 'all.pem'].map((name) => chmod(join(directory, name), 0o644)));
}

type Report = {add(decision: EgressDecision): void; read(): EgressReport};

function createReport(onDecision: (decision: EgressDecision) => void): Report {
	const decisions: EgressDecision[] = [];
	const totals = {more: 0, bytesUp: 0, bytesDown: 0};
	return {
		add(decision) {
			totals.bytesUp += decision.bytesUp;
			totals.bytesDown += decision.bytesDown;
			if (decisions.length === MAX_DECISIONS) totals.more += 1;
			else {
				decisions.push(decision);
				onDecision(decision);
			}
		},
		read: () => ({decisions: [...decisions], ...totals}),
	};
}

type Named = Pick<HostInjection, 'host' | 'secret' | 'prefix'>;

function namedBy(rules: readonly EgressRule[]): readonly Named[] {
	if (rules.length === 0) throw invalid('no destination is named', 'say `none` where nothing may be reached');
	return rules.flatMap(({host, inject}) => (inject ? [{host, ...inject}] : []));
}

/** Throws for secrets that could not be sent. */
function secretsFor(named: readonly Named[], lookUp: EgressOptions['secrets']): Readonly<Record<string, Secret>> {
	return Object.fromEntries(named.map((each) => secretOf(each, lookUp)));
}

function assertRule({host, opaque, methods, paths, inject}: EgressRule): void {
	if (!isHostPattern(host))
		throw invalid(
			`\`${host}\` is not a host that a rule can name`,
			'write it in lower case, as `api.example.com` or `*.example.com`',
		);
	if (opaque && (methods ?? paths ?? inject))
		throw invalid(
			`the rule for \`${host}\` is opaque, so that neither method nor path nor header can be seen`,
			'leave out `opaque`',
		);
	if (inject && !isInjectable(inject.header)) throw invalid(`\`${inject.header}\` is not a header to inject`, 'name another');
}

function isInjectable(header: string): boolean {
	return TOKEN.test(header) && !FRAMING.test(header);
}

function assertConfigured({host, header}: HostInjection): void {
	if (!isHostPattern(host)) throw new WritError('invalid_config', `\`${host}\` is not a host that a secret can be sent to`);
	if (!isInjectable(header)) throw new WritError('invalid_config', `\`${header}\` is not a header to inject`);
}

function secretOf({host, secret, prefix}: Named, lookUp: EgressOptions['secrets']): readonly [string, Secret] {
	const value = lookUp(secret, host);
	if (value === undefined)
		throw invalid(
			`there is no secret \`${secret}\` for \`${host}\``,
			'name one that the server was configured with for this host',
		);
	if (value.length >= MIN_SECRET_LENGTH && VISIBLE.test(`${prefix}${value}`))
		return [secret, {value, spellings: spellings(value)}];
	throw invalid(
		`the secret \`${secret}\` cannot be sent in a header`,
		`use one of ${MIN_SECRET_LENGTH} or more printable characters`,
	);
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const FRAMING = /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|accept-encoding)$/i;
const VISIBLE = /^[\x20-\x7e]+$/;

function assertExceptions(exceptions: readonly AddressException[]): void {
	for (const {host, cidr} of exceptions) {
		try {
			listOf([cidr]);
		} catch (cause) {
			throw new WritError('invalid_config', `\`${cidr}\` is not a network`, {hint: 'write it as `10.1.0.0/16`', cause});
		}
		if (!isHostPattern(host) || host.startsWith('*'))
			throw new WritError('invalid_config', `\`${host}\` is not the name of one host`);
	}
}

function invalid(message: string, hint: string): WritError {
	return new WritError('validation_error', message, {hint});
}

function usedUp(maxBytes: number): WritError {
	return new WritError('runner_resource_exceeded', `stopped at ${maxBytes} bytes, the network limit of a sandbox`, {
		hint: 'send and fetch less, or raise `maxBytes`',
		details: {limit: 'networkBytes', value: maxBytes},
	});
}

function died(reason: string): WritError {
	return new WritError('runner_internal_error', `the egress proxy of this run ended: ${reason}`);
}
