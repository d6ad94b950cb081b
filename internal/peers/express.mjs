// express-openid-connect as a web application: sign-in with PAR and private_key_jwt, refresh, sign-out from here and from
// elsewhere (OpenID Connect RP-Initiated Logout 1.0, Back-Channel Logout 1.0).
import * as jose from 'jose';
import { application, shown, withKey } from './lib/app.mjs';
import { Browser } from './lib/browser.mjs';
import { accepts, answered, assert, refuses, until } from './lib/cases.mjs';
import { newKey } from './lib/clients.mjs';
import { credential } from './lib/settings.mjs';
import { transport } from './lib/transport.mjs';

const key = await newKey();
const app = await withKey('one', key);
const other = await withKey('two', key);
const send = transport();

const me = async (browser, at = app) => shown(await browser.open(`${at.base}/me`));
const signedIn = async (browser, at = app) => shown(await browser.open(at.base)).signedIn;

await accepts('a sign-in with PAR, private_key_jwt and a token that is bound to a certificate', async () => {
  const browser = new Browser();
  const { user, idToken, accessToken } = await me(browser);
  assert.equal(user.sub, jose.decodeJwt(idToken).sub);
  assert.equal(jose.decodeProtectedHeader(idToken).alg, 'PS256');
  assert.ok(jose.decodeJwt(idToken).sid, 'what signs out later names the session');
  assert.ok(jose.decodeJwt(accessToken.access_token).cnf['x5t#S256']);
  assert.equal(browser.pages.length, 2, 'one page to sign in, one to decide');
  assert.equal(await signedIn(browser), true);
  assert.equal(await signedIn(new Browser()), false);
});

await accepts('userinfo, with the certificate', async () => {
  const browser = new Browser();
  const { user } = await me(browser);
  const person = shown(await browser.open(`${app.base}/userinfo`));
  assert.equal(person.sub, user.sub);
  assert.equal(person.email, 'alice@example.com');
});

await accepts('a refresh', async () => {
  const browser = new Browser();
  const { accessToken } = await me(browser);
  const next = shown(await browser.open(`${app.base}/refresh`));
  assert.notEqual(next, accessToken.access_token);
  assert.equal(jose.decodeJwt(next).sub, jose.decodeJwt(accessToken.access_token).sub);
});

await accepts('an application with a certificate in place of a key', async () => {
  const own = await application('certificate', {
    metadata: { token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=peer-client' },
    options: { useMtls: true, customFetch: transport(credential('client')) },
  });
  const { user, accessToken } = await me(new Browser(), own);
  assert.ok(user.sub);
  assert.ok(jose.decodeJwt(accessToken.access_token).cnf['x5t#S256']);
  own.close();
});

await accepts('a sign-out that begins here: the session ends at the server, and the browser comes back', async () => {
  const browser = new Browser();
  await me(browser);
  const back = await browser.open(`${app.base}/logout`);
  assert.equal(back.address.origin, app.base);
  assert.equal(shown(back).signedIn, false);
  const pages = browser.pages.length;
  await me(browser);
  assert.match(browser.pages[pages], /id="sign-in"/, 'who that is, is asked again');
});

// The logout token that the server sent for a sign-in at app that ended at other.
let told;
await accepts('a sign-out that begins elsewhere, told to the handler of the package', async () => {
  const browser = new Browser();
  const { idToken } = await me(browser);
  await me(browser, other);
  assert.equal(await signedIn(browser), true);
  const before = app.told.length;
  await browser.open(`${other.base}/logout`);
  await until('the notice', () => app.told.length > before);
  told = app.told.at(-1);
  assert.equal(told.status, 204);
  const { sid, sub, aud, events } = jose.decodeJwt(told.token);
  assert.equal(sid, jose.decodeJwt(idToken).sid);
  assert.equal(sub, jose.decodeJwt(idToken).sub);
  assert.equal(aud, app.id);
  assert.deepEqual(Object.keys(events), ['http://schemas.openid.net/event/backchannel-logout']);
  assert.equal(await signedIn(browser), false, 'the session here has ended');
});

await accepts('a sign-in after it, in the same application', async () => {
  const browser = new Browser();
  await me(browser);
  assert.equal(await signedIn(browser), true);
});

const notify = (at, token) =>
  answered(
    send(`${at.base}/backchannel-logout`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ logout_token: token }),
    }),
  );
await refuses('the logout token of another application, by the package', () => notify(other, told.token), { status: 400 });
await refuses(
  'a logout token that is not the server’s, by the package',
  async () => {
    const claims = jose.decodeJwt(told.token);
    const header = jose.decodeProtectedHeader(told.token);
    const { privateKey } = await newKey('PS256');
    return notify(app, await new jose.SignJWT(claims).setProtectedHeader(header).sign(privateKey));
  },
  { status: 400 },
);
await refuses(
  'a request that was not pushed',
  async () => {
    const plain = await withKey('plain', key, { options: { pushedAuthorizationRequests: false } });
    try {
      return await me(new Browser(), plain);
    } finally {
      plain.close();
    }
  },
  { error: 'invalid_request' },
);
await refuses(
  'an ID token that is not of the algorithm that the package expects without being told, RS256',
  async () => {
    const own = await withKey('rs256', key, { options: { idTokenSigningAlg: 'RS256' } });
    try {
      return await me(new Browser(), own);
    } finally {
      own.close();
    }
  },
  { error: 'OAUTH_INVALID_RESPONSE', status: 400 },
);
await refuses(
  'an assertion of another key',
  async () => {
    const own = await withKey('stranger', await newKey(), { metadata: { jwks: { keys: [key.jwk] } } });
    try {
      return await me(new Browser(), own);
    } finally {
      own.close();
    }
  },
  { error: 'invalid_client', status: 401 },
);
await refuses(
  'an answer that belongs to another browser’s request',
  async () => {
    const [victim, thief] = [new Browser(), new Browser()];
    await victim.open(app.base);
    const pushed = await send(`${app.base}/login`);
    const back = await thief.visit(pushed.headers.get('location'));
    return shown(await victim.open(back));
  },
  { status: 400 },
);
await refuses('access that the user does not allow', async () => shown(await new Browser().open(`${app.base}/me`, { decision: 'deny' })), {
  error: 'access_denied',
  status: 400,
});

for (const each of [app, other]) each.close();
