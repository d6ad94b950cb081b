// Rich authorization requests (RFC 9396).
import * as jose from 'jose';
import * as oidc from 'openid-client';
import { Browser, textOf } from './lib/browser.mjs';
import { accepts, assert, refuses } from './lib/cases.mjs';
import { assertion, discover, keySet, newKey, proofs, register, withDPoP } from './lib/clients.mjs';
import { tokens } from './lib/flow.mjs';
import { settings } from './lib/settings.mjs';

const key = await newKey();
const types = ['account_information', 'payment_initiation'];
const config = await discover(register({ ...withDPoP(key), authorization_details_types: types }), assertion(key));
const DPoP = await proofs(config);
const bank = await discover(
  register({
    grant_types: [],
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: keySet(key),
    resource_identifiers: [settings.issuer],
  }),
  assertion(key),
);

const payment = {
  type: 'payment_initiation',
  instructedAmount: { currency: 'EUR', amount: '123.50' },
  creditorName: 'Merchant <b>A</b>',
  creditorAccount: { iban: 'DE02100100109307118603' },
};
const accounts = { type: 'account_information', actions: ['list_accounts', 'read_balances'] };
const asking = (details, more = {}) => ({
  scope: 'openid',
  authorization_details: typeof details === 'string' ? details : JSON.stringify(details),
  ...more,
});

await accepts('a payment: shown to the person, and in the answer, in the token and in introspection', async () => {
  assert.deepEqual([...config.serverMetadata().authorization_details_types_supported].sort(), types);
  const browser = new Browser();
  const issued = await tokens(config, { DPoP, browser, parameters: asking([payment]) });
  const shown = textOf(browser.pages.at(-1));
  for (const text of ['Pay €123.50', 'Merchant <b>A</b>', 'DE02 1001 0010 9307 1186 03'])
    assert.ok(shown.includes(text), `the person does not see ${text}: ${shown}`);
  assert.deepEqual(issued.authorization_details, [payment]);
  assert.deepEqual(jose.decodeJwt(issued.access_token).authorization_details, [payment]);
  assert.deepEqual((await oidc.tokenIntrospection(bank, issued.access_token)).authorization_details, [payment]);
});

await accepts('authorization_details alone, without any scope', async () => {
  const issued = await tokens(config, { DPoP, parameters: asking([accounts], { scope: undefined, nonce: undefined }) });
  assert.deepEqual(issued.authorization_details, [accounts]);
});

await accepts('one of two payments at a refresh', async () => {
  const issued = await tokens(config, { DPoP, parameters: asking([payment, accounts]) });
  const less = await oidc.refreshTokenGrant(
    config,
    issued.refresh_token,
    { authorization_details: JSON.stringify([accounts]) },
    { DPoP },
  );
  assert.deepEqual(less.authorization_details, [accounts]);
  const all = await oidc.refreshTokenGrant(config, issued.refresh_token, undefined, { DPoP });
  assert.equal(all.authorization_details.length, 2);
});

await accepts('a second payment of the same person only after another page', async () => {
  const browser = new Browser();
  await tokens(config, { DPoP, browser, parameters: asking([payment]) });
  const before = browser.pages.length;
  await tokens(config, { DPoP, browser, parameters: asking([payment]) });
  assert.equal(browser.pages.length, before + 1);
});

const small = { ...payment, instructedAmount: { currency: 'EUR', amount: '1.00' } };
for (const [what, details] of [
  ['a type that is not known', [{ type: 'unknown' }]],
  ['an object without a type', [{ actions: ['list_accounts'] }]],
  ['a type that is not a string', [{ type: 7 }]],
  ['a member that the type does not have', [{ ...payment, secret: true }]],
  ['an object without what the type demands', [{ type: 'payment_initiation' }]],
  ['a value that the type does not allow', [{ ...payment, instructedAmount: { currency: 'euro', amount: '1' } }]],
  ['an object in place of an array', accounts],
  ['an empty array', []],
  ['what is no JSON', '[{'],
  [
    'a member that is there twice',
    '[{"type":"account_information","actions":["list_accounts"],"actions":["read_balances"]}]',
  ],
]) {
  await refuses(what, () => tokens(config, { DPoP, parameters: asking(details) }), {
    error: 'invalid_authorization_details',
    status: 400,
  });
}
await refuses(
  'a type that the client did not register',
  async () => {
    const own = await discover(
      register({ ...withDPoP(key), authorization_details_types: ['account_information'] }),
      assertion(key),
    );
    return tokens(own, { DPoP, parameters: asking([payment]) });
  },
  { error: 'invalid_authorization_details', status: 400 },
);
await refuses(
  'locations at another resource than the one asked for',
  () => tokens(config, { DPoP, parameters: asking([{ ...accounts, locations: ['https://payments.example/'] }]) }),
  { error: 'invalid_target', status: 400 },
);
await refuses(
  'another payment at a refresh than the one that was allowed',
  async () => {
    const issued = await tokens(config, { DPoP, parameters: asking([payment]) });
    return oidc.refreshTokenGrant(
      config,
      issued.refresh_token,
      { authorization_details: JSON.stringify([small]) },
      { DPoP },
    );
  },
  { error: 'invalid_authorization_details', status: 400 },
);
await refuses(
  'prompt=none for a payment',
  async () => {
    const browser = new Browser();
    await tokens(config, { DPoP, browser, parameters: asking([payment]) });
    return tokens(config, { DPoP, browser, parameters: asking([payment], { prompt: 'none' }) });
  },
  { error: 'consent_required' },
);
