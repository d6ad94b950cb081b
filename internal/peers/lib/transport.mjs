// A fetch over node:https: unlike the built-in one it can show a client certificate and sends what it is told to.
import https from 'node:https';
import { authority } from './settings.mjs';

// Makes a fetch. With a credential it shows that certificate to whoever asks for one. It never follows a redirect.
export function transport(credential = {}) {
  const agent = new https.Agent({ ca: authority, keepAlive: true, ...credential });
  return (address, { method = 'GET', headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const content = body === undefined || body === null ? undefined : body.toString();
      const sent = Object.fromEntries(new Headers(headers));
      if (content !== undefined) sent['content-length'] = String(Buffer.byteLength(content));
      const request = https.request(address, { method, agent, headers: sent }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve(asResponse(response, Buffer.concat(chunks))));
      });
      request.on('error', reject);
      request.end(content);
    });
}

// What the server wants to be kept is in cookies, a line each: not every Node.js has getSetCookie (Debian 12 has it not).
function asResponse(response, body) {
  const headers = new Headers();
  for (let i = 0; i < response.rawHeaders.length; i += 2) {
    headers.append(response.rawHeaders[i], response.rawHeaders[i + 1]);
  }
  const without = [204, 205, 304].includes(response.statusCode); // a Response with such a status has no body
  return Object.assign(new Response(without ? null : body, { status: response.statusCode, headers }), {
    cookies: response.headers['set-cookie'] ?? [],
  });
}
