// A bank's own login and consent in front of Countersign, whole in this file: the pages, the session, the passwords, and the two
// calls of the hand-off API (docs/own-login.md). It needs nothing but Node.js. What a bank has already is marked "Replace": who its
// customers are, and how they prove it. main.go beside it does the same in Go, with the same options.
//
//   node own-login.ts add --users users.json sam customer-4711 < password     # a customer, to try it with
//   node own-login.ts --client-certificate login.crt --client-key login.key --users users.json
//   node own-login.ts --client-id the-login --private-key login.pem --users users.json   # with private_key_jwt and DPoP in place of a certificate
//
// Node.js from 22.18 on runs it as it is; before that, `npm ci && npx tsc` makes build/own-login.js of it.
//
// How it goes: the server sends the browser here with a one-time handle. This program reads, authenticated, what the handle was
// given for, has the customer sign in and decide, answers once, and sends the browser to the address in the answer to the answer,
// which works only in the browser that began. Nothing that comes from the browser decides anything but the handle: the server
// checks each answer against the request, and the digest in it against what was shown.

import { createHash, createHmac, createPrivateKey, createPublicKey, pbkdf2, randomBytes, sign, timingSafeEqual } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, request as call, Agent } from "node:https";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { parseArgs, promisify } from "node:util";

const bank = "Northfold Bank";
const sessionLifetime = 15 * 60; // seconds, as all times here
const maxTries = 5, triesLifetime = 15 * 60; // wrong passwords that a user name takes, and in what time
const cookieName = "__Host-northfold"; // the prefix binds it to this host and to TLS: no sibling host can set it

const text = (value: string) => ({ type: "string", default: value }) as const;
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    users: text("users.json"), // the customers
    issuer: text("https://localhost:8443"), // the server, for browsers
    api: text("https://localhost:8444"), // the server's listener for certificates
    ca: text("local/tls/ca.crt"), // the authority of the server's certificate
    "client-certificate": text("login.crt"), // the certificate that the server knows this login by
    "client-key": text("login.key"),
    "client-id": text(""), // the registered client that this login is, in place of a certificate: login.client_id of the server
    "private-key": text("login.pem"), // its private key, PEM (P-256), with client-id
    listen: text("localhost:8446"),
    certificate: text("local/tls/server.crt"), // the certificate that browsers see
    key: text("local/tls/server.key"),
    acr: text("urn:northfold:password"), // the authentication context class that a sign-in here reaches
  },
});
const now = () => Math.floor(Date.now() / 1000);

// The customers ----------------------------------------------------------------------------------------------------------

/** Somebody who can sign in. Replace: the bank's own directory. */
type Customer = {
  username: string;
  /** How the server and its clients know the customer. It is never given to another, and says nothing. */
  subject: string;
  /** pbkdf2-sha256$iterations$salt$hash */
  password: string;
  /** What may be said about the customer (OpenID Connect Core §5.1). */
  claims?: Record<string, unknown>;
};

const encode = (raw: Buffer) => raw.toString("base64url");

async function hash(password: string, salt: Buffer, iterations: number): Promise<string> {
  const key = await promisify(pbkdf2)(password, salt, iterations, 32, "sha256");
  return `pbkdf2-sha256$${iterations}$${encode(salt)}$${encode(key)}`;
}

function readCustomers(file: string): Customer[] {
  return JSON.parse(readFileSync(file, "utf8"));
}

/** Writes a customer with the password on standard input into the file. */
async function addCustomer(file: string, [username, subject, ...more]: string[]): Promise<void> {
  if (!username || !subject || more.length > 0) throw new Error("say which: add --users users.json USERNAME SUBJECT < password");
  let list: Customer[] = [];
  try {
    list = readCustomers(file);
  } catch (problem) {
    if ((problem as NodeJS.ErrnoException).code !== "ENOENT") throw problem;
  }
  if (list.some((c) => c.username === username || c.subject === subject)) throw new Error(`${username} or ${subject} is in ${file} already`);
  const password = readFileSync(0, "utf8").replace(/[\r\n]+$/, "");
  list.push({ username, subject, password: await hash(password, randomBytes(16), 600_000) });
  writeFileSync(file, JSON.stringify(list, null, 2) + "\n", { mode: 0o600 });
}

const same = (a: string, b: string) => {
  const [x, y] = [Buffer.from(a), Buffer.from(b)];
  return x.length === y.length && timingSafeEqual(x, y);
};

const tries = new Map<string, { count: number; until: number }>();

function sweep(map: Map<string, { until: number }>): void {
  for (const [key, { until }] of map) if (now() > until) map.delete(key);
}

/**
 * Returns who signs in, "wrong", or "wait". Replace: the bank's own proof, with a second factor. Who is not known takes as long as
 * who is; wrong passwords are counted by user name before they are looked at, so that many at once are no way around.
 */
async function authenticate(username: string, password: string): Promise<Customer | "wrong" | "wait"> {
  if (username.length > 255) return "wrong";
  sweep(tries);
  const tried = tries.get(username) ?? { count: 0, until: now() + triesLifetime };
  if (tried.count >= maxTries) return "wait";
  tried.count++;
  tries.set(username, tried);

  const found = customers.find((c) => c.username === username);
  const [kind, iterations, salt] = (found?.password ?? "pbkdf2-sha256$600000$AAAAAAAAAAAAAAAAAAAAAA$").split("$");
  if (kind !== "pbkdf2-sha256") throw new Error(`the password of ${username} is of no known kind`);
  const given = await hash(password, Buffer.from(salt!, "base64url"), Number(iterations));
  if (!found || !same(given, found.password)) return "wrong";
  tries.delete(username);
  return found;
}

// The hand-off API -------------------------------------------------------------------------------------------------------

/** What the server asks for, as the API tells it: docs/api/login-v1.yaml. What is not here is not needed here. */
type Asked = {
  ask: ("login" | "consent")[];
  request_digest: string;
  /** Who is signed in at the server already. */
  subject?: string;
  /** Who has to sign in; absent for anybody. */
  required_subject?: string;
  /** That of the question and the values. */
  language: string;
  client: { client_id: string; client_name?: string; redirect_uri: string };
  scopes: { scope: string; description: string }[];
  authorization_details: Detail[];
  claims: string[];
  essential_acr_values: string[];
  max_age?: number;
  prompt: string[];
  login_hint?: string;
  /** It allows one thing at once, and nothing that lasts. */
  once?: boolean;
  /** In seconds; 0 where grant_until alone says when it ends. */
  grant_lifetime: number;
  /** In seconds since 1970; absent where grant_lifetime alone says it. */
  grant_until?: number;
};

/** One of the authorization_details (RFC 9396): the question, every value in words, and the object itself. */
type Detail = {
  kind?: "payment" | "recurring" | "access" | "other";
  /** The whole question, and the labels of its answers. */
  title: string;
  allow?: string;
  deny?: string;
  lines: Line[];
  value: unknown;
};

type Line = {
  /** The heading that it is below. */
  group?: string;
  label: string;
  value: string;
  hint?: string;
  /** The entries of a list. With choose only what the customer chooses of them is allowed, of the list at a JSON Pointer. */
  items?: { label: string; detail?: string }[];
  choose?: "one" | "some";
  at?: string;
};

/** What this login says about it: an error, or the rest. */
type Answer = {
  error?: string;
  subject?: string;
  username?: string;
  acr?: string;
  amr?: string[];
  auth_time?: number;
  claims?: Record<string, unknown>;
  /** All of what was asked for, or a part of it. */
  allowed?: { scopes: string[]; claims: string[]; authorization_details: unknown[] };
};

/** An answer of the API that is no success. */
class Refused extends Error {
  status: number;
  constructor(status: number, description: string) {
    super(`${status} ${description}`);
    this.status = status;
  }
}

let agent: Agent; // shows this login's certificate, if it has one, and trusts the server's authority alone
let tokens: Tokens | undefined; // where this login is a registered client

type Sent = { status: number; headers: IncomingHttpHeaders; content: string };

/** Sends a request to the server. */
function send(method: string, address: string, headers: Record<string, string>, body?: string): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const sent = call(address, { agent, method, headers, timeout: 10_000 }, (response) => {
      read(response, 1 << 20).then((content) => resolve({ status: response.statusCode ?? 0, headers: response.headers, content })).catch(reject);
    });
    sent.on("timeout", () => sent.destroy(new Error("the server takes too long")));
    sent.on("error", reject);
    sent.end(body);
  });
}

/**
 * Calls the API as a registered client: it authenticates by private_key_jwt (RFC 7523 §2.2), and its tokens are bound to its key by
 * DPoP (RFC 9449).
 */
class Tokens {
  id: string;
  server: string;
  key: KeyObject;
  token = "";
  until = 0;
  nonce = "";
  turn: Promise<unknown> = Promise.resolve();
  constructor(id: string, server: string, key: KeyObject) {
    if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") throw new Error("the private key is none of P-256");
    this.id = id;
    this.server = server;
    this.key = key;
  }

  /** Makes a JWT, signed by ES256 (RFC 7518 §3.4). */
  sign(header: Record<string, unknown>, claims: Record<string, unknown>): string {
    const part = (value: unknown) => encode(Buffer.from(JSON.stringify(value)));
    const signed = `${part({ ...header, alg: "ES256" })}.${part(claims)}`;
    return `${signed}.${encode(sign("sha256", Buffer.from(signed), { key: this.key, dsaEncoding: "ieee-p1363" }))}`;
  }

  /** A DPoP proof for a request, of the token if there is one (RFC 9449 §4.2). */
  proof(method: string, address: string, token: string): string {
    const { kty, crv, x, y } = createPublicKey(this.key).export({ format: "jwk" }), { origin, pathname } = new URL(address);
    return this.sign({ typ: "dpop+jwt", jwk: { kty, crv, x, y } }, {
      jti: encode(randomBytes(16)), htm: method, htu: origin + pathname, iat: now(),
      ...(token && { ath: encode(createHash("sha256").update(token).digest()) }), ...(this.nonce && { nonce: this.nonce }),
    });
  }

  /** Sends a request with a fresh proof, and once more if the server wants another nonce in it. */
  async proved(method: string, address: string, headers: Record<string, string>, token: string, body?: string): Promise<Sent> {
    for (let again = false; ; again = true) {
      const sent = await send(method, address, { ...headers, dpop: this.proof(method, address, token) }, body);
      const nonce = String(sent.headers["dpop-nonce"] ?? ""), wanted = nonce !== "" && nonce !== this.nonce && [400, 401].includes(sent.status);
      if (nonce !== "") this.nonce = nonce;
      if (!wanted || again) return sent;
    }
  }

  /** Gets an access token (RFC 6749 §4.4), a minute before the last one ends. */
  async get(): Promise<void> {
    if (now() < this.until) return;
    const assertion = this.sign({ typ: "JWT" }, {
      iss: this.id, sub: this.id, aud: this.server, jti: encode(randomBytes(16)), iat: now(), exp: now() + 60,
    });
    const form = new URLSearchParams({
      grant_type: "client_credentials", scope: "login", client_id: this.id, client_assertion: assertion,
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    });
    const { status, content } = await this.proved("POST", `${this.server}/token`, { "content-type": "application/x-www-form-urlencoded" }, "", form.toString());
    if (status !== 200) throw new Error(`no access token: ${status} ${content}`);
    const issued: { access_token: string; expires_in: number } = JSON.parse(content);
    this.token = issued.access_token;
    this.until = now() + issued.expires_in - 60;
  }

  /** Sends a request with an access token. */
  async send(method: string, address: string, headers: Record<string, string>, body?: string): Promise<Sent> {
    const before = this.turn; // one call at a time, for the nonce; a bank has more clients than one, or a nonce for each
    const mine = (async () => {
      await before.catch(() => {});
      await this.get();
      const sent = await this.proved(method, address, { ...headers, authorization: `DPoP ${this.token}` }, this.token, body);
      if (sent.status === 401) this.until = 0; // it was revoked: the next call gets another
      return sent;
    })();
    this.turn = mine.catch(() => {});
    return mine;
  }
}

/** Reads what a handle was given for or, with a body, answers. */
async function api<T>(language: string, handle: string, body?: Answer & { request_digest: string }): Promise<T> {
  const server = tokens ? tokens.server : options.api.replace(/\/$/, ""); // tokens bound by DPoP need no certificate
  const address = `${server}/login/v1/interactions/${encodeURIComponent(handle)}`;
  // The question and the values come in the language, unless the application wants another.
  const headers = { "content-type": "application/json", "accept-language": language }, method = body ? "POST" : "GET";
  const { status, content } = await (tokens ? tokens.send(method, address, headers, body && JSON.stringify(body)) : send(method, address, headers, body && JSON.stringify(body)));
  if (status !== 200) throw new Refused(status, content);
  return JSON.parse(content);
}

async function read(from: IncomingMessage, most: number): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of from) {
    if ((length += part.length) > most) throw new Error("too long");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

// The sessions -----------------------------------------------------------------------------------------------------------

/** What the cookie holds, signed: nobody else can make one, and there is nothing in it that the customer may not see. */
type Session = {
  /** Another one after each sign-in, so that nobody can have fixed it before. */
  id: string;
  /** Who signed in, at at, and in names the interaction that it was for. */
  sub?: string;
  at?: number;
  in?: string;
  exp: number;
};

// Replace: with several nodes, a secret that all of them read. It signs cookies; who has it can sign in as anybody.
const secret = randomBytes(32);
const mac = (purpose: string, what: string) => encode(createHmac("sha256", secret).update(`${purpose}\0${what}`).digest());

/** Reads the session of a browser, or begins one. */
function sessionOf(request: IncomingMessage, response: ServerResponse): Session {
  for (const each of (request.headers.cookie ?? "").split(";")) {
    const [name, value = ""] = each.trim().split("=", 2);
    if (name !== cookieName) continue;
    const [content = "", signature = ""] = value.split(".");
    if (!same(signature, mac("session", content))) continue;
    const session: Session = JSON.parse(Buffer.from(content, "base64url").toString("utf8"));
    if (now() < session.exp) return session;
  }
  return begin(response);
}

/** Starts a session and sets its cookie. */
function begin(response: ServerResponse, about: Partial<Session> = {}): Session {
  const session = { ...about, id: encode(randomBytes(16)), exp: now() + sessionLifetime };
  const content = encode(Buffer.from(JSON.stringify(session)));
  // Lax: the server's redirect comes from another site.
  response.setHeader("set-cookie", `${cookieName}=${content}.${mac("session", content)}; Path=/; Secure; HttpOnly; SameSite=Lax`);
  return session;
}

// The languages ----------------------------------------------------------------------------------------------------------

/** Those of these pages; the first is for whoever wants none of them. What is asked for comes from the server in the same. */
const languages = ["en", "pt-BR", "ar"];

/** Returns which of the languages a list such as Accept-Language names first, or the first. */
function languageOf(list: string): string {
  const base = (tag: string) => tag.split(";")[0]!.trim().toLowerCase().split("-")[0]!;
  for (const each of list.split(",")) {
    const known = languages.find((own) => base(own) === base(each));
    if (known) return known;
  }
  return languages[0]!;
}

/** Puts a text of these pages into a language. */
const inLanguage = (language: string, text: string) => translations[text]?.[languages.indexOf(language) - 1] ?? text;

/** The same, with values for each %s. */
function say(v: Visit, text: string, ...values: string[]): string {
  return inLanguage(v.language, text).replace(/%s/g, () => values.shift() ?? "");
}

/** The texts in the other languages. A native speaker has to read them before customers do. */
const translations: Record<string, [string, string]> = {
  "Skip to main content": ["Ir para o conteúdo principal", "انتقل إلى المحتوى الرئيسي"],
  "You are at %s. We never ask for your password by telephone, e-mail or message.": ["Você está em %s. Nunca pedimos a sua senha por telefone, e-mail ou mensagem.", "أنت في %s. لا نطلب كلمة مرورك أبدًا بالهاتف أو البريد أو الرسائل."],
  "There is a problem": ["Há um problema", "هناك مشكلة"],
  "Problem: %s": ["Problema: %s", "مشكلة: %s"],
  "Signed in as %s": ["Você entrou como %s", "سجّلت الدخول باسم %s"],
  "Not you?": ["Não é você?", "لست أنت؟"],
  "Step %s of 2": ["Etapa %s de 2", "الخطوة %s من 2"],
  "%s asks for something that you decide on the next page. Signing in shares nothing.": ["%s pede algo que você decide na próxima página. Entrar não compartilha nada.", "يطلب %s شيئًا تقرره في الصفحة التالية. تسجيل الدخول لا يشارك شيئًا."],
  "User name": ["Nome de usuário", "اسم المستخدم"],
  "Password": ["Senha", "كلمة المرور"],
  "Sign in": ["Entrar", "تسجيل الدخول"],
  "Cancel": ["Cancelar", "إلغاء"],
  "Cancel shares nothing and takes you back to %s.": ["Cancelar não compartilha nada e leva você de volta a %s.", "الإلغاء لا يشارك شيئًا ويعيدك إلى %s."],
  "Sign in to %s": ["Entrar em %s", "تسجيل الدخول إلى %s"],
  "Go on as %s?": ["Continuar como %s?", "هل تتابع باسم %s؟"],
  "You are signed in. What %s asks for, you decide on the next page.": ["Você já entrou. O que %s pede, você decide na próxima página.", "سجّلت الدخول. ما يطلبه %s تقرره في الصفحة التالية."],
  "Go on": ["Continuar", "متابعة"],
  "%s asks": ["%s pede", "%s يطلب"],
  "It can": ["Ele poderá", "يمكنه"],
  "It learns about you": ["O que ele saberá sobre você", "ما يعرفه عنك"],
  "How long": ["Por quanto tempo", "إلى متى"],
  "Until %s": ["Até %s", "حتى %s"],
  "What happens next": ["O que acontece depois", "ماذا يحدث بعد ذلك"],
  "Whatever you decide, you go back to %s.": ["Decida o que decidir, você volta para %s.", "مهما قررت، تعود إلى %s."],
  "Allow what %s asks for?": ["Permitir o que %s pede?", "هل تسمح بما يطلبه %s؟"],
  "Allow": ["Permitir", "السماح"],
  "Do not allow": ["Não permitir", "عدم السماح"],
  "There is nothing to do here": ["Não há nada a fazer aqui", "لا شيء هنا"],
  "Start in the application that you want to use.": ["Comece no aplicativo que você quer usar.", "ابدأ من التطبيق الذي تريد استخدامه."],
  "What is asked for has changed. Please read it again.": ["O que é pedido mudou. Leia de novo, por favor.", "تغيّر ما هو مطلوب. اقرأه من جديد."],
  "Nothing is chosen yet. Choose what to allow, or do not allow it.": ["Nada foi escolhido ainda. Escolha o que permitir, ou não permita.", "لم تختر شيئًا بعد. اختر ما تسمح به، أو لا تسمح."],
  "Too many wrong passwords. Wait 15 minutes, then try again.": ["Senhas erradas demais. Espere 15 minutos e tente de novo.", "كلمات مرور خاطئة كثيرة. انتظر 15 دقيقة ثم حاول من جديد."],
  "User name and password do not belong together.": ["O nome de usuário e a senha não combinam.", "اسم المستخدم وكلمة المرور لا يتطابقان."],
  "The application asks for somebody else. Sign in as the customer that it knows, or cancel.": ["O aplicativo pede outra pessoa. Entre como o cliente que ele conhece, ou cancele.", "يطلب التطبيق شخصًا آخر. سجّل الدخول باسم العميل الذي يعرفه، أو ألغِ."],
  "You have already decided": ["Você já decidiu", "سبق أن قررت"],
  "What you decided counts, once. You can go back to the application.": ["O que você decidiu vale, uma vez. Você pode voltar ao aplicativo.", "قرارك محسوب، مرة واحدة. يمكنك العودة إلى التطبيق."],
  "This page has expired": ["Esta página expirou", "انتهت صلاحية هذه الصفحة"],
  "Nothing was shared and nothing was paid. Start again in the application that you came from.": ["Nada foi compartilhado e nada foi pago. Comece de novo no aplicativo de onde você veio.", "لم يُشارَك شيء ولم يُدفع شيء. ابدأ من جديد في التطبيق الذي جئت منه."],
  "This does not work at the moment": ["Isto não funciona no momento", "هذا لا يعمل الآن"],
  "Nothing was shared and nothing was paid. Please try again in a few minutes.": ["Nada foi compartilhado e nada foi pago. Tente de novo em alguns minutos.", "لم يُشارَك شيء ولم يُدفع شيء. حاول من جديد بعد دقائق."],
};

// The pages --------------------------------------------------------------------------------------------------------------

/** One request of a browser about one interaction. */
type Visit = { response: ServerResponse; host: string; handle: string; session: Session; language: string; asked?: Asked };
/** The same, when it is known what is asked for. */
type Open = Visit & { asked: Asked };

/** Where a browser was sent, for a minute: for the second press of a button. */
const answered = new Map<string, { by: string; to: string; until: number }>();

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const host = request.headers.host ?? "";
  const at = new URL(request.url ?? "/", `https://${host}`);
  if (at.pathname !== "/") return void response.writeHead(404).end();
  if (request.method !== "GET" && request.method !== "POST") return void response.writeHead(405, { allow: "GET, POST" }).end();
  // Forms of other sites are refused before anything is looked at.
  const site = request.headers["sec-fetch-site"], origin = request.headers.origin;
  if (request.method === "POST" && (site ? site !== "same-origin" && site !== "none" : origin && origin !== `https://${host}`)) {
    return void response.writeHead(403).end();
  }
  const visit: Visit = {
    response, host, handle: at.searchParams.get("handle") ?? "", session: sessionOf(request, response),
    language: languageOf(request.headers["accept-language"] ?? ""),
  };
  if (visit.handle === "") return message(visit, 400, "There is nothing to do here", "Start in the application that you want to use.");
  try {
    const asked = await api<Asked>(visit.language, visit.handle); // each time again
    const open: Open = { ...visit, asked, language: languageOf(asked.language) };
    if (request.method === "GET") return await show(open);
    await submit(open, new URLSearchParams(await read(request, 16 << 10)));
  } catch (problem) {
    fail(visit, problem);
  }
}

/** Names the interaction where the handle itself should not be. */
const interaction = (v: Visit) => mac("interaction", v.handle);

/** Keeps other sites from sending the form: it is of this browser's session and this interaction. */
const token = (v: Visit) => mac("form", `${v.session.id}\0${v.handle}`);

const wants = (v: Open, what: "login" | "consent") => v.asked.ask.includes(what);

/** Returns who is signed in, if the sign-in is good enough for what is asked. */
function signedIn(v: Open): Customer | undefined {
  if (!wants(v, "login")) { // the server has signed the customer in
    const subject = v.asked.subject ?? "";
    return customers.find((c) => c.subject === subject) ?? { username: subject, subject, password: "" };
  }
  const { prompt, max_age, required_subject: required } = v.asked, { sub, at = 0, in: where } = v.session;
  const again = prompt.includes("login") || prompt.includes("select_account");
  const old = max_age !== undefined && now() - at > max_age;
  if (!sub || (required && required !== sub) || (where !== interaction(v) && (again || old))) return undefined;
  return customers.find((c) => c.subject === sub);
}

/** Shows the page that is due. */
async function show(v: Open): Promise<void> {
  const essential = v.asked.essential_acr_values;
  if (wants(v, "login") && essential.length > 0 && !essential.includes(options.acr)) {
    return answer(v, { error: "unmet_authentication_requirements" });
  }
  page(v, 200);
}

/** Does what a button says. */
async function submit(v: Open, form: URLSearchParams): Promise<void> {
  if (!same(form.get("form_token") ?? "", token(v))) return again(v); // nothing is done; the page that is due is shown
  const action = form.get("action"), who = signedIn(v);
  if (action === "cancel" || action === "deny") return answer(v, { error: "access_denied" });
  if (action === "switch") {
    begin(v.response);
    return again(v);
  }
  if (action === "sign-in" && wants(v, "login")) return signIn(v, (form.get("username") ?? "").trim(), form.get("password") ?? "");
  if (!who) return again(v); // the sign-in has ended meanwhile
  if (form.get("shown") !== v.asked.request_digest) return page(v, 409, "What is asked for has changed. Please read it again.");
  if (action !== (wants(v, "consent") ? "allow" : "go-on")) return again(v);
  let made: Answer;
  try {
    made = about(v, who, form);
  } catch (problem) {
    if (!(problem instanceof NotChosen)) throw problem;
    return page(v, 200, "Nothing is chosen yet. Choose what to allow, or do not allow it.");
  }
  return answer(v, made);
}

/** Checks a password. */
async function signIn(v: Open, username: string, password: string): Promise<void> {
  const who = await authenticate(username, password);
  if (who === "wait") return page(v, 429, "Too many wrong passwords. Wait 15 minutes, then try again.", username);
  if (who === "wrong") return page(v, 200, "User name and password do not belong together.", username);
  if (v.asked.required_subject && v.asked.required_subject !== who.subject) {
    return page(v, 200, "The application asks for somebody else. Sign in as the customer that it knows, or cancel.", username);
  }
  v.session = begin(v.response, { sub: who.subject, at: now(), in: interaction(v) });
  if (!wants(v, "consent")) return answer(v, about(v, who, new URLSearchParams()));
  again(v);
}

/**
 * The answer of a customer who signed in, or allowed what is asked for, or both. A bank may let scopes and claims be chosen, too.
 */
function about(v: Open, who: Customer, form: URLSearchParams): Answer {
  const made: Answer = { subject: who.subject };
  if (wants(v, "login")) {
    Object.assign(made, { username: who.username, acr: options.acr, amr: ["pwd"], auth_time: v.session.at, claims: who.claims });
  }
  if (wants(v, "consent")) {
    made.allowed = {
      scopes: v.asked.scopes.map((s) => s.scope), claims: v.asked.claims, authorization_details: chosen(v.asked, form),
    };
  }
  return made;
}

/** Answers the server, once, and sends the browser back. */
async function answer(v: Open, made: Answer): Promise<void> {
  // The digest is of the request that was read for this page; submit compared it with what was shown.
  const back = await api<{ return_to: string; expires_in: number }>(v.language, v.handle, { request_digest: v.asked.request_digest, ...made });
  const server = options.issuer.replace(/\/$/, "");
  if (!back.return_to.startsWith(`${server}/`)) throw new Error(`the browser was to be sent to another place than ${server}`);
  sweep(answered);
  answered.set(interaction(v), { by: v.session.id, to: back.return_to, until: now() + back.expires_in });
  console.error(JSON.stringify({
    msg: "answered", interaction: interaction(v).slice(0, 12), client_id: v.asked.client.client_id, subject: made.subject, error: made.error,
  }));
  redirect(v, back.return_to);
}

const again = (v: Open) => redirect(v, "?" + new URLSearchParams({ handle: v.handle }));

function redirect(v: Visit, to: string): void {
  headers(v);
  v.response.writeHead(303, { location: to }).end(); // never a status that sends the form on
}

/** Says what went wrong, as far as it is for the customer to know. Who pressed a button twice is sent where the first press led. */
function fail(v: Visit, problem: unknown): void {
  const status = problem instanceof Refused ? problem.status : 0, before = answered.get(interaction(v));
  if (status === 409 && before?.by === v.session.id) return redirect(v, before.to);
  if (status === 409) return message(v, 409, "You have already decided", "What you decided counts, once. You can go back to the application.");
  if (status === 404 || status === 410) {
    return message(v, 410, "This page has expired", "Nothing was shared and nothing was paid. Start again in the application that you came from.");
  }
  console.error(JSON.stringify({ msg: "the server did not answer as expected", error: String(problem) }));
  message(v, 502, "This does not work at the moment", "Nothing was shared and nothing was paid. Please try again in a few minutes.");
}

/** Keeps the page from being framed, kept, or given a script. */
function headers(v: Visit): void {
  // Browsers apply form-action to the redirects after a form, too, and where the application sends its own customers is not known.
  const back = v.asked && new URL(v.asked.client.redirect_uri);
  const forms = "'self' https:" + (back?.protocol === "http:" ? ` ${back.origin}` : ""); // an application on this machine
  const digest = createHash("sha256").update(style).digest("base64");
  for (const [name, value] of Object.entries({
    "content-security-policy":
      `default-src 'none'; style-src 'sha256-${digest}'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action ${forms}`,
    "cache-control": "no-store", "referrer-policy": "same-origin", "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=63072000", "cross-origin-opener-policy": "same-origin",
  })) v.response.setHeader(name, value);
}

/** The name of the inputs of a list to choose from. */
const inputOf = (object: number, line: Line) => `choose.${object}.${line.at}`;

/** Of a list of which nothing was chosen, or more than one thing where that is too much. */
class NotChosen extends Error {}

/** The details as they are allowed: as they were asked or, where there is something to choose, with that alone. */
function chosen({ authorization_details }: Asked, form: URLSearchParams): unknown[] {
  return authorization_details.map((detail, object) => {
    let value: unknown = detail.value;
    for (const line of detail.lines.filter((l) => l.choose)) {
      const keep = form.getAll(inputOf(object, line)).map(Number);
      if (keep.length === 0 || (line.choose === "one" && keep.length > 1)) throw new NotChosen();
      value = pick(value, (line.at ?? "").split("/").slice(1), keep);
    }
    return value;
  });
}

/** Keeps some entries of the list at a JSON Pointer (RFC 6901). */
function pick(value: unknown, [name, ...rest]: string[], keep: number[]): unknown {
  if (name === undefined) {
    if (!Array.isArray(value) || !keep.every((index) => index in value)) throw new NotChosen();
    return keep.map((index) => value[index]);
  }
  if (Array.isArray(value)) return value.map((entry, index) => (String(index) === name ? pick(entry, rest, keep) : entry));
  const object = value as Record<string, unknown>, member = name.replaceAll("~1", "/").replaceAll("~0", "~");
  return { ...object, [member]: pick(object[member], rest, keep) };
}

/**
 * A payment's heading taken apart, if it is worded as this page would word it: amount and payee are the largest things on the page.
 * The amount is the server's: never rounded, with the sign of its currency.
 */
function sumOf({ kind, allow = "", title }: Detail): { amount: string; payee: string } | undefined {
  const amount = /^Pay (.*)$/su.exec(allow)?.[1], start = `Pay ${amount} to `;
  if (kind !== "payment" || !amount || !title.startsWith(start) || !title.endsWith("?")) return undefined;
  return { amount, payee: title.slice(start.length, -1) };
}

/** Markup. What is put into it is escaped, unless it is markup itself; what would reorder or hide text becomes visible. */
class Markup {
  source: string;
  constructor(source: string) {
    this.source = source;
  }
}
type Part = string | number | false | Markup | Part[];
const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
function put(part: Part): string {
  if (part instanceof Markup) return part.source;
  if (Array.isArray(part)) return part.map(put).join("");
  return (part === false ? "" : String(part)).replace(/\p{C}/gu, "\ufffd").replace(/[&<>"']/g, (c) => escapes[c]!);
}
function html(parts: TemplateStringsArray, ...values: Part[]): Markup {
  return new Markup(parts.reduce((made, part, i) => made + put(values[i - 1] ?? "") + part));
}

/** Shows the sign-in or what is asked for. */
function page(v: Open, status: number, problem = "", username = v.asked.login_hint ?? ""): void {
  const { asked } = v, who = signedIn(v), name = asked.client.client_name || asked.client.client_id;
  const host = new URL(asked.client.redirect_uri).host;
  const hidden = html`<input type="hidden" name="form_token" value="${token(v)}"><input type="hidden" name="shown" value="${asked.request_digest}">`;
  const t = (text: string, ...values: string[]) => words(v, text, ...values);
  const wrong = problem && html`<div class="problem" role="alert"><h2>${t("There is a problem")}</h2><p>${t(problem)}</p></div>`;
  const write = (heading: string, body: Markup) => deliver(v, status, problem ? say(v, "Problem: %s", heading) : heading, body);
  if (!who) {
    const invalid = problem && html` aria-invalid="true"`;
    return write(say(v, "Sign in to %s", bank), html`<div class="where"><p>${t("Step %s of 2", "1")}</p></div>${wrong}
<h1>${t("Sign in to %s", bank)}</h1>
<p class="lead">${t("%s asks for something that you decide on the next page. Signing in shares nothing.", name)}</p>
<form method="post">${hidden}
<div class="field"><label for="username">${t("User name")}</label><input id="username" name="username" type="text" value="${username}" autocomplete="username" autocapitalize="none" autocorrect="off" spellcheck="false" required${invalid}></div>
<div class="field"><label for="password">${t("Password")}</label><input id="password" name="password" type="password" autocomplete="current-password" required${invalid}></div>
<div class="actions two">
<button class="button primary" id="sign-in" name="action" value="sign-in">${t("Sign in")}</button>
<button class="button" id="cancel" name="action" value="cancel" formnovalidate>${t("Cancel")}</button>
</div>
<p class="after hint small">${t("Cancel shares nothing and takes you back to %s.", host)}</p>
</form>`);
  }
  const change = wants(v, "login") && html` <button class="as-link" id="switch" name="action" value="switch">${t("Not you?")}</button>`;
  const whose = html`<form class="who" method="post"><input type="hidden" name="form_token" value="${token(v)}"><span>${t("Signed in as %s", who.username)}</span>${change}</form>`;
  if (!wants(v, "consent")) {
    return write(say(v, "Go on as %s?", who.username), html`<div class="where"><p>${t("Step %s of 2", "1")}</p>${whose}</div>${wrong}
<h1>${t("Go on as %s?", who.username)}</h1>
<p class="lead">${t("You are signed in. What %s asks for, you decide on the next page.", name)}</p>
<form method="post">${hidden}
<div class="actions two">
<button class="button primary" id="go-on" name="action" value="go-on">${t("Go on")}</button>
<button class="button" id="cancel" name="action" value="cancel">${t("Cancel")}</button>
</div>
</form>`);
  }
  // The earlier of what the server says.
  const lasts = asked.grant_lifetime > 0 ? now() + asked.grant_lifetime : Infinity;
  const english = v.language === "en", ends = new Date(Math.min(lasts, asked.grant_until ?? Infinity) * 1000);
  const until = ends.toLocaleDateString("en-GB", english ? { day: "numeric", month: "long", year: "numeric" } : { day: "2-digit", month: "2-digit", year: "numeric" });
  const details = asked.authorization_details, only = details.length === 1 ? details[0] : undefined;
  const sum = only && sumOf(only); // the question is the heading, and its answers are the buttons
  const heading = only?.title ?? say(v, "Allow what %s asks for?", name);
  // Every line of every detail, in order: nothing is hidden.
  const sections: { heading: string; lines: { line: Line; input: string }[] }[] = [];
  details.forEach((detail, object) => detail.lines.forEach((line, at) => {
    const above = (only && line.group) || detail.title;
    if (at === 0 || sections.at(-1)?.heading !== above) sections.push({ heading: above, lines: [] });
    sections.at(-1)!.lines.push({ line, input: inputOf(object, line) });
  }));
  const item = ({ label, detail }: { label: string; detail?: string }) =>
    html`<bdi>${label}</bdi>${!!detail && html` <span class="hint small">${detail}</span>`}`;
  write(heading, html`<div class="where"><p>${t("Step %s of 2", "2")}</p>${whose}</div>${wrong}
${sum ? html`<h1 class="sum"><span class="sum-ask">Pay</span> <span class="sum-amount"><bdi>${sum.amount}</bdi></span> <span class="sum-to">to <bdi>${sum.payee}</bdi>?</span></h1>`
    : html`<h1><bdi>${heading}</bdi></h1>`}
<section class="asker" aria-labelledby="asker"><span class="tile" aria-hidden="true">${[...name][0]!.toUpperCase()}</span>
<div><h2 id="asker">${t("%s asks", name)}</h2><p class="hint"><span class="host">${host}</span></p></div></section>
${sections.map((section, i) => html`<section aria-labelledby="section-${i}"><h2 id="section-${i}"><bdi>${section.heading}</bdi></h2>
${section.lines.map(({ line: { label, value, hint, items = [], choose }, input }, j) =>
    choose ? html`<fieldset><legend>${label}</legend>${items.map((each, index) => html`
<label class="option"><input type="${choose === "one" ? "radio" : "checkbox"}" form="decision" name="${input}" value="${index}" id="choose-${i}-${j}-${index}"> <span>${item(each)}</span></label>`)}
</fieldset>
` : items.length > 0 && label === section.heading ? html`<ul class="list">${items.map((each) => html`
<li>${item(each)}</li>`)}
</ul>
` : html`<dl class="facts"><div><dt>${label}</dt><dd><bdi>${value}</bdi>${!!hint && html` <span class="hint">${hint}</span>`}</dd></div></dl>
`)}</section>
`)}${asked.scopes.length > 0 ? html`<section aria-labelledby="scopes"><h2 id="scopes">${t("It can")}</h2>
<ul class="list">${asked.scopes.map((s) => html`
<li>${s.description || s.scope}</li>`)}
</ul></section>
` : ""}${asked.claims.length > 0 ? html`<section aria-labelledby="claims"><h2 id="claims">${t("It learns about you")}</h2>
<ul class="list">${asked.claims.map((claim) => html`
<li>${claim}</li>`)}
</ul></section>
` : ""}${!asked.once && html`<section aria-labelledby="long"><h2 id="long">${t("How long")}</h2>
<p>${t("Until %s", until)}</p></section>
`}<section aria-labelledby="next"><h2 id="next">${t("What happens next")}</h2>
<p>${t("Whatever you decide, you go back to %s.", host)}</p></section>
<form method="post" id="decision">${hidden}
<div class="actions two">
<button class="button primary" id="allow" name="action" value="allow"><bdi>${only?.allow ?? say(v, "Allow")}</bdi></button>
<button class="button" id="deny" name="action" value="deny"><bdi>${only?.deny ?? say(v, "Do not allow")}</bdi></button>
</div>
</form>`);
}

/** Shows a page without a form. */
function message(v: Visit, status: number, heading: string, what: string): void {
  deliver(v, status, say(v, heading), html`<h1>${say(v, heading)}</h1>
<p class="lead">${say(v, what)}</p>`);
}

/** A text as markup: its values are set apart from it. */
function words(v: Visit, text: string, ...values: string[]): Markup {
  const parts = inLanguage(v.language, text).split("%s");
  return html`${parts.map((part, i) => [part, i < parts.length - 1 && html`<bdi>${values[i] ?? ""}</bdi>`])}`;
}

function deliver(v: Visit, status: number, title: string, body: Markup): void {
  headers(v);
  v.response.writeHead(status, { "content-type": "text/html; charset=utf-8" }).end(html`<!DOCTYPE html>
<html lang="${v.language}" dir="${v.language === "ar" ? "rtl" : "ltr"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex, nofollow">
<title>${title} – ${bank}</title>
<link rel="icon" href="data:,">
<style>${new Markup(style)}</style>
</head>
<body>
<a class="skip" href="#main">${words(v, "Skip to main content")}</a>
<header class="top"><div class="top-in"><p class="brand"><svg viewBox="0 0 40 40" width="36" height="36" aria-hidden="true" focusable="false"><rect width="40" height="40" rx="9" fill="#12594a"/><path fill="#fff" d="M11 29V11h4.4l9.2 12.2V11H29v18h-4.4L15.4 16.8V29z"/><path fill="#9fdcca" d="M15.4 11 29 29h-4.4L15.4 16.8z"/></svg><span>${bank}</span></p></div></header>
<main id="main">
${body}
</main>
<footer class="foot"><div class="foot-in"><p>${words(v, "You are at %s. We never ask for your password by telephone, e-mail or message.", v.host)}</p></div></footer>
</body>
</html>
`.source);
}

/** The one sheet, in the page itself, so that nothing is fetched. */
const style = `
:root {
  color-scheme: light dark; --brand: #12594a;
  --surface: #fff; --paper: #f1f6f4; --tint: #eaf7f3; --line: #d6dcda; --ink: #17202a; --muted: #505a66; --field: #717983;
  --accent: #12594a; --accent-strong: #004c3d; --on-accent: #fff; --alarm: #a3211c; --alarm-tint: #fcf1f0; --focus: #1a56c4;
  --sans: -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --surface: #181c20; --paper: #0d100f; --tint: #1b2a26; --line: #333a38; --ink: #e9edf0; --muted: #a9b2ba; --field: #838d96;
    --accent: #89cab8; --accent-strong: #aaebd8; --on-accent: #10151a; --alarm: #ffa79e; --alarm-tint: #2e1d1c; --focus: #8fb9ff;
  }
}
*, *::before, *::after { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; background: var(--surface); color: var(--ink); font: 1.0625rem/1.5 var(--sans); overflow-wrap: break-word; }
h1, h2, p, ul, dl, dd { margin: 0; padding: 0; }
bdi { unicode-bidi: isolate; }
strong { font-weight: 650; }
a { color: var(--accent); text-underline-offset: .2em; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 2px; }
.skip { position: absolute; inset-block-start: .5rem; inset-inline-start: .5rem; z-index: 1; padding: .5rem 1rem; background: var(--surface); border: 2px solid var(--accent); border-radius: .5rem; }
.skip:not(:focus) { inset-block-start: -10rem; }
.top { border-block-start: .375rem solid var(--brand); border-block-end: 1px solid var(--line); background: var(--surface); }
.top-in, main, .foot-in { width: 100%; max-width: 38.5rem; margin-inline: auto; padding-inline: 1.25rem; }
.top-in { min-height: 4rem; padding-block: .5rem; display: flex; align-items: center; }
.brand { display: flex; align-items: center; gap: .75rem; font-size: 1.1875rem; font-weight: 650; line-height: 1.25; }
main { flex: 1 0 auto; padding-block: 1.5rem 2rem; }
.where { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: .25rem 1rem; margin-block-end: 1.5rem; color: var(--muted); font-size: .875rem; }
.who { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .5rem; }
.who bdi { color: var(--ink); font-weight: 650; }
.foot { border-block-start: 1px solid var(--line); color: var(--muted); font-size: .875rem; }
.foot-in { padding-block: 1rem 1.5rem; }
.foot strong { color: var(--ink); }
.host, .ltr { direction: ltr; unicode-bidi: isolate; }
.host { display: inline-block; max-inline-size: 100%; overflow-wrap: anywhere; }
h1 { font-size: clamp(1.625rem, 1.45rem + .9vw, 1.875rem); line-height: 1.2; font-weight: 700; letter-spacing: -.012em; text-wrap: balance; }
h2 { font-size: 1.1875rem; line-height: 1.3; font-weight: 650; }
.lead { margin-block-start: .75rem; font-size: 1.1875rem; line-height: 1.45; }
.hint { color: var(--muted); }
.small, .asker .hint { font-size: .875rem; }
.sum { letter-spacing: 0; line-height: 1.25; }
.sum > span { display: block; }
.sum-ask { font-size: 1.1875rem; font-weight: 500; }
.sum-amount { inline-size: fit-content; max-inline-size: 100%; margin-block: .25rem .75rem; border-block-end: .3125rem double var(--accent); font-size: clamp(2.375rem, 1.9rem + 2.4vw, 3.125rem); font-weight: 750; line-height: 1.2; letter-spacing: -.02em; font-variant-numeric: tabular-nums lining-nums; }
.sum-to { font-size: 1.4375rem; font-weight: 650; }
section { margin-block-start: 2rem; }
section > h2 + * { margin-block-start: .5rem; }
.asker { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin-block-start: 1.5rem; padding: 1rem; background: var(--tint); border: 1px solid transparent; border-radius: .5rem; }
.tile { display: grid; place-items: center; width: 3rem; height: 3rem; background: var(--surface); border: 1px solid var(--field); border-radius: .5rem; font-size: 1.4375rem; font-weight: 650; line-height: 1; }
.facts, .list { border-block-start: 1px solid var(--line); }
.facts > div { display: flex; flex-wrap: wrap; gap: 0 1rem; padding-block: .75rem; border-block-end: 1px solid var(--line); }
.facts dt { flex: 1 0 10.5rem; color: var(--muted); }
.facts dd { flex: 999 1 15rem; min-width: 0; font-weight: 600; }
.facts .hint { display: block; font-weight: 400; }
.number { font-variant-numeric: tabular-nums; word-spacing: .12em; overflow-wrap: anywhere; }
.facts + .facts { border-block-start: 0; }
.list { list-style: none; }
.list .hint { display: block; }
fieldset { min-width: 0; margin: 0; padding: 0; border: 0; }
legend { padding: 0; font-weight: 650; }
.option { display: flex; gap: .75rem; align-items: center; min-height: 3.5rem; margin-block-start: .5rem; padding: .75rem 1rem; border: 1px solid var(--field); border-radius: .5rem; cursor: pointer; }
.option input { flex: none; width: 1.5rem; height: 1.5rem; margin: 0; accent-color: var(--accent); }
.option:hover, .option:has(:checked) { background: var(--tint); border-color: var(--accent); }
.list > li { padding-block: .75rem; border-block-end: 1px solid var(--line); }
.field { margin-block-start: 1.5rem; }
.field label { display: block; font-weight: 650; }
.field input { display: block; width: 100%; min-height: 3rem; margin-block-start: .25rem; padding: .5rem .75rem; font: inherit; color: inherit; background: var(--surface); border: 1px solid var(--field); border-radius: .375rem; }
.field input[aria-invalid=true] { border: 2px solid var(--alarm); }
.problem { margin-block-end: 1.5rem; padding: 1rem; border: 1px solid var(--alarm); border-inline-start-width: .375rem; border-radius: .375rem; background: var(--alarm-tint); }
.problem h2 { color: var(--alarm); }
.actions { display: grid; gap: .75rem; margin-block-start: 2rem; }
.actions.two { grid-template-columns: repeat(auto-fit, minmax(min(100%, 12.5rem), 1fr)); }
.button { display: flex; align-items: center; justify-content: center; width: 100%; min-height: 3.25rem; padding: .5rem 1rem; font: inherit; font-weight: 650; line-height: 1.25; overflow-wrap: anywhere; color: var(--ink); background: var(--surface); border: 2px solid var(--field); border-radius: .5rem; cursor: pointer; }
.button:hover { border-color: var(--ink); background: var(--tint); }
.button.primary { color: var(--on-accent); background: var(--accent); border-color: var(--accent); }
.button.primary:hover { background: var(--accent-strong); border-color: var(--accent-strong); }
.button:focus-visible { border-radius: .5rem; }
.as-link { min-height: 1.75rem; padding: 0; font: inherit; color: var(--accent); background: none; border: 0; text-decoration: underline; text-underline-offset: .2em; cursor: pointer; }
.after { margin-block-start: 1rem; }
@media (min-width: 44rem) {
  body { background: var(--paper); }
  main { flex: none; max-width: 42rem; margin-block: 2rem; padding: 2rem 3rem 3rem; background: var(--surface); border: 1px solid var(--line); border-radius: .75rem; }
  .top-in, .foot-in { max-width: 42rem; padding-inline: 3rem; }
  .foot { margin-block-start: auto; }
}
@media (forced-colors: active) {
  .button.primary { forced-color-adjust: none; color: HighlightText; background: Highlight; border-color: Highlight; }
}
`;

// The start --------------------------------------------------------------------------------------------------------------

let customers: Customer[] = [];

async function main(): Promise<void> {
  if (positionals[0] === "add") return addCustomer(options.users, positionals.slice(1));
  if (positionals.length > 0) throw new Error(`${positionals[0]} is not known`);
  customers = readCustomers(options.users);
  const client = options["client-id"];
  if (client) tokens = new Tokens(client, options.issuer.replace(/\/$/, ""), createPrivateKey(readFileSync(options["private-key"])));
  agent = new Agent({
    keepAlive: true, ca: readFileSync(options.ca),
    ...(!client && { cert: readFileSync(options["client-certificate"]), key: readFileSync(options["client-key"]) }),
  });
  const server = createServer({
    cert: readFileSync(options.certificate), key: readFileSync(options.key), requestTimeout: 10_000, maxHeaderSize: 32 << 10,
  }, (request, response) => {
    serve(request, response).catch((problem) => {
      console.error(JSON.stringify({ msg: "a page could not be made", error: String(problem) }));
      response.destroy();
    });
  });
  const [, host, port] = /^(.*):([0-9]+)$/.exec(options.listen) ?? [];
  server.listen(Number(port), host, () => console.error(JSON.stringify({ msg: "own login ready", address: `https://${options.listen}` })));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => server.close(() => process.exit(0)));
}

main().catch((problem) => {
  console.error(`own-login: ${problem instanceof Error ? problem.message : problem}`);
  process.exit(1);
});
