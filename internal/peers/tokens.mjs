// Tokens of a client's own, the end of tokens, and what is in them (RFC 6749 §4.4, RFC 7009, RFC 9068, RFC 8707).
import * as jose from 'jose';
import * as oidc from 'openid-client';
import { accepts, answered, assert, refuses } from './lib/cases.mjs';
import { assertion, discover, keySet, newKey, proofs, register, withDPoP } from './lib/clients.mjs';
import { tokens } from './lib/flow.mjs';
import { settings } from './lib/settings.mjs';

const key = await newKey();
const ownID = register({
  grant_types: ['client_credentials'],
  scope: 'accounts payments',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: keySet(key),
  dpop_bound_access_tokens: true,
});
const own = await discover(ownID, assertion(key));
const config = await discover(
  register({ ...withDPoP(key), scope: 'openid accounts payments offline_access' }),
  assertion(key),
);
const DPoP = await proofs(config);
const keys = jose.createLocalJWKSet(await (await fetch(own.serverMetadata().jwks_uri)).json());

await accepts('client_credentials: an access token, and no refresh token', async () => {
  const issued = await oidc.clientCredentialsGrant(own, { scope: 'accounts' }, { DPoP });
  assert.equal(issued.refresh_token, undefined);
  assert.equal(issued.scope, 'accounts');
  const { payload, protectedHeader } = await jose.jwtVerify(issued.access_token, keys, {
    issuer: settings.issuer,
    audience: settings.issuer,
    typ: 'at+jwt',
  });
  assert.equal(protectedHeader.alg, 'PS256');
  assert.equal(payload.sub, ownID); // RFC 9068 §2.2
  assert.equal(payload.client_id, ownID);
  assert.equal(payload.cnf.jkt, await DPoP.calculateThumbprint());
  assert.ok(payload.exp - payload.iat <= 900);
});

await accepts('resource: an audience for each resource, with what means something there', async () => {
  const issued = await tokens(config, {
    DPoP,
    parameters: { scope: 'openid accounts payments', resource: 'https://payments.example/' },
  });
  const { payload } = await jose.jwtVerify(issued.access_token, keys, { audience: 'https://payments.example/' });
  assert.equal(payload.aud, 'https://payments.example/');
  assert.equal(payload.scope, 'payments');
});

await accepts('a revocation of a token that nobody knows (RFC 7009 §2.2)', () =>
  oidc.tokenRevocation(config, 'unknown'),
);

const alive = await tokens(config, { DPoP });
await oidc.fetchUserInfo(config, alive.access_token, alive.claims().sub, { DPoP });
await accepts('the revocation of an access token, and the refresh token afterwards', async () => {
  await oidc.tokenRevocation(config, alive.access_token, { token_type_hint: 'access_token' });
  return oidc.refreshTokenGrant(config, alive.refresh_token, undefined, { DPoP });
});
await refuses(
  'an access token that was revoked',
  () => oidc.fetchUserInfo(config, alive.access_token, alive.claims().sub, { DPoP }),
  { status: 401, error: 'invalid_token' },
);

const ended = await tokens(config, { DPoP });
await accepts('the revocation of a refresh token', () =>
  oidc.tokenRevocation(config, ended.refresh_token, { token_type_hint: 'refresh_token' }),
);
await refuses(
  'a refresh token that was revoked',
  () => oidc.refreshTokenGrant(config, ended.refresh_token, undefined, { DPoP }),
  { status: 400, error: 'invalid_grant' },
);
await refuses(
  'the access token of a refresh token that was revoked',
  () => oidc.fetchUserInfo(config, ended.access_token, ended.claims().sub, { DPoP }),
  { status: 401, error: 'invalid_token' },
);

const foreign = await tokens(config, { DPoP });
await refuses(
  'the revocation of a refresh token of another client',
  () => oidc.tokenRevocation(own, foreign.refresh_token),
  { status: 400, error: 'invalid_grant' },
);
await refuses(
  'the revocation of an access token of another client',
  () => oidc.tokenRevocation(own, foreign.access_token),
  { status: 400, error: 'invalid_grant' },
);
await accepts('the tokens that another client wanted to end', async () => {
  await oidc.fetchUserInfo(config, foreign.access_token, foreign.claims().sub, { DPoP });
  await oidc.refreshTokenGrant(config, foreign.refresh_token, undefined, { DPoP });
});
await refuses('the revocation of an ID token', () => oidc.tokenRevocation(config, foreign.id_token), {
  status: 400,
  error: 'unsupported_token_type',
});

await refuses(
  'client_credentials for a client that did not register it',
  () => oidc.clientCredentialsGrant(config, undefined, { DPoP }),
  { status: 400, error: 'unauthorized_client' },
);
await refuses(
  'client_credentials with a scope about a person',
  () => oidc.clientCredentialsGrant(own, { scope: 'openid' }, { DPoP }),
  { status: 400, error: 'invalid_scope' },
);
await refuses(
  'client_credentials with a scope that is not registered',
  () => oidc.clientCredentialsGrant(own, { scope: 'email' }, { DPoP }),
  { status: 400, error: 'invalid_scope' },
);
await refuses('client_credentials without a proof', () => oidc.clientCredentialsGrant(own), {
  error: 'invalid_request',
  status: 400,
});
await refuses(
  'userinfo for a token of nobody',
  async () => {
    const issued = await oidc.clientCredentialsGrant(own, undefined, { DPoP });
    return oidc.fetchUserInfo(own, issued.access_token, oidc.skipSubjectCheck, { DPoP });
  },
  { status: 403, error: 'insufficient_scope' },
);
await refuses(
  'a resource for a token without its scope',
  async () => {
    const issued = await tokens(config, { DPoP, parameters: { scope: 'openid' } });
    return answered(
      oidc.fetchProtectedResource(
        config,
        issued.access_token,
        new URL(`${settings.issuer}/accounts`),
        'GET',
        undefined,
        undefined,
        { DPoP },
      ),
    );
  },
  { status: 403, error: 'insufficient_scope' },
);
await refuses(
  'a token for another resource',
  async () => {
    const issued = await tokens(config, {
      DPoP,
      parameters: { scope: 'openid payments', resource: 'https://payments.example/' },
    });
    return oidc.fetchUserInfo(config, issued.access_token, issued.claims().sub, { DPoP });
  },
  { status: 401, error: 'invalid_token' },
);
await refuses(
  'a resource at the token endpoint that was not part of the request',
  async () => {
    const issued = await tokens(config, { DPoP });
    return oidc.refreshTokenGrant(config, issued.refresh_token, { resource: 'https://payments.example/' }, { DPoP });
  },
  { status: 400, error: 'invalid_target' },
);
await refuses(
  'a refresh token in place of an access token',
  () => oidc.fetchUserInfo(config, foreign.refresh_token, foreign.claims().sub, { DPoP }),
  { status: 401, error: 'invalid_token' },
);
await refuses(
  'an ID token in place of an access token',
  () => oidc.fetchUserInfo(config, foreign.id_token, foreign.claims().sub, { DPoP }),
  { status: 401, error: 'invalid_token' },
);
for (const [what, grant, parameters] of [
  ['the password grant', 'password', { username: 'alice', password: 'secret' }],
  [
    'a grant that is not there',
    'urn:ietf:params:oauth:grant-type:token-exchange',
    { subject_token: 'x', subject_token_type: 'y' },
  ],
]) {
  await refuses(what, () => oidc.genericGrantRequest(config, grant, parameters, { DPoP }), {
    status: 400,
    error: 'unsupported_grant_type',
  });
}
