import type {Verification} from '#contract/api.ts';
import {type Erasure, exportBundle} from '#evidence/bundle.ts';
import {exportCapsule} from '#evidence/capsule.ts';
import {packTar} from '#evidence/tar.ts';
import {verifyRun} from '#evidence/verify.ts';
import type {Evidence} from '#server/deps.ts';
import type {FileStore} from '#tools/files.ts';
import type {Platform} from './platform.ts';

type Format = Parameters<Evidence['pack']>[1];

/** Checks a run as the store holds it, with the key that signed it, also when that is an older one of this platform. */
export async function verifyStored({store, keyring}: Platform, runId: string): Promise<Verification> {
	const head = await store.head(runId);
	const records = keyring.records();
	const signer = records.find(({keyId}) => keyId === head?.keyId);
	const erasure = await erasureOf(store, runId);
	const beside = {erasure, keys: records.map(({publicKey}) => publicKey)};
	const events = await store.rawEvents(runId);
	const verification = verifyRun(events, head, signer?.publicKey ?? keyring.current().publicKey, beside);
	const revokedOf = (keyId?: string) => records.find(({revokes}) => revokes !== null && revokes.keyId === keyId)?.revokes;
	const [ofRun, ofErasure] = [revokedOf(signer?.keyId), revokedOf(erasure?.head?.keyId)];
	const revoked = ofErasure ?? ofRun;
	if (!revoked) return verification;
	const what = ofErasure ? 'it signed the record of what was erased' : 'a bundle and an anchor tell whether the run is older';
	const detail = `${revoked.keyId} was revoked: ${revoked.reason}; ${what}`;
	const verdict = verification.verdict === 'valid' ? 'cannot_tell' : verification.verdict;
	return {...verification, verdict, checks: [...verification.checks, {name: 'revoked key', passed: false, detail}]};
}

/** The run in which the erasure of this one is recorded; null when nothing was erased. */
async function erasureOf(store: Platform['store'], runId: string): Promise<Erasure | null> {
	const row = await store.retention.erasure(runId);
	return row && {events: await store.rawEvents(row.byRunId), head: await store.head(row.byRunId)};
}

/** The evidence of a run as one file. */
export async function packEvidence(
	platform: Platform,
	runId: string,
	format: Format,
	software: string,
): ReturnType<Evidence['pack']> {
	const {store, key, keyring, serverLog, kernel, files} = platform;
	const erasure = (erased: string) => erasureOf(store, erased);
	if (format === 'capsule') {
		const {name, bytes} = await exportCapsule(runId, {store, key, clock: kernel.clock, software, erasure});
		return {name, mediaType: 'application/json', body: new Uint8Array(bytes)};
	}
	const readArtifact = (tenant: string, sha256: string) => readKept(files, tenant, sha256);
	const bundle = await exportBundle(runId, {store, key, keys: keyring.records(), place: serverLog.place, readArtifact, erasure});
	return {name: `${runId}.tar`, mediaType: 'application/x-tar', body: new Uint8Array(packTar(bundle))};
}

/** Null for a file that is gone: the output that names it stays, and says which it was. */
async function readKept(files: FileStore, tenant: string, sha256: string): Promise<Uint8Array | null> {
	const kept = await files.open(tenant, sha256).catch(() => null);
	if (kept === null) return null;
	await using handle = kept;
	return await handle.readFile();
}
