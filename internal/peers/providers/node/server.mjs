// node-oidc-provider as a FAPI 2.0 provider with logout, for the tests of our relying party and our resource server.
import { Provider } from 'oidc-provider';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const { ISSUER, PORT, FOLDER, ALG, BACKCHANNEL, UPSTREAM } = process.env;
const read = (name) => readFileSync(`${FOLDER}/${name}`);
const resource = 'https://example.com/api';
const other = 'https://example.com/other';
const scope = 'openid accounts';

const { privateKey } =
  ALG === 'PS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ec', { namedCurve: 'P-256' });

const provider = new Provider(ISSUER, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: ALG, use: 'sig' }] },
  clients: [
    {
      client_id: 'rp',
      redirect_uris: ['https://example.com/auth/callback'],
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      response_types: ['code'],
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      id_token_signed_response_alg: ALG,
      dpop_bound_access_tokens: true,
      jwks: { keys: [JSON.parse(read('client.jwk'))] },
      post_logout_redirect_uris: ['https://example.com/auth/logged-out'],
      backchannel_logout_uri: BACKCHANNEL,
      backchannel_logout_session_required: true,
      scope,
    },
    {
      client_id: 'countersign',
      redirect_uris: [`${UPSTREAM}/login/upstream/callback`],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      id_token_signed_response_alg: ALG,
      dpop_bound_access_tokens: true,
      jwks: { keys: [JSON.parse(read('client.jwk'))] },
      scope: 'openid',
    },
  ],
  acrValues: ['urn:example:high'],
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['PS256', 'ES256'],
    idTokenSigningAlgValues: ['PS256', 'ES256'],
    dPoPSigningAlgValues: ['PS256', 'ES256'],
  },
  scopes: ['openid', 'accounts'],
  claims: { openid: ['sub', 'amr'], accounts: ['name'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['only for a test on this machine'] },
  pkce: { required: () => true },
  issueRefreshToken: async () => true,
  ttl: { AccessToken: 300, ClientCredentials: 300 },
  // Its own fetch refuses loopback, where the application of the test is.
  fetch: (address, options) => fetch(address, { ...options, dispatcher: undefined }),
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: 'Alice Example' }) }),
  features: {
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
    fapi: { enabled: true, profile: '2.0' },
    introspection: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, audience) => ({
        scope,
        audience,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 300,
        jwt: { sign: { alg: ALG } },
      }),
    },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    userinfo: { enabled: true },
  },
  async loadExistingGrant({ oidc }) {
    const grant = new provider.Grant({ accountId: oidc.session.accountId, clientId: oidc.client.clientId });
    grant.addOIDCScope(scope);
    for (const each of [resource, other]) grant.addResourceScope(each, scope);
    await grant.save();
    return grant;
  },
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
});
provider.on('backchannel.error', (_, error) => console.error('backchannel', error));
provider.on('server_error', (_, error) => console.error('server', error));

// How often somebody signed in: this server asks nobody for a password.
let signIns = 0;
const answer = provider.callback();
createServer({ key: read('tls.key'), cert: read('tls.crt') }, (request, response) => {
  if (request.url === '/sign-ins') return response.end(String(signIns));
  if (request.url.startsWith('/interaction/')) return interact(request, response);
  return answer(request, response);
}).listen(Number(PORT), '127.0.0.1');

// The application's user is signed in without a question; who comes from Countersign has a page to sign in or to refuse.
async function interact(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  if (params.client_id !== 'countersign') {
    signIns += 1;
    return provider.interactionFinished(request, response, { login: { accountId: 'alice' } });
  }
  if (request.method !== 'POST') {
    response.setHeader('content-type', 'text/html');
    return response.end(`<!doctype html><html lang="en"><title>Sign in</title><link rel="icon" href="data:,"><h1>Who are you?</h1>
      <form method="post"><input name="user" id="user"><button id="in">Sign in</button><button id="no" name="no" value="1">Do not</button></form>`);
  }
  let body = '';
  for await (const part of request) body += part;
  const form = new URLSearchParams(body);
  if (form.has('no')) return provider.interactionFinished(request, response, { error: 'access_denied' });
  return provider.interactionFinished(request, response, { login: { accountId: form.get('user'), acr: 'urn:example:high', amr: ['pwd', 'otp'] } });
}
