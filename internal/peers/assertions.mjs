// Client authentication with private_key_jwt (RFC 7523 §3, FAPI 2.0 Security Profile §5.3.2.1).
import * as oidc from 'openid-client';
import { accepts, assert, refuses } from './lib/cases.mjs';
import { assertion, countersign, discover, keySet, newKey, proofs, register } from './lib/clients.mjs';
import { settings } from './lib/settings.mjs';

const key = await newKey();
const metadata = (...keys) => ({
  grant_types: ['client_credentials'],
  scope: 'accounts',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: keySet(...keys),
  dpop_bound_access_tokens: true,
});
const id = register(metadata(key));

// Asks for a token of the client's own with an assertion that change may spoil.
async function ask({ change, client = id, signer = key } = {}) {
  const config = await discover(client, assertion(signer, change));
  return oidc.clientCredentialsGrant(config, undefined, { DPoP: await proofs(config) });
}

await accepts('an assertion as the library makes it', () => ask());
for (const algorithm of ['PS256', 'EdDSA']) {
  await accepts(`an assertion that is signed with ${algorithm}`, async () => {
    const own = await newKey(algorithm);
    return ask({ client: register(metadata(own)), signer: own });
  });
}
await accepts('EdDSA by its old name, and by the one of RFC 9864 that the library takes', async () => {
  const own = await newKey('EdDSA');
  const client = register({ ...metadata(own), token_endpoint_auth_signing_alg: 'EdDSA' });
  for (const alg of ['EdDSA', 'Ed25519'])
    await ask({
      client,
      signer: own,
      change: (header) => {
        header.alg = alg;
      },
    });
});
await accepts('an iat and a nbf that are 10 seconds ahead', () =>
  ask({
    change: (_, claims) => {
      claims.iat += 10;
      claims.nbf += 10;
    },
  }),
);
await accepts('the typ of newer drafts', () =>
  ask({
    change: (header) => {
      header.typ = 'client-authentication+jwt';
    },
  }),
);
await accepts('either of two keys while they are changed, and then only the new one', async () => {
  const next = await newKey();
  const client = register(metadata(key));
  countersign(['clients', 'rotate-keys', client, '--jwks', '-', '--add'], JSON.stringify(keySet(next)));
  await eventually(() => ask({ client, signer: next }));
  await ask({ client });
});

const now = () => Math.floor(Date.now() / 1000);
const token = (await discover(id, assertion(key))).serverMetadata().token_endpoint;
for (const [what, change] of [
  [
    'the address of the token endpoint as aud',
    (_, claims) => {
      claims.aud = token;
    },
  ],
  [
    'the address of the pushed authorization request endpoint as aud',
    (_, claims) => {
      claims.aud = `${settings.issuer}/par`;
    },
  ],
  [
    'an aud that is an array',
    (_, claims) => {
      claims.aud = [settings.issuer];
    },
  ],
  [
    'an aud with more than the issuer',
    (_, claims) => {
      claims.aud = [settings.issuer, token];
    },
  ],
  [
    'the aud of another server',
    (_, claims) => {
      claims.aud = 'https://other.example';
    },
  ],
  [
    'the issuer with a slash behind it as aud',
    (_, claims) => {
      claims.aud = `${settings.issuer}/`;
    },
  ],
  [
    'an assertion without aud',
    (_, claims) => {
      delete claims.aud;
    },
  ],
  [
    'an assertion that has expired',
    (_, claims) => {
      claims.exp = now() - 1;
    },
  ],
  [
    'an assertion that lives for a day',
    (_, claims) => {
      claims.exp = now() + 86400;
    },
  ],
  [
    'an assertion without exp',
    (_, claims) => {
      delete claims.exp;
    },
  ],
  [
    'an assertion without jti',
    (_, claims) => {
      delete claims.jti;
    },
  ],
  [
    'an iat that is 2 minutes ahead',
    (_, claims) => {
      claims.iat += 120;
    },
  ],
  [
    'a nbf that is 2 minutes ahead',
    (_, claims) => {
      claims.nbf += 120;
    },
  ],
  [
    'an iss that is not the client',
    (_, claims) => {
      claims.iss = 'demo-dpop';
    },
  ],
  [
    'a sub that is not the client',
    (_, claims) => {
      claims.sub = 'demo-dpop';
    },
  ],
  [
    'the typ of a DPoP proof',
    (header) => {
      header.typ = 'dpop+jwt';
    },
  ],
  [
    'the typ of an access token',
    (header) => {
      header.typ = 'at+jwt';
    },
  ],
  [
    'an assertion that says it is not signed',
    (header) => {
      header.alg = 'none';
    },
  ],
  [
    'an assertion that says it is signed with RS256',
    (header) => {
      header.alg = 'RS256';
    },
  ],
  [
    'an assertion that says it is signed with ES384',
    (header) => {
      header.alg = 'ES384';
    },
  ],
  [
    'a crit header',
    (header) => {
      header.crit = ['b64'];
      header.b64 = true;
    },
  ],
]) {
  await refuses(what, () => ask({ change }), { error: 'invalid_client', status: 401 });
}

await refuses('a key that is not registered', async () => ask({ signer: await newKey() }), {
  error: 'invalid_client',
  status: 401,
});
await refuses(
  'the kid of a registered key over the signature of another',
  async () => ask({ signer: { ...(await newKey()), kid: key.kid } }),
  { error: 'invalid_client', status: 401 },
);
await refuses(
  'an algorithm that the client did not register',
  async () => {
    const [one, two] = [await newKey('ES256'), await newKey('PS256')];
    const client = register({ ...metadata(one, two), token_endpoint_auth_signing_alg: 'ES256' });
    return ask({ client, signer: two });
  },
  { error: 'invalid_client', status: 401 },
);
await refuses(
  'a key that was replaced',
  async () => {
    const [old, next] = [await newKey(), await newKey()];
    const client = register(metadata(old));
    countersign(['clients', 'rotate-keys', client, '--jwks', '-'], JSON.stringify(keySet(next)));
    await eventually(() => ask({ client, signer: next }));
    return ask({ client, signer: old });
  },
  { error: 'invalid_client', status: 401 },
);
await refuses(
  'a client that is disabled',
  async () => {
    const client = register(metadata(key));
    countersign(['clients', 'disable', client]);
    return ask({ client });
  },
  { error: 'invalid_client', status: 401 },
);
await refuses('a client that does not exist', () => ask({ client: 'nobody' }), {
  error: 'invalid_client',
  status: 401,
});

await refuses(
  'a client without an assertion',
  async () => {
    const config = await discover(id, oidc.None());
    return oidc.clientCredentialsGrant(config, undefined, { DPoP: await proofs(config) });
  },
  { error: 'invalid_client', status: 401 },
);
for (const [what, authentication, wanted] of [
  ['a client secret in the header', oidc.ClientSecretBasic('secret'), { scheme: 'basic' }],
  ['a client secret in the body', oidc.ClientSecretPost('secret'), { scheme: 'basic' }],
  [
    'an assertion that is signed with a client secret',
    oidc.ClientSecretJwt('secret'.repeat(10)),
    { error: 'invalid_client' },
  ],
]) {
  await refuses(
    what,
    async () => {
      const config = await discover(id, authentication);
      return oidc.clientCredentialsGrant(config, undefined, { DPoP: await proofs(config) });
    },
    { ...wanted, status: 401 },
  );
}

await refuses(
  'an assertion that was used before',
  async () => {
    const once = { jti: oidc.randomState() };
    await ask({ change: (_, claims) => Object.assign(claims, once) });
    return ask({ change: (_, claims) => Object.assign(claims, once) });
  },
  { status: 401, error: 'invalid_client' },
);
await refuses(
  'an assertion that was used before in a request that was refused',
  async () => {
    const once = { jti: oidc.randomState() };
    const config = await discover(
      id,
      assertion(key, (_, claims) => Object.assign(claims, once)),
    );
    const bad = oidc.clientCredentialsGrant(config, { scope: 'payments' }, { DPoP: await proofs(config) });
    await assert.rejects(bad);
    return ask({ change: (_, claims) => Object.assign(claims, once) });
  },
  { status: 401, error: 'invalid_client' },
);

// A change of a client by the command line is seen by a running server within a second.
async function eventually(attempt) {
  const until = Date.now() + 10_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, 100);
      });
    }
  }
}
