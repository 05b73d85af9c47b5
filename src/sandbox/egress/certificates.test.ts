import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {X509Certificate} from 'node:crypto';
import {once} from 'node:events';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {checkServerIdentity, connect, createServer, type PeerCertificate, type SecureContext} from 'node:tls';
import {createAuthority} from './certificates.ts';

/** The certificate that a client who trusts the authority is shown. */
async function shown(context: SecureContext, name: string, ca: string): Promise<X509Certificate> {
	const server = createServer({SNICallback: (_, done) => done(null, context)}, (socket) => socket.end());
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const identity = (_: string, certificate: PeerCertificate) => checkServerIdentity(name, certificate);
	const client = connect({
		port: (server.address() as AddressInfo).port,
		servername: 'any.test',
		ca,
		checkServerIdentity: identity,
	});
	await once(client, 'secureConnect');
	const certificate = client.getPeerX509Certificate();
	client.destroy();
	server.close();
	assert.ok(certificate);
	return certificate;
}

for (const [host, name] of [
	['api.allowed.test', 'api.allowed.test'],
	['93.184.216.34', '93.184.216.34'],
	['[2606:4700::1111]', '2606:4700::1111'],
] as const)
	test(`a certificate for ${host} is what OpenSSL, strict, accepts from the authority`, async () => {
		const authority = createAuthority();
		const certificate = await shown(authority.contextFor(host), name, authority.certificate);
		const directory = mkdtempSync(join(tmpdir(), 'writ-certificates-'));
		writeFileSync(join(directory, 'ca.pem'), authority.certificate);
		writeFileSync(join(directory, 'leaf.pem'), certificate.toString());
		const verified = execFileSync(
			'openssl',
			['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', 'ca.pem', 'leaf.pem'],
			{cwd: directory},
		);
		rmSync(directory, {recursive: true});
		assert.equal(String(verified), 'leaf.pem: OK\n');
	});

test('the authority of one run is nothing to another, and its certificates make no certificates', async () => {
	const [one, other] = [createAuthority(), createAuthority()];
	const [ours, theirs] = [new X509Certificate(one.certificate), new X509Certificate(other.certificate)];
	const leaf = await shown(one.contextFor('a.test'), 'a.test', one.certificate);
	assert.deepEqual([ours.ca, leaf.ca, leaf.verify(ours.publicKey), leaf.verify(theirs.publicKey)], [true, false, true, false]);
	assert.ok(Date.parse(ours.validTo) - Date.now() < 2 * 86_400_000);
	assert.equal(one.contextFor('a.test'), one.contextFor('a.test'));
});
