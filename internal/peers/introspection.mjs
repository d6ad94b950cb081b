// A resource server asks about tokens (RFC 7662, FAPI 2.0 Message Signing §6.2).
import * as oidc from 'openid-client';
import { accepts, assert, refuses } from './lib/cases.mjs';
import { assertion, discover, keySet, newKey, proofs, register, withDPoP } from './lib/clients.mjs';
import { tokens } from './lib/flow.mjs';
import { credential, settings } from './lib/settings.mjs';
import { transport } from './lib/transport.mjs';

const key = await newKey();
const config = await discover(register({ ...withDPoP(key), scope: 'openid accounts payments' }), assertion(key));
const DPoP = await proofs(config);

// Registers a resource server.
async function resourceServer(...identifiers) {
  const own = await newKey('PS256');
  const metadata = {
    grant_types: [],
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: keySet(own),
    resource_identifiers: identifiers,
  };
  return discover(register(metadata), assertion(own));
}
const bank = await resourceServer(settings.issuer);
const payments = await resourceServer('https://payments.example/');
const issued = await tokens(config, { DPoP });

await accepts('the question of the resource server that a token is for', async () => {
  const told = await oidc.tokenIntrospection(bank, issued.access_token);
  assert.equal(told.active, true);
  assert.equal(told.iss, settings.issuer);
  assert.equal(told.aud, settings.issuer);
  assert.equal(told.sub, issued.claims().sub);
  assert.equal(told.client_id, config.clientMetadata().client_id);
  assert.equal(told.token_type, 'DPoP');
  assert.equal(told.cnf.jkt, await DPoP.calculateThumbprint());
  assert.deepEqual(told.scope.split(' ').sort(), ['accounts', 'openid']);
});

await accepts('the question of a resource server with a certificate, about a token that is bound to one', async () => {
  const metadata = {
    grant_types: [],
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_subject_dn: 'CN=peer-other',
    use_mtls_endpoint_aliases: true,
    resource_identifiers: [settings.issuer],
  };
  const own = await discover(register(metadata), oidc.TlsClientAuth(), {
    metadata,
    fetch: transport(credential('other')),
  });
  const client = {
    grant_types: ['client_credentials'],
    scope: 'accounts',
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_subject_dn: 'CN=peer-client',
    tls_client_certificate_bound_access_tokens: true,
    use_mtls_endpoint_aliases: true,
  };
  const holder = await discover(register(client), oidc.TlsClientAuth(), {
    metadata: client,
    fetch: transport(credential('client')),
  });
  const bound = await oidc.clientCredentialsGrant(holder);
  const told = await oidc.tokenIntrospection(own, bound.access_token, { token_type_hint: 'access_token' });
  assert.equal(told.token_type, 'Bearer');
  assert.ok(told.cnf['x5t#S256']);
});

await accepts('a token for two resources, of which each sees its own part', async () => {
  const parameters = { scope: 'openid accounts payments', resource: [settings.issuer, 'https://payments.example/'] };
  const both = await tokens(config, { DPoP, parameters });
  const [one, other] = [
    await oidc.tokenIntrospection(bank, both.access_token),
    await oidc.tokenIntrospection(payments, both.access_token),
  ];
  assert.equal(one.aud, settings.issuer);
  assert.equal(other.aud, 'https://payments.example/');
  assert.equal(other.scope, 'payments');
});

// Of a token that is not active nothing else is told (RFC 7662 §2.2).
for (const [what, asker, token] of [
  ['a token for another resource server', payments, () => issued.access_token],
  ['a refresh token', bank, () => issued.refresh_token],
  ['an ID token', bank, () => issued.id_token],
  ['a token that nobody made', bank, () => 'invented'],
  ['a token with another signature', bank, () => issued.access_token.replace(/.{20}$/, 'A'.repeat(20))],
  [
    'a token that was revoked',
    bank,
    async () => {
      const ended = await tokens(config, { DPoP });
      await oidc.tokenRevocation(config, ended.refresh_token);
      return ended.access_token;
    },
  ],
]) {
  await refuses(
    `to tell anything about ${what}`,
    async () => {
      const told = await oidc.tokenIntrospection(asker, await token());
      if (Object.keys(told).length === 1 && told.active === false)
        throw Object.assign(new Error('not active'), { code: 'INACTIVE' });
      return told;
    },
    { code: 'INACTIVE' },
  );
}

await refuses(
  'the question of a client that is no resource server',
  () => oidc.tokenIntrospection(config, issued.access_token),
  { error: 'unauthorized_client', status: 400 },
);
await refuses(
  'the question of somebody who does not prove who it is',
  async () => {
    const own = await discover(bank.clientMetadata().client_id, assertion(await newKey()));
    return oidc.tokenIntrospection(own, issued.access_token);
  },
  { error: 'invalid_client', status: 401 },
);
await refuses('a token to a client without grants', () => oidc.clientCredentialsGrant(bank), {
  error: 'unauthorized_client',
  status: 400,
});
