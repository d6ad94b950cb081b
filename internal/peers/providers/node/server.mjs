// node-oidc-provider as a FAPI 2.0 provider with logout, for the tests of our relying party and our resource server.
import { Provider } from 'oidc-provider';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const { ISSUER, PORT, FOLDER, ALG, BACKCHANNEL } = process.env;
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
  ],
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['PS256', 'ES256'],
    idTokenSigningAlgValues: ['PS256', 'ES256'],
    dPoPSigningAlgValues: ['PS256', 'ES256'],
  },
  scopes: ['openid', 'accounts'],
  claims: { openid: ['sub'], accounts: ['name'] },
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
  if (request.url.startsWith('/interaction/')) {
    signIns += 1;
    return provider.interactionFinished(request, response, { login: { accountId: 'alice' } });
  }
  return answer(request, response);
}).listen(Number(PORT), '127.0.0.1');
