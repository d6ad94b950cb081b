// The same server with the other library, which is closer to the wire; and that library as a resource server (RFC 9068).
import { createHash } from 'node:crypto';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import { Browser } from './lib/browser.mjs';
import { accepts, assert, refuses } from './lib/cases.mjs';
import { newKey, redirectURI, register, withDPoP } from './lib/clients.mjs';
import { credential, settings } from './lib/settings.mjs';
import { transport } from './lib/transport.mjs';

const issuer = new URL(settings.issuer);
const discovered = async (algorithm) =>
  oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm }));
const as = await discovered('oidc');

// A client with everything that its requests need.
async function newClient(algorithm) {
  const key = await newKey(algorithm);
  const client = { client_id: register(withDPoP(key)) };
  const authentication = oauth.PrivateKeyJwt({ key: key.privateKey, kid: key.kid });
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair(algorithm, { extractable: true }));
  return { client, authentication, DPoP };
}

// Sends a request again, once, when the server wants a nonce in the proof. The handle has kept it by then.
async function withNonce(send) {
  try {
    return await send();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return send();
  }
}

// Pushes, sends a browser, and gives what came back.
async function authorize({ client, authentication, DPoP }, more = {}) {
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  const parameters = {
    response_type: 'code',
    redirect_uri: redirectURI,
    scope: 'openid email accounts',
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...more,
  };
  const { request_uri } = await withNonce(async () =>
    oauth.processPushedAuthorizationResponse(
      as,
      client,
      await oauth.pushedAuthorizationRequest(as, client, authentication, parameters, { DPoP }),
    ),
  );
  const address = new URL(as.authorization_endpoint);
  address.searchParams.set('client_id', client.client_id);
  address.searchParams.set('request_uri', request_uri);
  const back = await new Browser().visit(address);
  return { parameters: oauth.validateAuthResponse(as, client, back, state), verifier, nonce };
}

async function redeem({ client, authentication, DPoP }, { parameters, verifier, nonce }) {
  return withNonce(async () =>
    oauth.processAuthorizationCodeResponse(
      as,
      client,
      await oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, redirectURI, verifier, {
        DPoP,
      }),
      { expectedNonce: nonce, requireIdToken: true },
    ),
  );
}

await accepts('both discovery documents, which say the same', async () =>
  assert.deepEqual(await discovered('oauth2'), as),
);
await accepts('a discovery document that says what the FAPI 2.0 Security Profile demands', () => {
  assert.equal(as.require_pushed_authorization_requests, true);
  assert.equal(as.authorization_response_iss_parameter_supported, true);
  assert.deepEqual(as.response_types_supported, ['code']);
  assert.deepEqual(as.code_challenge_methods_supported, ['S256']);
  for (const method of ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'])
    assert.ok(as.token_endpoint_auth_methods_supported.includes(method));
  assert.equal(as.token_endpoint_auth_methods_supported.length, 3);
});

for (const algorithm of ['ES256', 'PS256', 'EdDSA']) {
  await accepts(`the whole flow with ${algorithm}: userinfo, a refresh, revocation`, async () => {
    const who = await newClient(algorithm);
    const { client, authentication, DPoP } = who;
    const issued = await redeem(who, await authorize(who));
    const { sub } = oauth.getValidatedIdTokenClaims(issued);
    const person = await withNonce(async () =>
      oauth.processUserInfoResponse(
        as,
        client,
        sub,
        await oauth.userInfoRequest(as, client, issued.access_token, { DPoP }),
      ),
    );
    assert.equal(person.email, 'alice@example.com');
    await withNonce(async () =>
      oauth.processRefreshTokenResponse(
        as,
        client,
        await oauth.refreshTokenGrantRequest(as, client, authentication, issued.refresh_token, { DPoP }),
      ),
    );
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(as, client, authentication, issued.refresh_token),
    );
  });
}

// The library as a resource server elsewhere: it knows the server's published keys, and nothing else.
const who = await newClient('ES256');
const { client, DPoP } = who;
const issued = await redeem(who, await authorize(who));
const resource = 'https://resource.example/things';
async function presented(token, options = { DPoP }) {
  let request;
  const keep = async (address, { method, headers }) => {
    request = new Request(address, { method, headers });
    return new Response();
  };
  await oauth.protectedResourceRequest(token, 'GET', new URL(resource), undefined, undefined, {
    ...options,
    [oauth.customFetch]: keep,
  });
  return request;
}
await accepts('an access token as a resource server elsewhere checks it', async () => {
  const claims = await oauth.validateJwtAccessToken(as, await presented(issued.access_token), settings.issuer, {
    requireDPoP: true,
  });
  assert.equal(claims.client_id, client.client_id);
  assert.deepEqual(claims.scope.split(' ').sort(), ['accounts', 'email', 'openid']);
});
for (const [what, request, audience, description] of [
  ['for another audience', () => presented(issued.access_token), 'https://other.example', /"aud"/],
  [
    'with another key',
    async () => presented(issued.access_token, { DPoP: (await newClient('ES256')).DPoP }),
    settings.issuer,
    /confirmation mismatch/,
  ],
  ['as a Bearer token', () => presented(issued.access_token, {}), settings.issuer, /DPoP/],
  ['that is an ID token', () => presented(issued.id_token), client.client_id, /"typ"/],
]) {
  await refuses(
    `an access token ${what}, by the library as a resource server`,
    async () => oauth.validateJwtAccessToken(as, await request(), audience, { requireDPoP: true }),
    { description },
  );
}
await accepts('an ID token as jose checks it, and the at_hash of its access token', async () => {
  const keys = jose.createRemoteJWKSet(new URL(as.jwks_uri));
  const { payload } = await jose.jwtVerify(issued.id_token, keys, {
    issuer: settings.issuer,
    audience: client.client_id,
  });
  assert.equal(
    payload.at_hash,
    createHash('sha256').update(issued.access_token).digest().subarray(0, 16).toString('base64url'),
  );
});

await accepts('tokens that are bound to a certificate', async () => {
  const metadata = { use_mtls_endpoint_aliases: true };
  const own = {
    client_id: register({
      grant_types: ['client_credentials'],
      scope: 'accounts',
      token_endpoint_auth_method: 'tls_client_auth',
      tls_client_auth_subject_dn: 'CN=peer-client',
      tls_client_certificate_bound_access_tokens: true,
      ...metadata,
    }),
    ...metadata,
  };
  const options = { [oauth.customFetch]: transport(credential('client')) };
  const bound = await oauth.processClientCredentialsResponse(
    as,
    own,
    await oauth.clientCredentialsGrantRequest(as, own, oauth.TlsClientAuth(), { scope: 'accounts' }, options),
  );
  const answer = await oauth.protectedResourceRequest(
    bound.access_token,
    'GET',
    new URL(`${settings.mtls}/accounts`),
    undefined,
    undefined,
    options,
  );
  assert.equal(answer.status, 200);
});

await refuses(
  'a code without PKCE at the token endpoint',
  async () => {
    const flow = await authorize(who);
    return redeem(who, { ...flow, verifier: oauth.nopkce });
  },
  { error: 'invalid_grant', status: 400 },
);
await refuses('a code of another client', async () => redeem(await newClient('ES256'), await authorize(who)), {
  error: 'invalid_grant',
  status: 400,
});
await refuses(
  'a pushed request without a challenge',
  () => authorize(who, { code_challenge: '', code_challenge_method: '' }),
  { error: 'invalid_request', status: 400 },
);
await refuses(
  'an assertion with which another server could be reached',
  async () => {
    const own = await newClient('ES256');
    const elsewhere = { ...as, issuer: 'https://other.example' };
    const response = await oauth.clientCredentialsGrantRequest(
      elsewhere,
      own.client,
      own.authentication,
      {},
      { DPoP: own.DPoP },
    );
    return oauth.processClientCredentialsResponse(elsewhere, own.client, response);
  },
  { error: 'invalid_client', status: 401 },
);
