/** Writes the pages that are generated from code; with `--check`, only says whether they have drifted. */
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {describeConfig} from '#config/describe.ts';
import {ERRORS, type ErrorCode} from '#contract/errors.ts';
import {describeServer} from '#server/server.ts';

const MEANINGS: Record<ErrorCode, string> = {
	invalid_request: 'The request cannot be read, or asks for something that does not make sense.',
	validation_error: 'The request does not fit its schema; `detail` names each place.',
	not_found: 'There is no such dataset, run, thread, approval or route, or it belongs to another tenant.',
	conflict: 'Someone else was faster, or the thing is not in a state that allows this.',
	unauthenticated: 'A session or a bearer token is required and was missing, wrong, expired or revoked.',
	identity_unavailable: 'The identity provider does not answer, so nobody can sign in with it now.',
	forbidden: 'This caller may not do this; the role it takes is named.',
	forbidden_host: 'The request came for another host or from another site, as in an attack by a web page.',
	confirmation_required: 'Much was granted lately by this person: the grant wants a reason and the id of its action.',
	request_too_large: 'The body is larger than its limit; the limit is named.',
	unsupported_media_type: 'The body is not of a type that the route takes.',
	rate_limited: 'Too many requests, or too many runs at once; `Retry-After` says when to come back.',
	cancelled: 'The caller went away or asked for the run to stop.',
	invalid_plan: 'The query plan is not valid; unknown keys come with the nearest known one.',
	sql_policy_violation: 'The SQL does something other than read the dataset; the construct is named.',
	sql_execution_error: 'The engine could not run the SQL.',
	python_execution_error: 'The program failed; the last line of its traceback is the message.',
	javascript_execution_error: 'The module failed; the message says how and on which line.',
	nothing_tested: 'The test framework found no tests or could not start; a check that examined nothing has failed.',
	feature_disabled: 'The feature is switched off by a setting.',
	policy_denied: 'A rule denied the action, or the person who was asked did.',
	budget_exceeded: 'The run, or its tenant, used up one of its budgets; the budget is named.',
	unreadable_file: 'The file cannot be read as data; the message says why.',
	dataset_corrupt: 'A snapshot on disk is not what it was when it was made.',
	runner_timeout: 'The work took longer than its time limit.',
	runner_resource_exceeded: 'The work reached a limit of its sandbox; the limit is named.',
	runner_internal_error: 'The runner in the sandbox broke.',
	sandbox_unavailable: 'No sandbox can be had; `writ doctor` says what is missing.',
	model_unavailable: 'The model provider did not answer.',
	model_rejected: 'The model provider refused the request.',
	agent_recursion_limit: 'The agent did not come to an answer within its reasoning limit.',
	content_erased:
		'What this needs was erased by a rule of the policy. What decided, who approved and how it ended is still there, and verifies.',
	evidence_tampered: 'The evidence of a run is not what was recorded; the position is named.',
	store_unavailable: 'The state cannot be read or written now; nothing was done.',
	interrupted: 'The platform stopped in the middle; what can be known of the effect is said.',
	stopped: 'Somebody stopped the whole platform; a person lets it go on with `writ resume`.',
	secrets_unreadable: 'The secret store cannot be decrypted: another key, or a file that was changed.',
	invalid_config: 'A setting is wrong, or two contradict each other.',
	not_ready: 'The server is starting, stopping or lacks a part it needs.',
	internal_error: 'A bug. The request id finds its trace in the server log.',
};

const pages = {
	'docs/configuration.md': describeConfig(),
	'docs/errors.md': describeErrors(),
	'docs/openapi.json': `${JSON.stringify(describeServer(versionOf('package.json')), null, '\t')}\n`,
};

const check = process.argv.includes('--check');
const drifted = Object.entries(pages).filter(([path, text]) => read(path) !== text);
for (const [path, text] of check ? [] : drifted) {
	mkdirSync('docs', {recursive: true});
	writeFileSync(path, text);
	console.log(`wrote ${path}`);
}
if (check) {
	for (const [path] of drifted) console.error(`${path} is not what the code says; run \`make docs\``);
	console.log(`${Object.keys(pages).length} generated pages, ${drifted.length} drifted`);
	process.exitCode = drifted.length === 0 ? 0 : 1;
}

function describeErrors(): string {
	const rows = Object.entries(ERRORS).map(
		([code, {status, retry, exit}]) => `| \`${code}\` | ${status} | ${retry} | ${exit} | ${MEANINGS[code as ErrorCode]} |`,
	);
	return `# Errors

Every failure has a code. Over HTTP it is \`error.code\` with the status below, and \`detail\` repeats the message; on the command line it
is printed with its hint and ends the command with the exit code below; in results and event streams it is \`error.type\`, in
capitals. \`retry\` says whether the same call can succeed now, later or never. Refusals of the policy are outcomes of a run, not
failures of the call: the call answers 200 and the run's status is \`rejected\`.

This page is generated from \`src/contract/errors.ts\`.

| code | HTTP | retry | exit | what it means |
|---|---|---|---|---|
${rows.join('\n')}
`;
}

function read(path: string): string | null {
	try {
		return readFileSync(path, 'utf8');
	} catch {
		return null; // a page that is not there has drifted
	}
}

function versionOf(path: string): string {
	return (JSON.parse(readFileSync(path, 'utf8')) as {version: string}).version;
}
