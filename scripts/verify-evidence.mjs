#!/usr/bin/env node
/**
 * The second verifier of bundles: plain Node, and not a line of the platform's own code: a mistake in one is seen by the other.
 *   node scripts/verify-evidence.mjs BUNDLE [--key FILE.pub] [--anchor FILE]     BUNDLE: a directory or an archive
 * Exit codes: 0 valid, 1 tampered (the file, and the event if it is one, are named), 2 cannot tell.
 */
import {createHash, createPublicKey, verify} from 'node:crypto';
import {lstatSync, readdirSync, readFileSync} from 'node:fs';
import {join, relative} from 'node:path';
import {pathToFileURL} from 'node:url';

class Tampered extends Error {}
class CannotTell extends Error {}

function must(holds, file, reason, position = null) {
	if (!holds) throw Object.assign(new Tampered(`${file}: ${reason}`), {file, position});
}
const sha256 = (...parts) => parts.reduce((sum, part) => sum.update(part), createHash('sha256')).digest();
const hex = (...parts) => sha256(...parts).toString('hex');
const isSigned = (key, text, signature) => verify(null, Buffer.from(text), key, signature);
function canonical(value) {
	if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
	if (typeof value !== 'object' || value === null) return JSON.stringify(value);
	const members = Object.keys(value).sort();
	return `{${members.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`;
}
function parse(text, file, position) {
	let value = null;
	try {
		value = JSON.parse(text);
	} catch {} // null has another text
	must(text === `${canonical(value)}\n`, file, 'it is not JSON in canonical form', position);
	return value;
}
const readJson = (files, file) => parse(String(files.get(file)), file);
function base64(text, file) {
	must(Buffer.from(String(text), 'base64').toString('base64') === text, file, 'it holds base64 of another spelling');
	return Buffer.from(text, 'base64');
}
/** An archive is what packing its files gives: nothing between them, and nothing in a header but name and size. */
function readTar(bytes) {
	const files = new Map();
	let at = 0;
	while (at + 1_024 < bytes.length) {
		const [name] = bytes.toString('utf8', at, at + 512).split('\0', 1);
		const size = Number.parseInt(bytes.toString('latin1', at + 124, at + 136), 8);
		const isNext = size >= 0 && at + 512 + size <= bytes.length && name > ([...files.keys()].at(-1) ?? '');
		must(isNext, name, `byte ${at}: it is cut, there twice, or out of order`);
		files.set(name, bytes.subarray(at + 512, at + 512 + size));
		const block = Buffer.concat([tarHeader(name, size), files.get(name), Buffer.alloc(-size & 511)]);
		must(block.equals(bytes.subarray(at, at + block.length)), name, `after byte ${at}: not as exported`);
		at += block.length;
	}
	must(bytes.subarray(at).equals(Buffer.alloc(1_024)), [...files.keys()].at(-1), `byte ${at}: the archive does not end there`);
	return files;
}
function tarHeader(name, size) {
	const octal = (number, digits) => number.toString(8).padStart(digits, '0');
	const header = Buffer.alloc(512);
	header.write(name.slice(0, 100));
	header.write(`0000644\0${'0000000\0'.repeat(2)}${octal(size, 11)}\0${octal(0, 11)}\0        0`, 100);
	header.write('ustar\x0000', 257);
	const sum = header.reduce((total, byte) => total + byte);
	header.write(`${octal(sum, 6)}\0 `, 148);
	return header;
}
/** What is no plain file has no bytes, and so not those that were exported. */
function readDirectory(root) {
	const entries = readdirSync(root, {recursive: true, withFileTypes: true}).filter((entry) => !entry.isDirectory());
	const paths = entries.map((entry) => [join(entry.parentPath, entry.name), entry.isFile()]);
	return new Map(paths.map(([path, isFile]) => [relative(root, path), isFile ? readFileSync(path) : Buffer.alloc(0)]));
}
function readKeys(files, trusted) {
	const [file, keys] = ['keys.json', []];
	for (const {own, endorsement, ...facts} of readJson(files, file)) {
		const key = createPublicKey({key: base64(facts.publicKey, file), format: 'der', type: 'spki'});
		const der = key.export({format: 'der', type: 'spki'});
		const [before, statement] = [keys.at(-1), canonical(facts)];
		const isItself = hex(der) === facts.keyId && isSigned(key, statement, base64(own, file));
		const follows =
			facts.previous === (before?.id ?? null) && (!before || isSigned(before.key, statement, base64(endorsement, file)));
		must(isItself && follows, file, `key ${keys.length + 1} is not itself, or nobody vouched for it`);
		keys.push({key, id: facts.keyId, raw: der.subarray(-32), revokes: facts.revokes?.keyId});
	}
	must(keys.length > 0, file, 'there are no keys');
	if (trusted && keys.every(({id}) => id !== trusted)) throw new CannotTell(`no key here is the trusted key ${trusted}`);
	return keys;
}
const TYPE = 'application/vnd.in-toto+json';
const [EVENTS, ERASURE, ERASER] = ['log/events.jsonl', 'log/erasure/events.jsonl', 'log/erasure/head.json'];
const [SEAL, VERDICT] = ['statements/bundle.dsse.json', 'statements/verdict.dsse.json'];
function openEnvelope(files, file, {id, key}) {
	const {payloadType, payload, signatures, ...more} = readJson(files, file);
	const [{keyid, sig} = {}, ...others] = signatures ?? [];
	const isOne = payloadType === TYPE && keyid === id && others.length === 0 && Object.keys(more).length === 0;
	must(isOne, file, 'it is no envelope of this key');
	const body = base64(payload, file);
	const signed = Buffer.concat([Buffer.from(`DSSEv1 ${TYPE.length} ${TYPE} ${body.length} `), body]);
	must(isSigned(key, signed, base64(sig, file)), file, 'its signature does not match');
	const statement = JSON.parse(body);
	must(statement._type === 'https://in-toto.io/Statement/v1' && statement.subject.length > 0, file, 'it states nothing');
	return statement;
}
function checkSeal(files, key) {
	const {subject, predicateType} = openEnvelope(files, SEAL, key);
	must(predicateType === 'urn:writ:bundle/v1', SEAL, 'it is no seal');
	const sealed = new Map(subject.map(({name, digest}) => [name, digest.sha256]));
	for (const [name, digest] of sealed) {
		must(files.has(name) && (!name.startsWith('artifacts/') || name.endsWith(digest)), name, 'it is missing');
		if (hex(files.get(name)) === digest) continue;
		if (name === EVENTS) readEvents(files); // names the event that is wrong, if one is
		must(false, name, 'it is not what was sealed');
	}
	for (const name of files.keys()) must(name === SEAL || sealed.has(name), name, 'it is not part of the export');
	return `seal: ${sealed.size} files`;
}
function checkStatements(files, key, events) {
	const hashes = new Set(events.map(({hash}) => hash));
	const paths = [...files.keys()].filter((path) => path.startsWith('statements/') && path !== SEAL).sort();
	const stated = new Map(paths.map((path) => [path, openEnvelope(files, path, key)]));
	for (const [path, {subject}] of stated)
		for (const {digest} of subject) must(hashes.has(digest.sha256), path, 'it is about an event that is not here');
	for (const [index, {data}] of events.filter(({type}) => type === 'action.proposed').entries()) {
		const path = `statements/action-${String(index + 1).padStart(4, '0')}.dsse.json`;
		const said = stated.get(path)?.predicate;
		const of = (type) => events.findLast((event) => event.type === type && event.data.actionId === data.actionId);
		const [decision, {data: outcome, erased} = {}] = [of('action.decided')?.data.decision, of('action.outcome')];
		const says = [said?.actionId, said?.decision?.effect, said?.outcome?.status, said?.outcome?.output.sha256];
		const was = [data.actionId, decision?.effect, outcome?.status, erased ?? outcome?.outputDigest];
		must(String(says) === String(was), path, 'it is missing, or not true of the events');
		must(!outcome?.isolation || stated.has(path.replace('action-', 'test-')), path, 'its test result is missing');
	}
	const inputs = paths.filter((path) => path !== VERDICT).map((uri) => ({uri, digest: {sha256: hex(files.get(uri))}}));
	const named = canonical(stated.get(VERDICT)?.predicate.inputAttestations ?? null);
	must(named === canonical(inputs), VERDICT, 'it is not about these statements');
	return `statements: ${paths.length} envelopes`;
}
/** What of each type can be erased: it counts by a salted digest, and that is left when it was. */
const FIELDS = `run.started question scope, message.added content suggestions, model.responded requestDigest text toolCalls,
	model.failed error, action.proposed input inputDigest, action.outcome output outputDigest error, run.finished error,
	approval.requested preview previewDigest, approval.granted previewDigest, answer.checked numbers warnings`;
const CONTENT = new Map([...FIELDS.matchAll(/([a-z.]+) ([\w ]+)/g)].map(([, type, names]) => [type, names.split(' ')]));
function hashOf({salt, erased, ...event}) {
	const fields = event.v === 2 && CONTENT.get(event.type);
	if (!fields) return salt === undefined && erased === undefined && hex(canonical(event));
	if ('content' in event) return null; // the digest takes this place, and whatever stood here would not count
	const members = Object.entries(event.data ?? {});
	const [content, data] = [true, false].map((is) => Object.fromEntries(members.filter(([key]) => fields.includes(key) === is)));
	if (erased !== undefined && (salt !== undefined || Object.keys(content).length > 0)) return null;
	return hex(canonical({...event, data, content: erased ?? hex(canonical({content, salt}))}));
}
function readEvents(files, file = EVENTS) {
	must(files.has(file), file, 'it is missing');
	const lines = files.get(file).toString('utf8').split('\n');
	must(lines.pop() === '' && lines.length > 0, file, 'it does not end with a line', lines.length + 1);
	let prev = '0'.repeat(64);
	return lines.map((line, index) => {
		const position = index + 1;
		const {hash, ...content} = parse(`${line}\n`, file, position);
		must(content.seq === position && content.prev === prev, file, `event ${position} does not follow`, position);
		must(hashOf(content) === hash, file, `event ${position} was changed`, position);
		prev = hash;
		return {...content, hash};
	});
}
function checkEnd(files, keys, events, file) {
	const {signature, ...head} = readJson(files, file);
	const last = events.at(-1);
	const isEnd = last.type === 'run.finished' && head.seq === last.seq && head.hash === last.hash;
	must(isEnd && events.every(({runId}) => runId === head.runId), file, 'it is not the end of these events', events.length);
	const signer = keys.find(({id}) => id === head.keyId);
	must(signer && isSigned(signer.key, canonical(head), base64(signature, file)), file, 'its signature does not match');
	return {...head, status: last.data.status};
}
/** What is gone is what a signed run of the platform says was erased, no more and no less. */
function checkErasure(files, keys, events) {
	const gone = events.filter(({erased}) => erased !== undefined).map(({seq, hash}) => ({seq, hash}));
	if (gone.length === 0 && !files.has(ERASURE)) return 'erased: nothing';
	must(files.has(ERASURE), EVENTS, `event ${gone[0]?.seq}: it is gone, and nothing says who erased it`, gone[0]?.seq);
	const record = readEvents(files, ERASURE);
	checkEnd(files, keys, record, ERASER);
	const claim = record.find(({type, data}) => type === 'content.erased' && data.runId === events[0].runId);
	const isOf = record[0].data.job === 'system' && claim && canonical(claim.data.events) === canonical(gone);
	must(isOf, ERASURE, 'it is not about what is gone', gone[0]?.seq);
	const [ms, days] = [Date.parse(claim.at) - Date.parse(events.at(-1).at), claim.data.days ?? 0];
	must(
		days === 0 || ms >= days * 86_400_000,
		ERASURE,
		`it was erased before the ${days} days of its rule were over`,
		gone[0]?.seq,
	);
	return `erased: ${gone.length} events at ${claim.at} by the rule ${claim.data.rule}`;
}
function checkChain(files, keys, events) {
	const [head, allowed] = [checkEnd(files, keys, events, 'log/head.json'), new Map()];
	for (const {type, data, seq} of events) {
		if (type === 'action.decided') allowed.set(data.actionId, data.decision.effect === 'allow');
		if (type === 'approval.granted') allowed.set(data.actionId, true);
		if (/^approval\.(rejected|expired|cancelled)$/.test(type)) allowed.set(data.actionId, false);
		must(type !== 'action.intent' || allowed.get(data.actionId), EVENTS, `event ${seq} starts what nobody allowed`, seq);
	}
	const {runId, status} = readJson(files, 'evidence.json').run;
	must(runId === head.runId && status === head.status, 'evidence.json', 'it is about another run');
	return `chain: ${events.length} events`;
}
const leafOf = (entry) => sha256(Buffer.of(0), entry);
const nodeOf = (left, right) => sha256(Buffer.of(1), left, right);
const splitOf = (size) => 2 ** Math.floor(Math.log2(size - 1));
function rootOf(leaves) {
	if (leaves.length < 2) return leaves[0] ?? sha256('');
	const split = splitOf(leaves.length);
	return nodeOf(rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}
/** The root that a proof, in base64, leads to: its last hash is the sibling next to the root. */
function climb(leaf, index, size, proof) {
	if (size === 1) return proof.length === 0 ? leaf : null;
	const [split, rest] = [splitOf(size), proof.slice(0, -1)];
	const isLeft = index < split;
	const below = isLeft ? climb(leaf, index, split, rest) : climb(leaf, index - split, size - split, rest);
	const sibling = base64(proof.at(-1) ?? '', 'proof');
	return below && (isLeft ? nodeOf(below, sibling) : nodeOf(sibling, below));
}
function readCheckpoint(note, keys, file) {
	const [, text, origin, size, root, name, signature] = /^((\S+)\n(\d+)\n(\S+)\n)\n— (\S+) (\S+)\n$/.exec(note) ?? [];
	must(text && origin === name, file, 'it is no checkpoint');
	const bytes = base64(signature, file);
	const isOf = ({key, raw}) =>
		bytes.subarray(0, 4).equals(sha256(`${origin}\n\x01`, raw).subarray(0, 4)) && isSigned(key, text, bytes.subarray(4));
	must(keys.some(isOf), file, 'its signature does not match');
	return {origin, size: Number(size), root: base64(root, file)};
}
function checkTree(files, key, events) {
	const file = 'log/checkpoint';
	const {origin, size, root} = readCheckpoint(String(files.get(file)), [key], file);
	must(origin === `writ/run/${events[0].runId}` && size === events.length, file, 'it is of another run, or of a part of it');
	const leaves = events.map(({seq, hash}) => leafOf(`${seq} ${hash}\n`));
	must(rootOf(leaves).equals(root), file, 'the events do not lead to its root');
	const tiles = [...files.keys()].filter((path) => path.startsWith('log/tile/0/')).sort(); // so sorted, in the order of their leaves
	must(Buffer.concat(tiles.map((path) => files.get(path))).equals(Buffer.concat(leaves)), 'log/tile/0', 'it is of other events');
	const proofs = readJson(files, 'log/proofs.json');
	must(proofs.length > 0, 'log/proofs.json', 'it proves nothing');
	for (const {seq, proof} of proofs) {
		const isIn = climb(leaves[seq - 1], seq - 1, size, proof)?.equals(root);
		must(isIn, 'log/proofs.json', `event ${seq} is not in the tree`, seq);
	}
	return `${size} leaves, ${proofs.length} proofs`;
}
const isRevoked = (files, keys, head) => files.has(head) && keys.some(({revokes}) => revokes === readJson(files, head).keyId);
/** The run's place in the log of all runs, and that log against checkpoints kept elsewhere. */
function checkServerLog(files, keys, anchor) {
	const file = 'log/server/checkpoint';
	if (anchor === undefined && isRevoked(files, keys, 'log/head.json'))
		throw new CannotTell('its key was revoked, and only an anchor tells since when');
	if (anchor === undefined && !files.has(file)) return 'none';
	if (!files.has(file)) throw new CannotTell('the bundle has no place in a log that could be compared with the anchor');
	const {origin, size, root} = readCheckpoint(String(files.get(file)), keys, file);
	const {index, proof} = readJson(files, 'log/server/proof.json');
	must(
		climb(leafOf(files.get('log/head.json')), index, size, proof)?.equals(root),
		file,
		'the run is not in the log of all runs',
	);
	if (anchor === undefined) return `leaf ${index + 1} of ${size}, compared with no anchor`;
	const lines = anchor.split('\n').filter((line) => line.startsWith(`"${origin}\\n${size}\\n`));
	const seen = lines.map((line) => readCheckpoint(JSON.parse(line), keys, 'the anchor'));
	for (const note of seen) must(note.root.equals(root), file, 'it had another root where its size was anchored');
	if (seen.length === 0) throw new CannotTell(`the anchor has no checkpoint of size ${size} by a key of this bundle`);
	return `leaf ${index + 1} of ${size}, as anchored`;
}
/** What was found, and where. `source` is the bytes of an archive, or a map of files by path. Throws nothing. */
export function verifyEvidence(source, {trusted, anchor} = {}) {
	const checks = [];
	try {
		const has = (name) => (Buffer.isBuffer(source) ? source.includes(name) : source.has(name));
		if (!has(SEAL) && !has('evidence.json')) throw new CannotTell('this is no bundle');
		const files = Buffer.isBuffer(source) ? readTar(source) : source;
		const keys = readKeys(files, trusted);
		const key = keys.at(-1);
		checks.push(`keys: ${keys.length}, the last ${key.id}${trusted ? '' : ', which nobody vouched for'}`, checkSeal(files, key));
		const events = readEvents(files);
		const found = [checkChain(files, keys, events), checkErasure(files, keys, events), checkStatements(files, key, events)];
		checks.push(...found, `tree: ${checkTree(files, key, events)}`, `log of all runs: ${checkServerLog(files, keys, anchor)}`);
		if (isRevoked(files, keys, ERASER)) throw new CannotTell('the key that signed the record of what was erased was revoked');
		return {verdict: 'valid', file: null, position: null, checks};
	} catch (fault) {
		const isOpen = fault instanceof CannotTell; // and what Node itself says of a key that is none has no place of its own
		const {file = isOpen || checks.length > 0 ? null : 'keys.json', position = null, message} = fault;
		return {verdict: isOpen ? 'cannot_tell' : 'tampered', file, position, checks: [...checks, message]};
	}
}
if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
	try {
		const [target, ...options] = process.argv.slice(2);
		const read = (name) => (options.includes(name) ? readFileSync(options[options.indexOf(name) + 1], 'utf8') : undefined);
		const source = lstatSync(target).isDirectory() ? readDirectory(target) : readFileSync(target);
		const trusted = read('--key') && hex(createPublicKey(read('--key')).export({format: 'der', type: 'spki'}));
		const {verdict, file, position, checks} = verifyEvidence(source, {trusted, anchor: read('--anchor')});
		const said = `${verdict.replace('_', ' ')}${file ? ` at ${file}` : ''}${position ? `, event ${position}` : ''}`;
		process.stdout.write(`${[...checks, said].join('\n')}\n`);
		process.exitCode = {valid: 0, tampered: 1, cannot_tell: 2}[verdict];
	} catch (error) {
		process.stderr.write(`${error.message}\n`);
		process.exitCode = error instanceof Tampered ? 1 : 2;
	}
}
