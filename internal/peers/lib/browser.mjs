// A person with a browser: cookies, redirects, and the two forms of the server.
import { readFileSync } from 'node:fs';
import { settings } from './settings.mjs';
import { transport } from './transport.mjs';

// The server showed an error to the person instead of going on.
export class ErrorPage extends Error {
  constructor(status, text) {
    super(`the person sees: ${text}`);
    this.status = status;
    this.error = text.match(/ Error ([a-z_]+) /)?.[1];
  }
}

const password = readFileSync(settings.password, 'utf8').trim();

export class Browser {
  #send = transport();
  #cookies = new Map();
  // What the pages said, for the scripts to look at.
  pages = [];

  // Opens an authorization URL and goes on until the browser is sent to the client. Returns the address it was sent to.
  async visit(address, { user = 'alice', decision = 'allow' } = {}) {
    let request = { address: new URL(address) };
    for (let hops = 0; hops < 12; hops++) {
      const response = await this.#load(request);
      if (response.status === 303) {
        const location = new URL(response.headers.get('location'), request.address);
        if (location.origin !== settings.issuer) return location;
        request = { address: location };
        continue;
      }
      const page = await response.text();
      this.pages.push(page);
      if (response.status !== 200) throw new ErrorPage(response.status, textOf(page));
      request = { address: request.address, form: fill(page, user, decision) };
    }
    throw new Error('the browser was sent around without an end');
  }

  // Opens an address of an application and goes on, through the server's pages too, until the application shows a page.
  async open(address, person = {}) {
    let at = new URL(address);
    for (let hops = 0; hops < 12; hops++) {
      if (at.origin === settings.issuer) {
        at = await this.visit(at, person);
        continue;
      }
      const response = await this.#load({ address: at });
      const location = response.headers.get('location');
      if (response.status < 300 || response.status > 399 || !location) {
        return { address: at, status: response.status, text: await response.text() };
      }
      at = new URL(location, at);
    }
    throw new Error('the browser was sent around without an end');
  }

  async #load({ address, form }) {
    const headers = {
      cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
      'sec-fetch-site': form ? 'same-origin' : 'cross-site',
    };
    if (form) {
      headers.origin = address.origin;
      headers['content-type'] = 'application/x-www-form-urlencoded';
    }
    const response = await this.#send(address, { method: form ? 'POST' : 'GET', headers, body: form });
    for (const cookie of response.cookies) {
      const [pair] = cookie.split(';');
      const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
      if (/max-age=0|expires=thu, 01 jan 1970/i.test(cookie)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return response;
  }
}

// Fills in the form of a page: the one to sign in, or the one to decide.
function fill(page, user, decision) {
  for (const [, form] of page.matchAll(/<form[^>]*>([\s\S]*?)<\/form>/g)) {
    const values = new URLSearchParams();
    for (const [input] of form.matchAll(/<input[^>]*>/g)) {
      if (attribute(input, 'type') === 'hidden') values.set(attribute(input, 'name'), attribute(input, 'value'));
    }
    if (form.includes('id="sign-in"')) {
      if (page.includes('id="problem"')) throw new Error(`the server did not let ${user} in: ${textOf(page)}`);
      values.set('username', user);
      values.set('password', password);
      values.set('action', 'sign-in');
      return values;
    }
    if (form.includes('id="allow"')) {
      values.set('action', decision);
      return values;
    }
  }
  throw new Error(`a page without a form that is known: ${textOf(page)}`);
}

function attribute(element, name) {
  return unescape(element.match(new RegExp(`\\s${name}="([^"]*)"`))?.[1] ?? '');
}

export function textOf(page) {
  const main = page.match(/<main[\s\S]*<\/main>/)?.[0] ?? page;
  return unescape(main.replace(/<[^>]*>/g, ' '))
    .replace(/\s+/g, ' ')
    .trim();
}

function unescape(text) {
  const names = { amp: '&', lt: '<', gt: '>', quot: '"' };
  return text.replace(/&(?:#(\d+)|(\w+));/g, (all, code, name) =>
    code ? String.fromCodePoint(Number(code)) : (names[name] ?? all),
  );
}
