import {createHash} from 'node:crypto';
import {WritError} from '#contract/errors.ts';

/** One step of the schema. Steps are numbered, forward only, and never edited once released: their checksum is recorded. */
export type Migration = {readonly id: number; readonly name: string; readonly sql: string};

/** What a database remembers of a step it took. */
export type Applied = {readonly id: number; readonly name: string; readonly checksum: string};

type Types = {readonly text: string; readonly real: string; readonly int: string; readonly identity: string};

const SQLITE: Types = {text: 'TEXT', real: 'REAL', int: 'INTEGER', identity: 'INTEGER PRIMARY KEY AUTOINCREMENT'};

// Collation "C": ids and times have one order on every server, the order SQLite and JavaScript give them.
const POSTGRES: Types = {
	text: 'TEXT COLLATE "C"',
	real: 'DOUBLE PRECISION',
	int: 'BIGINT',
	identity: 'BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
};

const STEPS: readonly {readonly name: string; readonly sql: (types: Types) => string}[] = [
	{
		name: 'runs, events, heads, messages, threads, approvals',
		sql: ({text, real, int, identity}) => `
CREATE TABLE runs (
	run_id ${text} PRIMARY KEY, tenant ${text} NOT NULL, principal ${text} NOT NULL, job ${text} NOT NULL, mode ${text} NOT NULL,
	thread_id ${text}, dataset_id ${text}, dataset_hash ${text}, question ${text}, question_folded ${text},
	status ${text} NOT NULL, created_at ${text} NOT NULL, finished_at ${text}, duration_ms ${real}, error_code ${text},
	seq ${int} NOT NULL, holder ${text} NOT NULL, token ${int} NOT NULL, lease_until ${text} NOT NULL
);
CREATE INDEX runs_newest ON runs (tenant, created_at DESC, run_id DESC);
CREATE INDEX runs_of_thread ON runs (tenant, thread_id, created_at DESC, run_id DESC);
CREATE INDEX runs_to_claim ON runs (lease_until, run_id) WHERE status = 'running';
CREATE TABLE events (
	run_id ${text} NOT NULL REFERENCES runs, seq ${int} NOT NULL, event ${text} NOT NULL, PRIMARY KEY (run_id, seq)
);
CREATE TABLE heads (run_id ${text} PRIMARY KEY REFERENCES runs, head ${text} NOT NULL);
CREATE TABLE messages (
	id ${identity}, tenant ${text} NOT NULL, thread_id ${text} NOT NULL, created_at ${text} NOT NULL, dataset_id ${text} NOT NULL,
	role ${text} NOT NULL, content ${text} NOT NULL, run_id ${text} NOT NULL REFERENCES runs
);
CREATE INDEX messages_of_thread ON messages (tenant, thread_id, id);
CREATE TABLE threads (
	tenant ${text} NOT NULL, thread_id ${text} NOT NULL, dataset_id ${text} NOT NULL, title ${text} NOT NULL,
	messages ${int} NOT NULL, updated_at ${text} NOT NULL, PRIMARY KEY (tenant, thread_id)
);
CREATE INDEX threads_newest ON threads (tenant, updated_at DESC, thread_id DESC);
CREATE TABLE approvals (
	approval_id ${text} PRIMARY KEY, run_id ${text} NOT NULL REFERENCES runs, action_id ${text} NOT NULL, tenant ${text} NOT NULL,
	tool ${text} NOT NULL, binding ${text} NOT NULL, preview ${text} NOT NULL, risk ${text} NOT NULL, state ${text} NOT NULL,
	requested_by ${text} NOT NULL, requested_at ${text} NOT NULL, approve_by ${text} NOT NULL, execute_by ${text},
	approver ${text}, comment ${text}
);
CREATE INDEX approvals_of_run ON approvals (run_id);
CREATE INDEX approvals_by_state ON approvals (tenant, state, requested_at);
CREATE TABLE checks (id ${int} PRIMARY KEY);`,
	},
	{
		name: 'positions of heads',
		sql: ({int}) => `
ALTER TABLE heads ADD COLUMN position ${int};
UPDATE heads SET position = (SELECT count(*) FROM heads AS earlier WHERE earlier.run_id < heads.run_id);
CREATE UNIQUE INDEX heads_by_position ON heads (position);`,
	},
	{
		name: 'audit',
		sql: ({text, int}) => `
CREATE TABLE audit (
	run_id ${text} NOT NULL REFERENCES runs, seq ${int} NOT NULL, hash ${text} NOT NULL, at ${text} NOT NULL, tenant ${text} NOT NULL,
	type ${text} NOT NULL, actor ${text} NOT NULL, actor_kind ${text} NOT NULL, principal ${text} NOT NULL, job ${text} NOT NULL,
	mode ${text} NOT NULL, action_id ${text}, tool ${text}, decision ${text}, risk ${text}, detail ${text} NOT NULL,
	folded ${text} NOT NULL, PRIMARY KEY (run_id, seq)
);
CREATE INDEX audit_newest ON audit (tenant, at DESC, run_id DESC, seq DESC);`,
	},
	{
		name: 'approvals of several people',
		sql: ({text, int}) => `
ALTER TABLE approvals ADD COLUMN preview_digest ${text} NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN required ${int} NOT NULL DEFAULT 1;
ALTER TABLE approvals ADD COLUMN escalate_at ${text};
ALTER TABLE approvals ADD COLUMN detail ${text} NOT NULL
	DEFAULT '{"owner":null,"grantedBy":[],"approvers":null,"parentActionId":null,"blastRadius":null,"history":[]}';
CREATE INDEX approvals_to_escalate ON approvals (escalate_at) WHERE state = 'pending';
CREATE TABLE grants (approval_id ${text} NOT NULL REFERENCES approvals, tenant ${text} NOT NULL, person ${text} NOT NULL, at ${text} NOT NULL);
CREATE INDEX grants_of_person ON grants (tenant, person, at);`,
	},
	{
		name: 'budgets of tenants',
		sql: ({text, int}) => `
CREATE TABLE uses (
	tenant ${text} NOT NULL, window_start ${text} NOT NULL, runs ${int} NOT NULL, tokens ${int} NOT NULL, cost_micros ${int} NOT NULL,
	bytes ${int} NOT NULL, PRIMARY KEY (tenant, window_start)
);
CREATE TABLE reservations (
	run_id ${text} PRIMARY KEY REFERENCES runs, tenant ${text} NOT NULL, window_start ${text} NOT NULL, tokens ${int} NOT NULL,
	cost_micros ${int} NOT NULL, bytes ${int} NOT NULL
);
CREATE INDEX reservations_of_tenant ON reservations (tenant);`,
	},
	{
		name: 'tokens, accounts, sessions, sign-ins',
		sql: ({text}) => `
CREATE TABLE tokens (
	token_id ${text} PRIMARY KEY, digest ${text} NOT NULL UNIQUE, tenant ${text} NOT NULL, kind ${text} NOT NULL, name ${text} NOT NULL,
	owner ${text}, person ${text} NOT NULL, roles ${text} NOT NULL, tools ${text}, created_at ${text} NOT NULL,
	expires_at ${text} NOT NULL, last_used_at ${text}, revoked_at ${text}
);
CREATE INDEX tokens_of_tenant ON tokens (tenant, created_at);
CREATE TABLE accounts (
	tenant ${text} NOT NULL, account ${text} NOT NULL, name ${text} NOT NULL, roles ${text} NOT NULL, signed_in_at ${text} NOT NULL,
	disabled_at ${text}, PRIMARY KEY (tenant, account)
);
CREATE TABLE sessions (
	digest ${text} PRIMARY KEY, tenant ${text} NOT NULL, account ${text} NOT NULL, created_at ${text} NOT NULL,
	seen_at ${text} NOT NULL, expires_at ${text} NOT NULL
);
CREATE INDEX sessions_of_account ON sessions (tenant, account);
CREATE TABLE sign_ins (
	digest ${text} PRIMARY KEY, state ${text} NOT NULL, nonce ${text} NOT NULL, verifier ${text} NOT NULL, expires_at ${text} NOT NULL
);`,
	},
	{
		name: 'holds and erasures',
		sql: ({text, int}) => `
CREATE TABLE holds (
	hold_id ${text} PRIMARY KEY, tenant ${text} NOT NULL, kind ${text} NOT NULL, target ${text} NOT NULL, reason ${text} NOT NULL,
	placed_by ${text} NOT NULL, placed_at ${text} NOT NULL, state ${text} NOT NULL, asked_by ${text}, ask_reason ${text},
	released_by ${text}, released_at ${text}, release_reason ${text}
);
CREATE INDEX holds_of_tenant ON holds (tenant, placed_at);
CREATE TABLE erasures (
	run_id ${text} PRIMARY KEY REFERENCES runs, by_run_id ${text} NOT NULL REFERENCES runs, at ${text} NOT NULL, rule ${text} NOT NULL,
	bytes_before ${int} NOT NULL, bytes_after ${int} NOT NULL
);
CREATE TABLE citations (
	tenant ${text} NOT NULL, sha256 ${text} NOT NULL, run_id ${text} NOT NULL REFERENCES runs, PRIMARY KEY (tenant, sha256, run_id)
);
CREATE INDEX citations_of_run ON citations (run_id);
CREATE INDEX runs_finished ON runs (finished_at, run_id);
CREATE TABLE leases (name ${text} PRIMARY KEY, holder ${text} NOT NULL, until ${text} NOT NULL);`,
	},
	{
		name: 'from where it was asked',
		sql: ({text}) => `
ALTER TABLE audit ADD COLUMN address ${text};
ALTER TABLE audit ADD COLUMN client ${text};
ALTER TABLE audit ADD COLUMN request_id ${text};`,
	},
	{
		name: 'what tenants keep on disk',
		sql: ({text, int}) => `
CREATE TABLE storage (tenant ${text} PRIMARY KEY, kept ${int} NOT NULL, changes ${int} NOT NULL);
CREATE TABLE storage_holds (
	hold_id ${text} PRIMARY KEY, tenant ${text} NOT NULL, holder ${text} NOT NULL, bytes ${int} NOT NULL, held_until ${text} NOT NULL
);
CREATE INDEX storage_holds_of_tenant ON storage_holds (tenant);`,
	},
	{
		name: 'what the policy file holds',
		sql: ({text, int}) => `
CREATE TABLE legal_hold (id ${int} PRIMARY KEY, targets ${text} NOT NULL);
INSERT INTO legal_hold (id, targets) VALUES (1, '[]');`,
	},
	{
		name: 'letters between servers',
		sql: ({text, int}) => `
CREATE TABLE letters (
	letter_id ${text} PRIMARY KEY, run_id ${text} NOT NULL, body ${text} NOT NULL, until ${text} NOT NULL, taken ${int} NOT NULL,
	reply ${text}
);`,
	},
];

export const SQLITE_MIGRATIONS = migrationsFor(SQLITE);
export const POSTGRES_MIGRATIONS = migrationsFor(POSTGRES);

export const MIGRATIONS_TABLE =
	'CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL)';

export function checksum({sql}: Migration): string {
	return createHash('sha256').update(sql).digest('hex');
}

/** The steps a database still needs. Throws `store_unavailable` when its past is not a prefix of `migrations`. */
export function pending(migrations: readonly Migration[], applied: readonly Applied[]): readonly Migration[] {
	for (const past of applied) {
		const step = migrations.find(({id}) => id === past.id);
		if (!step)
			throw new WritError(
				'store_unavailable',
				`the database was written by a newer version of writ: it has migration ${past.id}, this version knows ${migrations.length}`,
				{hint: 'upgrade writ, or point it at another database', details: {migration: past.id}},
			);
		if (checksum(step) !== past.checksum)
			throw new WritError('store_unavailable', `migration ${past.id} of the database is not the one this version knows`, {
				hint: 'the database comes from a modified version of writ: restore a backup, or use the version that wrote it',
				details: {migration: past.id},
			});
	}
	return migrations.filter(({id}) => !applied.some((past) => past.id === id));
}

function migrationsFor(types: Types): readonly Migration[] {
	return STEPS.map(({name, sql}, index) => ({id: index + 1, name, sql: sql(types)}));
}
