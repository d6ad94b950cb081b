// node-oidc-provider as a FAPI 2.0 authorization server, for bench: pushed requests, private_key_jwt, DPoP, JWT access
// tokens. The sign-in page is left out: it would only slow the first request of each browser.
import { Provider } from 'oidc-provider';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { AsynchronousAdapter } from './adapter.mjs';

const { ISSUER, PORT, FOLDER, ALG, ADAPTER, ROTATE } = process.env;
const read = (name) => readFileSync(`${FOLDER}/${name}`);
const resource = 'https://api.example';
const scope = 'openid accounts';

const { privateKey } = ALG === 'PS256'
  ? generateKeyPairSync('rsa', { modulusLength: 2048 })
  : generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signingKey = { ...privateKey.export({ format: 'jwk' }), alg: ALG, use: 'sig' };

const provider = new Provider(ISSUER, {
  jwks: { keys: [signingKey] },
  clients: [{
    client_id: 'bench',
    redirect_uris: ['https://client.example/callback'],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types: ['code'],
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    id_token_signed_response_alg: ALG,
    dpop_bound_access_tokens: true,
    jwks: { keys: [JSON.parse(read('client.jwk'))] },
    scope,
  }],
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['PS256', 'ES256'],
    idTokenSigningAlgValues: ['PS256', 'ES256'],
    dPoPSigningAlgValues: ['ES256'],
  },
  scopes: ['openid', 'accounts'],
  cookies: { keys: ['only for a measurement on this machine'] },
  pkce: { required: () => true },
  issueRefreshToken: async () => true,
  rotateRefreshToken: ROTATE === 'yes',
  ...(ADAPTER === 'asynchronous' && { adapter: AsynchronousAdapter }),
  ttl: { AccessToken: 300, ClientCredentials: 300 },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true },
    fapi: { enabled: true, profile: '2.0' },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope, audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: ALG } } }),
    },
  },
  // What a user allowed before counts, as on the other servers.
  async loadExistingGrant({ oidc }) {
    const grant = new provider.Grant({ accountId: oidc.session.accountId, clientId: oidc.client.clientId });
    grant.addOIDCScope(scope);
    grant.addResourceScope(resource, scope);
    await grant.save();
    return grant;
  },
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
});

const answer = provider.callback();
createServer({ key: read('tls.key'), cert: read('tls.crt') }, (request, response) => {
  if (request.url.startsWith('/interaction/')) {
    return provider.interactionFinished(request, response, { login: { accountId: 'alice' } });
  }
  return answer(request, response);
}).listen(Number(PORT), '127.0.0.1');
