// Web applications with express-openid-connect, each a server of its own that signs its users in at ours.
import { readFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import https from 'node:https';
import Module, { createRequire } from 'node:module';
import * as jose from 'jose';
import * as oidc from 'openid-client';
import { register } from './clients.mjs';
import { credential, settings } from './settings.mjs';
import { transport } from './transport.mjs';

// The package loads these two by require, and Node 18 requires no ES modules: it gets those that are loaded already.
const loaded = { jose, 'openid-client': oidc };
const load = Module._load;
Module._load = (name, ...rest) => loaded[name] ?? load(name, ...rest);
const require = createRequire(import.meta.url);
const express = require('express');
const { auth, requiresAuth } = require('express-openid-connect');

// Where sessions that ended are written down.
class Memory {
  #kept = new Map();
  get = (id, callback) => callback(null, this.#kept.get(id));
  set = (id, value, callback) => callback(null, void this.#kept.set(id, value));
  destroy = (id, callback) => callback(null, void this.#kept.delete(id));
}

// The package offers bearer tokens, or certificates in place of the key. FAPI 2.0 wants tokens that are bound, and has both
// at once: the client proves itself with its key, at the endpoints that see the certificate that its tokens are bound to.
async function bindingTransport(certificate) {
  const send = transport(credential(certificate));
  const found = await send(`${settings.issuer}/.well-known/openid-configuration`);
  const metadata = await found.json();
  const aliases = metadata.mtls_endpoint_aliases;
  const moved = new Map(Object.keys(aliases).map((name) => [metadata[name], aliases[name]]));
  return (address, options) => send(moved.get(String(address)) ?? address, options);
}

// Starts an application. metadata is added to its registration, and options to its configuration of the package.
export async function application(name, { metadata = {}, options = {} } = {}) {
  const app = express();
  const server = https.createServer(
    { cert: readFileSync(settings.certificate), key: readFileSync(settings.key) },
    app,
  );
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref(); // a case that fails shall not keep the script
  const base = `https://localhost:${server.address().port}`;
  const id = register({
    redirect_uris: [`${base}/callback`],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'openid profile email accounts offline_access',
    tls_client_certificate_bound_access_tokens: true,
    post_logout_redirect_uris: [base],
    backchannel_logout_uri: `${base}/backchannel-logout`,
    ...metadata,
  });
  // What the server says of sessions that ended, as it came.
  const told = [];
  app.use('/backchannel-logout', express.urlencoded({ extended: false }), (request, response, next) => {
    response.on('finish', () => told.push({ token: request.body.logout_token, status: response.statusCode }));
    next();
  });
  app.use(
    auth({
      issuerBaseURL: settings.issuer,
      baseURL: base,
      clientID: id,
      secret: randomBytes(32).toString('hex'),
      session: { name: `session-${name}` },
      transactionCookie: { name: `transaction-${name}` },
      authorizationParams: { response_type: 'code', scope: 'openid profile email accounts' },
      pushedAuthorizationRequests: true,
      idTokenSigningAlg: 'PS256',
      authRequired: false,
      idpLogout: true,
      backchannelLogout: { store: new Memory() },
      enableTelemetry: false,
      ...options,
    }),
  );
  const answer = (work) => (request, response, next) => work(request, response).then((value) => response.json(value), next);
  app.get(
    '/me',
    requiresAuth(),
    answer(async ({ oidc: { user, idToken, accessToken, refreshToken } }) => ({ user, idToken, accessToken, refreshToken })),
  );
  app.get('/userinfo', requiresAuth(), answer((request) => request.oidc.fetchUserInfo()));
  app.get('/refresh', requiresAuth(), answer(async (request) => (await request.oidc.accessToken.refresh()).access_token));
  app.get('/', (request, response) => response.json({ signedIn: request.oidc.isAuthenticated() }));
  app.use((error, request, response, next) => {
    const { status = 500, error: code, error_description, message } = error;
    response.status(status).json({ error: code, error_description, message });
  });
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { id, base, told, close };
}

// The application with private_key_jwt and a certificate for its tokens.
export async function withKey(name, key, { metadata = {}, options = {} } = {}) {
  return application(name, {
    metadata: { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [key.jwk] }, ...metadata },
    options: {
      clientAuthMethod: 'private_key_jwt',
      clientAssertionSigningKey: key.privateKey,
      clientAssertionSigningAlg: key.algorithm,
      customFetch: await bindingTransport('client'),
      ...options,
    },
  });
}

// Reads what an application's page says; an answer that is not 2xx is a failure.
export function shown({ status, text }) {
  if (status >= 200 && status < 300) return JSON.parse(text);
  let told = {};
  try {
    told = JSON.parse(text);
  } catch {
    told = { message: text };
  }
  throw Object.assign(new Error(told.message), { status, ...told });
}
