// The authorization code flow (RFC 6749 §4.1, RFC 9126, RFC 7636, RFC 9207, OpenID Connect Core §3.1).
import * as oidc from 'openid-client';
import { Browser } from './lib/browser.mjs';
import { accepts, assert, refuses } from './lib/cases.mjs';
import { assertion, discover, newKey, proofs, redirectURI, register, withDPoP } from './lib/clients.mjs';
import { authorize, redeem, tokens } from './lib/flow.mjs';
import { settings } from './lib/settings.mjs';

const key = await newKey();
const config = await discover(register(withDPoP(key)), assertion(key));
const DPoP = await proofs(config);

await accepts('the whole flow: sign-in, consent, tokens, userinfo, a resource', async () => {
  const browser = new Browser();
  const flow = await authorize(config, { DPoP, browser, parameters: { scope: 'openid profile email accounts' } });
  assert.equal(browser.pages.length, 2, 'one page to sign in, one to decide');
  assert.match(browser.pages[1], /See your accounts and their balances/);
  assert.equal(flow.back.searchParams.get('iss'), settings.issuer);

  const issued = await redeem(config, flow, { DPoP });
  assert.equal(issued.token_type, 'dpop');
  assert.deepEqual(issued.scope.split(' ').sort(), ['accounts', 'email', 'openid', 'profile']);
  assert.ok(issued.refresh_token);
  const { sub } = issued.claims();

  const person = await oidc.fetchUserInfo(config, issued.access_token, sub, { DPoP });
  assert.equal(person.email, 'alice@example.com');
  const accounts = new URL(`${settings.issuer}/accounts`);
  const answer = await oidc.fetchProtectedResource(config, issued.access_token, accounts, 'GET', undefined, undefined, {
    DPoP,
  });
  assert.equal(answer.status, 200);
  assert.ok((await answer.json()).accounts.length > 0);
});

await accepts('a refresh, and then the same refresh token again', async () => {
  const issued = await tokens(config, { DPoP });
  const first = await oidc.refreshTokenGrant(config, issued.refresh_token, undefined, { DPoP });
  assert.notEqual(first.access_token, issued.access_token);
  // FAPI 2.0 Security Profile §5.3.2.1-9: refresh tokens are not rotated.
  const second = await oidc.refreshTokenGrant(config, issued.refresh_token, { scope: 'accounts' }, { DPoP });
  assert.equal(second.scope, 'accounts');
});

for (const algorithm of ['PS256', 'ES256', 'EdDSA']) {
  await accepts(`${algorithm} for the client assertion, the proofs, the ID token and userinfo`, async () => {
    const own = await newKey(algorithm);
    const metadata = {
      token_endpoint_auth_signing_alg: algorithm,
      id_token_signed_response_alg: algorithm,
      userinfo_signed_response_alg: algorithm,
    };
    const client = await discover(register({ ...withDPoP(own), ...metadata }), assertion(own), { metadata });
    oidc.enableNonRepudiationChecks(client); // checks the signatures with the server's published keys, too
    const proof = await proofs(client, algorithm);
    const issued = await tokens(client, { DPoP: proof });
    assert.equal(JSON.parse(Buffer.from(issued.id_token.split('.')[0], 'base64url')).alg, algorithm);
    await oidc.fetchUserInfo(client, issued.access_token, issued.claims().sub, { DPoP: proof });
  });
}

await accepts('a second request of the same browser without a page, and prompt=none', async () => {
  const browser = new Browser();
  await tokens(config, { DPoP, browser });
  assert.equal(browser.pages.length, 2);
  await tokens(config, { DPoP, browser });
  await tokens(config, { DPoP, browser, parameters: { prompt: 'none' } });
  assert.equal(browser.pages.length, 2);
});

await accepts('max_age, and the auth_time that answers it', async () => {
  const flow = await authorize(config, { DPoP, parameters: { max_age: '100' } });
  const issued = await redeem(config, { ...flow, checks: { ...flow.checks, maxAge: 100 } }, { DPoP });
  assert.ok(Math.abs(issued.claims().auth_time - Date.now() / 1000) < 100);
});

await accepts('a request without openid: no ID token', async () => {
  const issued = await tokens(config, { DPoP, parameters: { scope: 'accounts', nonce: undefined } });
  assert.equal(issued.id_token, undefined);
});

await refuses(
  'prompt=none from a browser that is not signed in',
  () => tokens(config, { DPoP, parameters: { prompt: 'none' } }),
  { error: 'login_required' },
);

await refuses('access that the person does not allow', () => tokens(config, { DPoP, decision: 'deny' }), {
  error: 'access_denied',
});

// What the push refuses: error and the one status of RFC 9126 §2.3.
for (const [what, parameters, error] of [
  ['a request without PKCE', { code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
  ['PKCE with plain', { code_challenge_method: 'plain' }, 'invalid_request'],
  ['PKCE without a method, which means plain', { code_challenge_method: undefined }, 'invalid_request'],
  ['a redirect_uri that is not registered', { redirect_uri: 'https://evil.example/callback' }, 'invalid_request'],
  ['a redirect_uri with more behind it', { redirect_uri: `${redirectURI}/more` }, 'invalid_request'],
  ['a request_uri in the push', { request_uri: 'urn:ietf:params:oauth:request_uri:x' }, 'invalid_request'],
  ['a response_type with a token', { response_type: 'token' }, 'unsupported_response_type'],
  ['a response_type with an ID token', { response_type: 'code id_token' }, 'unsupported_response_type'],
  ['a scope that is not registered', { scope: 'openid payments' }, 'invalid_scope'],
  ['a resource that is not known', { resource: 'https://unknown.example/' }, 'invalid_target'],
]) {
  await refuses(what, () => authorize(config, { DPoP, parameters }), { error, status: 400 });
}

await refuses(
  'a request that was not pushed',
  async () => {
    const challenge = await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier());
    const address = oidc.buildAuthorizationUrl(config, {
      redirect_uri: redirectURI,
      scope: 'openid',
      code_challenge: challenge,
      code_challenge_method: 'S256',
    });
    const back = await new Browser().visit(address);
    return oidc.authorizationCodeGrant(config, back);
  },
  { error: 'invalid_request' },
);

await refuses(
  'a request_uri that another client pushed',
  async () => {
    const own = await newKey();
    const other = await discover(register(withDPoP(own)), assertion(own));
    let stolen;
    const thief = {
      visit: (address) => {
        stolen = address;
        return new URL(redirectURI);
      },
    };
    await authorize(config, { DPoP, browser: thief });
    stolen.searchParams.set('client_id', other.clientMetadata().client_id);
    return new Browser().visit(stolen);
  },
  { error: 'invalid_request_uri', status: 400 },
);

await refuses(
  'a request_uri that was used before',
  async () => {
    let used;
    const browser = new Browser();
    await authorize(config, {
      DPoP,
      browser: {
        visit: (address) => {
          used = address;
          return browser.visit(address);
        },
      },
    });
    return oidc.authorizationCodeGrant(config, await browser.visit(used), { expectedState: oidc.skipStateCheck });
  },
  { error: 'invalid_request_uri' },
);

await refuses(
  'a code with the wrong verifier',
  async () => {
    const flow = await authorize(config, { DPoP });
    return redeem(
      config,
      { ...flow, checks: { ...flow.checks, pkceCodeVerifier: oidc.randomPKCECodeVerifier() } },
      { DPoP },
    );
  },
  { error: 'invalid_grant', status: 400 },
);

await refuses(
  'a code without a verifier',
  async () => {
    const flow = await authorize(config, { DPoP });
    return redeem(config, { ...flow, checks: { ...flow.checks, pkceCodeVerifier: undefined } }, { DPoP });
  },
  { error: 'invalid_grant', status: 400 },
);

await refuses(
  'a code of another client',
  async () => {
    const own = await newKey();
    const other = await discover(register(withDPoP(own)), assertion(own));
    return redeem(other, await authorize(config, { DPoP }), { DPoP });
  },
  { error: 'invalid_grant', status: 400 },
);

await refuses(
  'a code that comes with another redirect_uri',
  async () => {
    const flow = await authorize(config, { DPoP });
    const elsewhere = new URL(`https://client.example/other${flow.back.search}`);
    return redeem(config, { ...flow, back: elsewhere }, { DPoP });
  },
  { error: 'invalid_grant', status: 400 },
);

// A code that is used twice was stolen: the second use fails and ends what the first one bought (RFC 6749 §4.1.2).
const flow = await authorize(config, { DPoP });
const bought = await redeem(config, flow, { DPoP });
await refuses('a code that was used before', () => redeem(config, flow, { DPoP }), {
  error: 'invalid_grant',
  status: 400,
});
await refuses(
  'the refresh token of a code that was used twice',
  () => oidc.refreshTokenGrant(config, bought.refresh_token, undefined, { DPoP }),
  { error: 'invalid_grant', status: 400 },
);
await refuses(
  'the access token of a code that was used twice',
  () => oidc.fetchUserInfo(config, bought.access_token, oidc.skipSubjectCheck, { DPoP }),
  { error: 'invalid_token', status: 401 },
);

await refuses(
  'a refresh with more scope than was granted',
  async () => {
    const issued = await tokens(config, { DPoP, parameters: { scope: 'openid' } });
    return oidc.refreshTokenGrant(config, issued.refresh_token, { scope: 'openid accounts' }, { DPoP });
  },
  { error: 'invalid_scope', status: 400 },
);

await refuses(
  'the refresh token of another client',
  async () => {
    const own = await newKey();
    const other = await discover(register(withDPoP(own)), assertion(own));
    const issued = await tokens(config, { DPoP });
    return oidc.refreshTokenGrant(other, issued.refresh_token, undefined, { DPoP });
  },
  { error: 'invalid_grant', status: 400 },
);

// The library believes the discovery document, which says that iss is always there (RFC 9207 §2.4).
for (const [what, change, cause] of [
  ['a response without iss', (query) => query.delete('iss'), /"iss"/],
  ['a response with the iss of another server', (query) => query.set('iss', 'https://other.example'), /"iss"/],
  ['a response with another state', (query) => query.set('state', 'another'), /"state"/],
]) {
  await refuses(
    `${what}, by the library`,
    async () => {
      const spoilt = await authorize(config, { DPoP });
      change(spoilt.back.searchParams);
      return redeem(config, spoilt, { DPoP });
    },
    { code: 'OAUTH_INVALID_RESPONSE', cause },
  );
}

await refuses(
  'an ID token with another nonce, by the library',
  async () => {
    const other = await authorize(config, { DPoP });
    return redeem(config, { ...other, checks: { ...other.checks, expectedNonce: 'another' } }, { DPoP });
  },
  { code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED', cause: /"nonce"/ },
);
