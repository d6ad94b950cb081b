// Clients that register themselves and look after their registration (RFC 7591, RFC 7592).
import { randomUUID } from 'node:crypto';
import * as oidc from 'openid-client';
import { accepts, answered, assert, refuses } from './lib/cases.mjs';
import { assertion, countersign, keySet, newKey, proofs, redirectURI, withDPoP } from './lib/clients.mjs';
import { tokens } from './lib/flow.mjs';
import { settings } from './lib/settings.mjs';

// The operator makes an initial access token for an organisation.
const organisation = (clients) =>
  countersign(['clients', 'tokens', 'add', `Peer ${randomUUID()}`, '--clients', String(clients), '--for', '1h']).trim();

const key = await newKey();
const initialAccessToken = organisation(20);
const metadata = (more = {}) => ({ client_name: 'Registered by itself', ...withDPoP(key), ...more });
const enrol = (wanted = metadata(), token = initialAccessToken) =>
  oidc.dynamicClientRegistration(new URL(settings.issuer), wanted, assertion(key), { initialAccessToken: token });
const works = async (config) => tokens(config, { DPoP: await proofs(config), parameters: { scope: 'openid' } });

// RFC 7592 is not in the library.
const manage = (client, { method = 'GET', token = client.registration_access_token, body } = {}) =>
  answered(
    fetch(client.registration_client_uri, {
      method,
      body: body && JSON.stringify(body),
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
    }),
  );
const information = (config) => ({ ...config.clientMetadata() });
// What a client may send back of what it was told (RFC 7592 §2.2).
const writable = ({ registration_access_token, registration_client_uri, client_id_issued_at, ...rest }) => rest;

await accepts('a registration, with which the whole flow works at once', async () => {
  const config = await enrol();
  const client = information(config);
  assert.equal(client.token_endpoint_auth_method, 'private_key_jwt');
  assert.equal(client.dpop_bound_access_tokens, true);
  assert.ok(client.registration_client_uri.startsWith(`${settings.issuer}/register/`));
  assert.equal(client.client_secret, undefined);
  await works(config);
});
await accepts('a client that reads its registration', async () => {
  const client = information(await enrol());
  const told = await manage(client);
  assert.equal(told.client_id, client.client_id);
  assert.deepEqual(told.redirect_uris, [redirectURI]);
});
await accepts('a client that replaces its registration: what it leaves out is gone', async () => {
  const config = await enrol(
    metadata({ client_uri: 'https://client.example/', id_token_signed_response_alg: 'ES256' }),
  );
  const client = information(config);
  const { client_uri, ...rest } = writable(await manage(client));
  const told = await manage(client, { method: 'PUT', body: { ...rest, client_name: 'Renamed' } });
  assert.equal(told.client_name, 'Renamed');
  assert.equal(told.client_uri, undefined);
  await works(config);
});
await accepts('types of authorization_details that may be registered', async () => {
  const client = information(await enrol(metadata({ authorization_details_types: ['payment_initiation'] })));
  assert.deepEqual(client.authorization_details_types, ['payment_initiation']);
});

await accepts('a scope that is not known: it is left out, and the answer says so', async () => {
  const client = information(await enrol(metadata({ scope: 'openid everything' })));
  assert.equal(client.scope, 'openid');
});

const gone = await enrol();
const before = await works(gone);
await accepts('a client that deletes its registration', () => manage(information(gone), { method: 'DELETE' }));
await refuses('a client that has deleted its registration', () => works(gone), {
  error: 'invalid_client',
  status: 401,
});
await refuses(
  'the refresh token of a client that has deleted its registration',
  async () => oidc.refreshTokenGrant(gone, before.refresh_token, undefined, { DPoP: await proofs(gone) }),
  { error: 'invalid_client', status: 401 },
);
await refuses('to read a registration that was deleted', () => manage(information(gone)), {
  error: 'invalid_token',
  status: 401,
});

await refuses('a registration without an initial access token', () => enrol(metadata(), null), {
  error: undefined,
  scheme: 'bearer',
  status: 401,
});
await refuses('a registration with an invented token', () => enrol(metadata(), 'invented'), {
  error: 'invalid_token',
  status: 401,
});
await refuses(
  'more registrations than the organisation may have',
  async () => {
    const once = organisation(1);
    await enrol(metadata(), once);
    return enrol(metadata(), once);
  },
  { error: 'access_denied', status: 403 },
);
await refuses(
  'a registration with the token of another client',
  async () => enrol(metadata(), information(await enrol()).registration_access_token),
  { error: 'invalid_token', status: 401 },
);

for (const [what, more, error = 'invalid_client_metadata'] of [
  ['a redirect_uri without TLS', { redirect_uris: ['http://client.example/callback'] }, 'invalid_redirect_uri'],
  ['a redirect_uri with a fragment', { redirect_uris: [`${redirectURI}#fragment`] }, 'invalid_redirect_uri'],
  ['a redirect_uri of another scheme', { redirect_uris: ['javascript:alert(1)'] }, 'invalid_redirect_uri'],
  ['a client without redirect_uris', { redirect_uris: [] }, 'invalid_redirect_uri'],
  ['a client with a secret', { token_endpoint_auth_method: 'client_secret_basic' }],
  ['a public client', { token_endpoint_auth_method: 'none' }],
  ['the implicit grant', { grant_types: ['implicit'], response_types: ['token'] }],
  ['the password grant', { grant_types: ['password'] }],
  ['RS256', { id_token_signed_response_alg: 'RS256' }],
  ['an ID token that is not signed', { id_token_signed_response_alg: 'none' }],
  ['tokens that are not bound', { dpop_bound_access_tokens: false }],
  ['a client without keys', { jwks: { keys: [] } }],
  ['a private key', { jwks: { keys: [{ ...key.jwk, d: 'A'.repeat(43) }] } }],
  ['a client that makes itself a resource server', { resource_identifiers: [settings.issuer] }],
  ['a type of authorization_details that is not known', { authorization_details_types: ['unknown'] }],
  ['a member of the wrong type', { client_name: 7 }],
  ['keys in a private network', { jwks: undefined, jwks_uri: 'https://192.168.0.1/jwks' }],
  ['a software statement', { software_statement: 'e30.e30.e30' }, 'invalid_software_statement'],
]) {
  await refuses(what, () => enrol(metadata(more)), { error, status: 400 });
}

const [mine, other] = [information(await enrol()), information(await enrol())];
await refuses(
  'to read a registration with the token of another client',
  () => manage(mine, { token: other.registration_access_token }),
  { error: 'invalid_token', status: 401 },
);
await refuses(
  'to delete a registration with the token of another client',
  () => manage(mine, { method: 'DELETE', token: other.registration_access_token }),
  { error: 'invalid_token', status: 401 },
);
await refuses(
  'to read a registration with the initial access token',
  () => manage(mine, { token: initialAccessToken }),
  { error: 'invalid_token', status: 401 },
);
await refuses('to read a registration without a token', () => manage(mine, { token: null }), { status: 401 });
for (const [what, change] of [
  ['the client_id of another client', { client_id: other.client_id }],
  ['a secret', { client_secret: 'secret' }],
  ['its registration access token', { registration_access_token: mine.registration_access_token }],
  ['keys of no kind', { jwks: undefined }],
]) {
  await refuses(
    `a replacement with ${what}`,
    async () => manage(mine, { method: 'PUT', body: { ...writable(await manage(mine)), ...change } }),
    { error: 'invalid_client_metadata', status: 400 },
  );
}
await accepts('a client whose registration others wanted to end', async () => {
  const told = await manage(mine);
  assert.deepEqual(told.jwks, keySet(key));
});
