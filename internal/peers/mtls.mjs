// Client certificates: authentication and bound tokens (RFC 8705).
import { X509Certificate } from 'node:crypto';
import * as jose from 'jose';
import * as oidc from 'openid-client';
import { accepts, answered, assert, refuses } from './lib/cases.mjs';
import { assertion, discover, keySet, newKey, proofs, redirectURI, register } from './lib/clients.mjs';
import { authorize, redeem, tokens } from './lib/flow.mjs';
import { credential, settings } from './lib/settings.mjs';
import { transport } from './lib/transport.mjs';

const metadata = { use_mtls_endpoint_aliases: true, tls_client_certificate_bound_access_tokens: true };
const common = {
  redirect_uris: [redirectURI],
  grant_types: ['authorization_code', 'refresh_token'],
  scope: 'openid profile accounts',
  ...metadata,
};

// openid-client for a client that shows a certificate.
const showing = (id, certificate, authentication = oidc.TlsClientAuth()) =>
  discover(id, authentication, { metadata, fetch: transport(certificate ? credential(certificate) : {}) });

// A JWK of a certificate's key, with the certificate, as self_signed_tls_client_auth registers it (RFC 8705 §2.2.2).
async function certificateKey(name) {
  const certificate = new X509Certificate(credential(name).cert);
  return {
    ...(await jose.exportJWK(certificate.publicKey)),
    kid: name,
    use: 'sig',
    x5c: [certificate.raw.toString('base64')],
  };
}

const id = register({
  ...common,
  token_endpoint_auth_method: 'tls_client_auth',
  tls_client_auth_subject_dn: 'CN=peer-client',
});
const config = await showing(id, 'client');
const selfID = register({
  ...common,
  token_endpoint_auth_method: 'self_signed_tls_client_auth',
  jwks: { keys: [await certificateKey('self-signed')] },
});
const userinfo = new URL(`${settings.mtls}/userinfo`);
const use = (who, issued, at = userinfo) => answered(oidc.fetchProtectedResource(who, issued.access_token, at, 'GET'));

for (const [method, client, certificate] of [
  ['tls_client_auth', id, 'client'],
  ['self_signed_tls_client_auth', selfID, 'self-signed'],
]) {
  await accepts(`the whole flow with ${method} and tokens that are bound to the certificate`, async () => {
    const own = await showing(client, certificate);
    assert.ok(own.serverMetadata().mtls_endpoint_aliases.token_endpoint.startsWith(settings.mtls));
    const issued = await tokens(own);
    assert.equal(issued.token_type, 'bearer');
    const { 'x5t#S256': bound } = jose.decodeJwt(issued.access_token).cnf;
    assert.equal(bound, thumbprint(certificate));
    // The library takes the alias of userinfo by itself.
    const person = await oidc.fetchUserInfo(own, issued.access_token, issued.claims().sub);
    assert.equal(person.sub, issued.claims().sub);
    assert.ok((await use(own, issued, new URL(`${settings.mtls}/accounts`))).accounts.length > 0);
    await oidc.refreshTokenGrant(own, issued.refresh_token);
    await oidc.tokenRevocation(own, issued.refresh_token);
  });
}

await accepts('private_key_jwt with tokens that are bound to a certificate', async () => {
  const key = await newKey();
  const client = register({ ...common, token_endpoint_auth_method: 'private_key_jwt', jwks: keySet(key) });
  const own = await showing(client, 'self-signed', assertion(key));
  const issued = await tokens(own);
  await use(own, issued);
});

await accepts('tls_client_auth with tokens that are bound by DPoP', async () => {
  const client = register({
    ...common,
    tls_client_certificate_bound_access_tokens: false,
    dpop_bound_access_tokens: true,
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_subject_dn: 'CN=peer-client',
  });
  const own = await showing(client, 'client');
  const DPoP = await proofs(own);
  const issued = await tokens(own, { DPoP });
  assert.equal(issued.token_type, 'dpop');
  await oidc.fetchUserInfo(own, issued.access_token, issued.claims().sub, { DPoP });
});

await accepts('a renewed certificate of the same subject at a refresh, and tokens bound to that', async () => {
  const issued = await tokens(config);
  const later = await showing(id, 'renewed');
  const refreshed = await oidc.refreshTokenGrant(later, issued.refresh_token);
  assert.equal(jose.decodeJwt(refreshed.access_token).cnf['x5t#S256'], thumbprint('renewed'));
  await use(later, refreshed);
});

for (const [what, client, certificate] of [
  ['a certificate with another subject', id, 'other'],
  ['a certificate with the right subject of an authority that is not trusted', id, 'stranger'],
  ['a self-signed certificate for tls_client_auth', id, 'self-signed'],
  ['no certificate', id, undefined],
  ['a self-signed certificate with another key', selfID, 'self-signed-other'],
  ['a certificate of the authority for self_signed_tls_client_auth', selfID, 'client'],
  ['no certificate for self_signed_tls_client_auth', selfID, undefined],
]) {
  await refuses(what, async () => tokens(await showing(client, certificate)), { error: 'invalid_client', status: 401 });
}

await refuses(
  'the certificate at the listener that does not ask for it',
  async () => tokens(await discover(id, oidc.TlsClientAuth(), { fetch: transport(credential('client')) })),
  { error: 'invalid_client', status: 401 },
);

await refuses(
  'an assertion in place of the registered certificate',
  async () => tokens(await showing(selfID, undefined, assertion(await newKey()))),
  { error: 'invalid_request', status: 400 },
);

await refuses(
  'a code with the certificate of another client',
  async () => {
    const flow = await authorize(config);
    return redeem(await showing(selfID, 'self-signed'), flow);
  },
  { error: 'invalid_grant', status: 400 },
);

const issued = await tokens(config);
await accepts('the token with its certificate at a resource', () => use(config, issued));
for (const [what, certificate] of [
  ['the token with another certificate of the same subject', 'renewed'],
  ['the token with a certificate of somebody else', 'self-signed'],
  ['the token without a certificate', undefined],
]) {
  await refuses(`${what} at a resource`, async () => use(await showing(id, certificate), issued), {
    status: 401,
    error: 'invalid_token',
  });
}
await refuses(
  'the token at the listener that does not ask for certificates',
  () => use(config, issued, new URL(`${settings.issuer}/userinfo`)),
  { status: 401, error: 'invalid_token' },
);
await refuses(
  'the token with a DPoP proof in place of the certificate',
  async () => {
    const bare = await showing(id, undefined);
    const DPoP = await proofs(bare);
    return answered(
      oidc.fetchProtectedResource(bare, issued.access_token, userinfo, 'GET', undefined, undefined, { DPoP }),
    );
  },
  { status: 401, error: 'invalid_token' },
);

await refuses(
  'tokens bound to a certificate without one, for a client with private_key_jwt',
  async () => {
    const key = await newKey();
    const client = register({ ...common, token_endpoint_auth_method: 'private_key_jwt', jwks: keySet(key) });
    return tokens(await showing(client, undefined, assertion(key)));
  },
  { status: 400, error: 'invalid_request' },
);

// SHA-256 of the certificate in base64url (RFC 8705 §3.1).
function thumbprint(name) {
  const hex = new X509Certificate(credential(name).cert).fingerprint256.replaceAll(':', '');
  return Buffer.from(hex, 'hex').toString('base64url');
}
