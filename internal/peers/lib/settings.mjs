// What peers_test.go tells the scripts: where the server is, how clients are registered, and which certificates there are.
import { readFileSync } from 'node:fs';
import { setDefaultResultOrder } from 'node:dns';
import { webcrypto } from 'node:crypto';

// Node 18 has these, but not as globals.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;
setDefaultResultOrder('ipv4first'); // the server listens on 127.0.0.1 and is called localhost

export const settings = JSON.parse(readFileSync(process.env.PEERS_SETTINGS, 'utf8'));

// A certificate that the test made, with its key, for an https request: "client", "stranger", ...
export function credential(name) {
  return {
    cert: readFileSync(`${settings.certificates}/${name}.crt`),
    key: readFileSync(`${settings.certificates}/${name}.key`),
  };
}

export const authority = readFileSync(settings.authority);
