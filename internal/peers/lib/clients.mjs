// Clients: their keys, their registration at the server, and how openid-client is told about them.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import * as jose from 'jose';
import * as oidc from 'openid-client';
import { settings } from './settings.mjs';

export const redirectURI = 'https://client.example/callback';

// Makes a key pair. algorithm is PS256, ES256 or EdDSA.
export async function newKey(algorithm = 'ES256') {
  const { privateKey, publicKey } = await jose.generateKeyPair(algorithm, { extractable: true });
  const kid = randomUUID();
  const jwk = { ...(await jose.exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
  return { algorithm, kid, privateKey, publicKey, jwk };
}

export const keySet = (...keys) => ({ keys: keys.map((key) => key.jwk) });

// Runs the command line of the server, as its operator would.
export function countersign(command, input) {
  return execFileSync(settings.binary, [...command, '--config', settings.config], {
    input,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

// Registers a client as the operator and returns its client_id.
export function register(metadata) {
  const id = `peer-${randomUUID()}`;
  countersign(['clients', 'add', id, '--file', '-'], JSON.stringify({ client_name: 'Peer', ...metadata }));
  return id;
}

// Metadata of a client with a browser whose tokens are bound by DPoP.
export const withDPoP = (...keys) => ({
  redirect_uris: [redirectURI],
  grant_types: ['authorization_code', 'refresh_token'],
  scope: 'openid profile email accounts offline_access',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: keySet(...keys),
  dpop_bound_access_tokens: true,
});

// The client authentication of openid-client with a key. change may spoil the assertion.
export function assertion(key, change) {
  return oidc.PrivateKeyJwt({ key: key.privateKey, kid: key.kid }, { [oidc.modifyAssertion]: change });
}

// A proof key of openid-client. change may spoil the proofs.
export async function proofs(config, algorithm = 'ES256', change) {
  const pair = await oidc.randomDPoPKeyPair(algorithm, { extractable: true });
  return oidc.getDPoPHandle(config, pair, { [oidc.modifyAssertion]: change });
}

// Tells openid-client of a client: it reads the discovery document.
export function discover(id, authentication, { metadata = {}, fetch } = {}) {
  const options = fetch ? { [oidc.customFetch]: fetch } : {};
  return oidc.discovery(new URL(settings.issuer), id, metadata, authentication, options);
}
