// What a client learns about a person: the claims parameter, acr, hints, pairwise subjects (OpenID Connect Core §5.5, §8).
import * as oidc from 'openid-client';
import { Browser, textOf } from './lib/browser.mjs';
import { accepts, assert, refuses } from './lib/cases.mjs';
import { assertion, discover, newKey, proofs, redirectURI, register, withDPoP } from './lib/clients.mjs';
import { tokens } from './lib/flow.mjs';

const key = await newKey();
const id = register(withDPoP(key));
const config = await discover(id, assertion(key));
const DPoP = await proofs(config);
const asking = (claims, more = {}) => ({
  scope: 'openid',
  claims: typeof claims === 'string' ? claims : JSON.stringify(claims),
  ...more,
});
// The best class comes first; this browser has no passkey, and reaches the last one by a password.
const acr = config.serverMetadata().acr_values_supported.at(-1);
const person = (issued) => oidc.fetchUserInfo(config, issued.access_token, issued.claims().sub, { DPoP });

await accepts('claims for the ID token and for userinfo, each where it was asked for', async () => {
  const browser = new Browser();
  const issued = await tokens(config, {
    DPoP,
    browser,
    parameters: asking({ id_token: { email: { essential: true } }, userinfo: { name: null } }),
  });
  assert.equal(issued.claims().email, 'alice@example.com');
  assert.equal(issued.claims().name, undefined);
  const told = await person(issued);
  assert.equal(told.name, 'Alice Example');
  assert.equal(told.email, undefined);
  assert.match(textOf(browser.pages.at(-1)), /It also learns your/);
});
await accepts('a claim that is not known, without it', async () => {
  const issued = await tokens(config, { DPoP, parameters: asking({ userinfo: { shoe_size: { essential: true } } }) });
  assert.deepEqual(Object.keys(await person(issued)), ['sub']);
});
await accepts('an acr that is essential and can be reached', async () => {
  const issued = await tokens(config, {
    DPoP,
    parameters: asking({ id_token: { acr: { essential: true, values: ['urn:other', acr] } } }),
  });
  assert.equal(issued.claims().acr, acr);
});
await accepts('an acr that is only wished for and cannot be reached', () =>
  tokens(config, { DPoP, parameters: { acr_values: 'urn:mace:incommon:iap:gold' } }),
);
await accepts('an id_token_hint of the person who signs in', async () => {
  const issued = await tokens(config, { DPoP });
  await tokens(config, { DPoP, parameters: { id_token_hint: issued.id_token } });
});
await accepts('pairwise subjects: the same for one client, another for the next', async () => {
  const one = await discover(register({ ...withDPoP(key), subject_type: 'pairwise' }), assertion(key));
  const elsewhere = 'https://elsewhere.example/callback';
  const two = await discover(
    register({ ...withDPoP(key), subject_type: 'pairwise', redirect_uris: [elsewhere] }),
    assertion(key),
  );
  const subjects = [];
  for (const [client, parameters] of [
    [one, {}],
    [one, {}],
    [two, { redirect_uri: elsewhere }],
    [config, {}],
  ]) {
    const issued = await tokens(client, { DPoP, parameters });
    const { sub } = issued.claims();
    await oidc.fetchUserInfo(client, issued.access_token, sub, { DPoP }); // the library compares the two
    subjects.push(sub);
  }
  assert.equal(subjects[0], subjects[1]);
  assert.equal(new Set(subjects).size, 3);
});

await refuses('a claims parameter that is no JSON', () => tokens(config, { DPoP, parameters: asking('{') }), {
  error: 'invalid_request',
  status: 400,
});
await refuses('a claims parameter that is no object', () => tokens(config, { DPoP, parameters: asking([1]) }), {
  error: 'invalid_request',
  status: 400,
});
await refuses(
  'an acr that is essential and cannot be reached',
  () => tokens(config, { DPoP, parameters: asking({ id_token: { acr: { essential: true, value: 'urn:other' } } }) }),
  { error: 'unmet_authentication_requirements', status: 400 },
);
await refuses(
  'an id_token_hint of another client',
  async () => {
    const other = await discover(register({ ...withDPoP(key), redirect_uris: [redirectURI] }), assertion(key));
    const issued = await tokens(other, { DPoP });
    return tokens(config, { DPoP, parameters: { id_token_hint: issued.id_token } });
  },
  { error: 'invalid_request', status: 400 },
);
await refuses(
  'an access token as id_token_hint',
  async () => {
    const issued = await tokens(config, { DPoP });
    return tokens(config, { DPoP, parameters: { id_token_hint: issued.access_token } });
  },
  { error: 'invalid_request', status: 400 },
);
await refuses(
  'another person than the one that id_token_hint names, without a page',
  async () => {
    const issued = await tokens(config, { DPoP, user: 'bob' });
    const browser = new Browser();
    await tokens(config, { DPoP, browser, user: 'alice' });
    return tokens(config, { DPoP, browser, parameters: { id_token_hint: issued.id_token, prompt: 'none' } });
  },
  { error: 'login_required' },
);
await refuses('an unknown prompt', () => tokens(config, { DPoP, parameters: { prompt: 'guess' } }), {
  error: 'invalid_request',
  status: 400,
});
await refuses('prompt=none beside another', () => tokens(config, { DPoP, parameters: { prompt: 'none login' } }), {
  error: 'invalid_request',
  status: 400,
});
await refuses('a negative max_age', () => tokens(config, { DPoP, parameters: { max_age: '-1' } }), {
  error: 'invalid_request',
  status: 400,
});
