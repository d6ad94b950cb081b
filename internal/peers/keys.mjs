// Keys that a client keeps at an address of its own (jwks_uri, RFC 7591 §2). The server must be in the hands of no client
// when it fetches them.
import { readFileSync } from 'node:fs';
import https from 'node:https';
import * as oidc from 'openid-client';
import { accepts, assert, refuses } from './lib/cases.mjs';
import { assertion, discover, keySet, newKey, proofs, register, withDPoP } from './lib/clients.mjs';
import { tokens } from './lib/flow.mjs';
import { settings } from './lib/settings.mjs';

// The client's own server.
const served = new Map();
const fetched = new Map();
const site = https.createServer(
  { cert: readFileSync(settings.certificate), key: readFileSync(settings.key) },
  (request, response) => {
    fetched.set(request.url, (fetched.get(request.url) ?? 0) + 1);
    const {
      status = 200,
      headers = { 'content-type': 'application/json' },
      body = '',
    } = served.get(request.url) ?? { status: 404 };
    response.writeHead(status, headers).end(body);
  },
);
await new Promise((resolve) => {
  site.listen(0, '127.0.0.1', resolve);
});
const base = `https://localhost:${site.address().port}`;

// Registers a client with keys at a path, and tries to get tokens with a key.
async function attempt(path, answer, signer) {
  if (answer) served.set(path, answer);
  const { jwks, ...metadata } = withDPoP();
  const id = register({ ...metadata, jwks_uri: base + path });
  const config = await discover(id, assertion(signer));
  return tokens(config, { DPoP: await proofs(config) });
}
const json = (value) => ({ body: JSON.stringify(value) });

await accepts('keys at an address, fetched once for many requests', async () => {
  const [key, next] = [await newKey(), await newKey('PS256')];
  served.set('/jwks', json(keySet(key, next)));
  const { jwks, ...metadata } = withDPoP();
  const id = register({ ...metadata, jwks_uri: `${base}/jwks` });
  for (const signer of [key, next]) {
    const config = await discover(id, assertion(signer));
    const DPoP = await proofs(config);
    const issued = await tokens(config, { DPoP });
    await oidc.refreshTokenGrant(config, issued.refresh_token, undefined, { DPoP });
  }
  assert.equal(fetched.get('/jwks'), 1);
});
await accepts('keys among others that the server cannot use', async () => {
  const key = await newKey();
  const foreign = { kty: 'EC', crv: 'secp256k1', kid: 'foreign', x: 'A'.repeat(43), y: 'A'.repeat(43) };
  await attempt('/mixed', json({ keys: [foreign, key.jwk] }), key);
});

const key = await newKey();
const refused = { error: 'invalid_client', status: 401 };
await refuses(
  'a key that is not at the address',
  async () => attempt('/other', json(keySet(await newKey())), key),
  refused,
);
await refuses('keys where there is nothing', () => attempt('/nothing', undefined, key), refused);
await refuses(
  'keys behind a redirect',
  async () => {
    served.set('/target', json(keySet(key)));
    return attempt('/redirect', { status: 302, headers: { location: `${base}/target` } }, key);
  },
  refused,
);
await refuses('keys behind an error', () => attempt('/error', { status: 500, ...json(keySet(key)) }, key), refused);
await refuses('what is no JSON', () => attempt('/text', { body: 'keys' }, key), refused);
await refuses(
  'a set that is larger than any should be',
  () => attempt('/large', json({ ...keySet(key), padding: 'x'.repeat(2 << 20) }), key),
  refused,
);
await refuses(
  'a set with a private key in it',
  async () => {
    const secret = await newKey();
    const leaked = { ...secret.jwk, d: 'A'.repeat(43) };
    return attempt('/private', json({ keys: [leaked] }), secret);
  },
  refused,
);

// What cannot even be registered. The command line says why.
for (const [what, address] of [
  ['an address without TLS', 'http://localhost:9000/jwks'],
  ['an address in a private network', 'https://10.0.0.1/jwks'],
  ['the address of cloud metadata', 'https://169.254.169.254/latest/meta-data/'],
  ['an address with a password', 'https://user:password@localhost:9000/jwks'],
  ['the port of another protocol', 'https://localhost:25/jwks'],
]) {
  await refuses(
    what,
    async () => {
      const { jwks, ...metadata } = withDPoP();
      return register({ ...metadata, jwks_uri: address });
    },
    { description: / jwks_uri: /, status: 1 },
  );
}
await refuses(
  'keys by value and by address at once',
  async () => register({ ...withDPoP(key), jwks_uri: `${base}/jwks` }),
  { description: / jwks_uri: /, status: 1 },
);

site.close();
site.closeAllConnections();
