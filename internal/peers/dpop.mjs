// Tokens that are bound to a key by DPoP (RFC 9449). peers_test.go runs this with and without nonces.
import { randomUUID } from 'node:crypto';
import * as oidc from 'openid-client';
import { accepts, answered, assert, refuses } from './lib/cases.mjs';
import { assertion, discover, newKey, proofs, register, withDPoP } from './lib/clients.mjs';
import { authorize, redeem, tokens } from './lib/flow.mjs';
import { settings } from './lib/settings.mjs';
import { transport } from './lib/transport.mjs';

const key = await newKey();
const id = register(withDPoP(key));
// Counts what goes over the wire, to see that a nonce costs one request more and not two.
let requests = 0;
const fetch = transport();
const config = await discover(id, assertion(key), {
  fetch: (...request) => {
    requests++;
    return fetch(...request);
  },
});
const DPoP = await proofs(config);
const userinfo = new URL(`${settings.issuer}/userinfo`);

await accepts(`proofs ${settings.nonces ? 'with' : 'without'} a nonce of the server`, async () => {
  requests = 0;
  const own = await proofs(config);
  const issued = await tokens(config, { DPoP: own });
  await oidc.fetchUserInfo(config, issued.access_token, issued.claims().sub, { DPoP: own });
  // The push, the token and userinfo; the nonce that the first answer brings does for the rest.
  assert.equal(requests, settings.nonces ? 4 : 3);
});

for (const algorithm of ['PS256', 'EdDSA']) {
  await accepts(`proofs that are signed with ${algorithm}`, async () =>
    tokens(config, { DPoP: await proofs(config, algorithm) }),
  );
}

await accepts('a code that is bound by dpop_jkt, with that key', async () => {
  const parameters = { dpop_jkt: await DPoP.calculateThumbprint() };
  const flow = await authorize(config, { parameters }); // no proof with the push
  return redeem(config, flow, { DPoP });
});

await accepts('another key at a refresh: the client has authenticated (RFC 9449 §5)', async () => {
  const issued = await tokens(config, { DPoP });
  const next = await proofs(config);
  const refreshed = await oidc.refreshTokenGrant(config, issued.refresh_token, undefined, { DPoP: next });
  return oidc.fetchUserInfo(config, refreshed.access_token, issued.claims().sub, { DPoP: next });
});

await refuses(
  'another key at the token endpoint than at the push',
  async () => {
    const flow = await authorize(config, { DPoP });
    return redeem(config, flow, { DPoP: await proofs(config) });
  },
  { error: 'invalid_grant', status: 400 },
);

await refuses(
  'another key than that of dpop_jkt at the token endpoint',
  async () => {
    const parameters = { dpop_jkt: await DPoP.calculateThumbprint() };
    return redeem(config, await authorize(config, { parameters }), { DPoP: await proofs(config) });
  },
  { error: 'invalid_grant', status: 400 },
);

await refuses(
  'a dpop_jkt that is not that of the proof',
  async () => authorize(config, { DPoP, parameters: { dpop_jkt: await (await proofs(config)).calculateThumbprint() } }),
  { error: 'invalid_dpop_proof', status: 400 },
);

await refuses('a code without a proof', async () => redeem(config, await authorize(config)), {
  error: 'invalid_request',
  status: 400,
});

// Proofs that a mistake or an attacker made. Each is spoilt for all requests that are made with it.
const spoilt = (change, algorithm = 'ES256') => proofs(config, algorithm, change);
for (const [what, change] of [
  [
    'a proof for another address',
    (_, claims) => {
      claims.htu = `${settings.issuer}/par`;
    },
  ],
  [
    'a proof for another server',
    (_, claims) => {
      claims.htu = claims.htu.replace(settings.issuer, 'https://other.example');
    },
  ],
  [
    'a proof for another method',
    (_, claims) => {
      claims.htm = 'GET';
    },
  ],
  [
    'a proof from an hour ago',
    (_, claims) => {
      claims.iat -= 3600;
    },
  ],
  [
    'a proof of the next hour',
    (_, claims) => {
      claims.iat += 3600;
    },
  ],
  [
    'a proof without iat',
    (_, claims) => {
      delete claims.iat;
    },
  ],
  [
    'a proof without jti',
    (_, claims) => {
      delete claims.jti;
    },
  ],
  [
    'a proof without htu',
    (_, claims) => {
      delete claims.htu;
    },
  ],
  [
    'a proof without htm',
    (_, claims) => {
      delete claims.htm;
    },
  ],
  [
    'a proof with another typ',
    (header) => {
      header.typ = 'JWT';
    },
  ],
  [
    'a proof that says it is not signed',
    (header) => {
      header.alg = 'none';
    },
  ],
  [
    'a proof with a key that did not sign it',
    (header) => {
      header.jwk = key.jwk;
    },
  ],
  [
    'a proof without its key',
    (header) => {
      delete header.jwk;
    },
  ],
]) {
  await refuses(
    what,
    async () => {
      const flow = await authorize(config);
      // A fresh header each time: the library keeps the one of a handle.
      return redeem(config, flow, { DPoP: await spoilt(change) });
    },
    { error: 'invalid_dpop_proof', status: 400 },
  );
}
await refuses(
  'a proof that is signed with RS256',
  async () => redeem(config, await authorize(config), { DPoP: await proofs(config, 'RS256') }),
  { error: 'invalid_dpop_proof', status: 400 },
);
await refuses(
  'a proof with the private key in it',
  async () => {
    const { privateKey, publicKey } = await oidc.randomDPoPKeyPair('ES256', { extractable: true });
    const secret = await crypto.subtle.exportKey('jwk', privateKey);
    const handle = oidc.getDPoPHandle(
      config,
      { privateKey, publicKey },
      {
        [oidc.modifyAssertion]: (header) => {
          header.jwk = { ...header.jwk, d: secret.d };
        },
      },
    );
    return redeem(config, await authorize(config), { DPoP: handle });
  },
  { error: 'invalid_dpop_proof', status: 400 },
);
await refuses(
  'a proof that was used before',
  async () => {
    const jti = randomUUID();
    const again = await spoilt((_, claims) => {
      claims.jti = claims.nonce || !settings.nonces ? jti : randomUUID();
    });
    const issued = await tokens(config, { DPoP });
    await oidc.refreshTokenGrant(config, issued.refresh_token, undefined, { DPoP: again });
    return oidc.refreshTokenGrant(config, issued.refresh_token, undefined, { DPoP: again });
  },
  { error: 'invalid_dpop_proof', status: 400 },
);
await refuses(
  'two proofs in one request',
  async () => {
    const doubled = await discover(id, assertion(key), {
      fetch: (address, options) =>
        fetch(
          address,
          options.method === 'POST'
            ? { ...options, headers: { ...options.headers, dpop: `${options.headers.dpop}, ${options.headers.dpop}` } }
            : options,
        ),
    });
    return authorize(doubled, { DPoP: await proofs(doubled) });
  },
  { error: 'invalid_dpop_proof', status: 400 },
);

// At a resource.
const issued = await tokens(config, { DPoP });
const use = (handle, token = issued.access_token) =>
  answered(oidc.fetchProtectedResource(config, token, userinfo, 'GET', undefined, undefined, { DPoP: handle }));

await accepts('the token with its key at a resource', () => use(DPoP));
await refuses('the token with another key at a resource', async () => use(await proofs(config)), {
  status: 401,
  error: 'invalid_token',
});
for (const [what, change] of [
  [
    'a proof of another token at a resource',
    (_, claims) => {
      claims.ath = 'A'.repeat(43);
    },
  ],
  [
    'a proof of no token at a resource',
    (_, claims) => {
      delete claims.ath;
    },
  ],
  [
    'a proof for another method at a resource',
    (_, claims) => {
      claims.htm = 'POST';
    },
  ],
  [
    'a proof for another address at a resource',
    (_, claims) => {
      claims.htu = `${settings.issuer}/accounts`;
    },
  ],
]) {
  await refuses(
    what,
    async () => {
      // The token is bound to the key of this handle; only what it proves with the token is spoilt.
      const handle = await spoilt((header, claims) => {
        if (claims.ath) change(header, claims);
      });
      const own = await tokens(config, { DPoP: handle });
      return use(handle, own.access_token);
    },
    { status: 401, error: 'invalid_dpop_proof' },
  );
}
await refuses('the token as a Bearer token', () => use(undefined), { status: 401, error: 'invalid_token' });
await refuses('the token in the address', () => answered(fetch(`${userinfo}?access_token=${issued.access_token}`)), {
  status: 400,
  error: 'invalid_request',
});
await refuses('no token at all', () => answered(fetch(userinfo)), { status: 401, error: 'invalid_token' });

if (settings.nonces) {
  for (const [what, change] of [
    [
      'a nonce that the server did not make',
      (_, claims) => {
        claims.nonce = 'invented';
      },
    ],
    [
      'a proof without a nonce, whatever the library was told',
      (_, claims) => {
        delete claims.nonce;
      },
    ],
  ]) {
    await refuses(what, async () => authorize(config, { DPoP: await spoilt(change) }), {
      error: 'use_dpop_nonce',
      status: 400,
    });
    await refuses(
      `${what}, at a resource`,
      async () => {
        const handle = await spoilt((header, claims) => {
          if (claims.ath) change(header, claims);
        });
        const own = await tokens(config, { DPoP: handle });
        return use(handle, own.access_token);
      },
      { status: 401, error: 'use_dpop_nonce' },
    );
  }
}
