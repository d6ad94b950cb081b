// openid-client signs a user out, with PAR, private_key_jwt and DPoP before it (RP-Initiated Logout 1.0), and an
// application with express-openid-connect, where the same user is signed in, is told of it (Back-Channel Logout 1.0).
import * as oidc from 'openid-client';
import { shown, withKey } from './lib/app.mjs';
import { Browser } from './lib/browser.mjs';
import { accepts, assert, refuses, until } from './lib/cases.mjs';
import { assertion, discover, newKey, proofs, register, withDPoP } from './lib/clients.mjs';
import { tokens } from './lib/flow.mjs';

const key = await newKey();
const afterwards = 'https://client.example/goodbye';
const config = await discover(register({ ...withDPoP(key), post_logout_redirect_uris: [afterwards] }), assertion(key));
const DPoP = await proofs(config);
const app = await withKey('told', key);

const end = (issued, parameters = {}) =>
  oidc.buildEndSessionUrl(config, {
    id_token_hint: issued.id_token,
    post_logout_redirect_uri: afterwards,
    state: 'the-state',
    ...parameters,
  });
// Both are signed in by one browser, here first.
async function both() {
  const browser = new Browser();
  const issued = await tokens(config, { DPoP, browser });
  const page = async () => shown(await browser.open(app.base)).signedIn;
  shown(await browser.open(`${app.base}/me`));
  assert.equal(await page(), true);
  return { browser, issued, page };
}

await accepts('a sign-out by the ID token of this session, told to the other application', async () => {
  const { browser, issued, page } = await both();
  const before = app.told.length;
  const back = await browser.visit(end(issued));
  assert.equal(back.href, `${afterwards}?state=the-state`);
  await until('the notice', () => app.told.length > before);
  assert.equal(app.told.at(-1).status, 204);
  assert.equal(await page(), false);
  // The grant does not end with the session (docs/logout.md).
  await oidc.refreshTokenGrant(config, issued.refresh_token, undefined, { DPoP });
});

await accepts('a sign-in after it, which asks who that is', async () => {
  const browser = new Browser();
  const issued = await tokens(config, { DPoP, browser });
  await browser.visit(end(issued));
  const pages = browser.pages.length;
  await tokens(config, { DPoP, browser });
  assert.match(browser.pages[pages], /id="sign-in"/);
});

await refuses(
  'an address that is not registered',
  async () => {
    const { browser, issued } = await both();
    return browser.visit(end(issued, { post_logout_redirect_uri: 'https://client.example/elsewhere' }));
  },
  { error: 'invalid_request', status: 400 },
);
await refuses(
  'an ID token of another client',
  async () => {
    const { browser, issued } = await both();
    const other = await discover(register(withDPoP(key)), assertion(key));
    const foreign = await tokens(other, { DPoP: await proofs(other), browser });
    return browser.visit(end({ id_token: foreign.id_token }));
  },
  { error: 'invalid_request', status: 400 },
);
await refuses(
  'an ID token that was changed',
  async () => {
    const { browser, issued } = await both();
    const [header, , signature] = issued.id_token.split('.');
    const claims = Buffer.from('{"iss":"https://localhost"}').toString('base64url');
    return browser.visit(end({ id_token: [header, claims, signature].join('.') }));
  },
  { error: 'invalid_request', status: 400 },
);
await accepts('that nothing of it ended a session', async () => {
  const { browser, page } = await both();
  await browser.visit(end({ id_token: 'nothing' })).catch(() => undefined);
  assert.equal(await page(), true);
});
app.close();
