// The authorization code flow with openid-client, cut where the scripts want to look or to spoil something.
import * as oidc from 'openid-client';
import { Browser } from './browser.mjs';
import { redirectURI } from './clients.mjs';

// Pushes a request and sends a browser to it. parameters change the request: undefined leaves one out, and an array gives
// one more than once.
// The result is what the client needs to go on: the address that the browser came back with, and what to hold it to.
export async function authorize(config, { parameters = {}, DPoP, browser = new Browser(), ...person } = {}) {
  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  const nonce = oidc.randomNonce();
  const request = {
    redirect_uri: redirectURI,
    scope: 'openid accounts',
    state,
    nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...parameters,
  };
  const pushed = new URLSearchParams();
  for (const [name, value] of Object.entries(request))
    for (const each of [value].flat()) if (each !== undefined) pushed.append(name, each);
  const address = await oidc.buildAuthorizationUrlWithPAR(config, pushed, { DPoP });
  const back = await browser.visit(address, person);
  const checks = { pkceCodeVerifier: verifier, expectedState: state };
  if (request.scope?.split(' ').includes('openid'))
    Object.assign(checks, { expectedNonce: nonce, idTokenExpected: true });
  return { back, checks };
}

// Exchanges the code that the browser brought back.
export function redeem(config, { back, checks }, { DPoP, parameters } = {}) {
  return oidc.authorizationCodeGrant(config, back, checks, parameters, { DPoP });
}

// The whole flow: the tokens.
export async function tokens(config, options = {}) {
  return redeem(config, await authorize(config, options), { DPoP: options.DPoP });
}
