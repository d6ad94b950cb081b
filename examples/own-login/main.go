// Command own-login is a bank's own login and consent in front of Countersign, whole in this file: the pages, the session, the
// passwords, and the two calls of the hand-off API (docs/own-login.md). It needs nothing but the standard library. What a bank
// has already is marked "Replace": who its customers are, and how they prove it. own-login.ts beside it does the same in
// TypeScript.
//
//	own-login add -users users.json sam customer-4711 < password     # a customer, to try it with
//	own-login -client-certificate login.crt -client-key login.key -users users.json
//	own-login -client-id the-login -private-key login.pem -users users.json   # with private_key_jwt and DPoP in place of a certificate
//
// How it goes: the server sends the browser here with a one-time handle. This program reads over mutual TLS what the handle was
// given for, has the customer sign in and decide, answers once, and sends the browser to the address in the answer to the answer,
// which works only in the browser that began. Nothing that comes from the browser decides anything but the handle: the server
// checks each answer against the request, and the digest in it against what was shown.
package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
)

const (
	bank            = "Northfold Bank"
	sessionLifetime = 15 * time.Minute
	// maxTries is how many wrong passwords a user name takes in triesLifetime.
	maxTries, triesLifetime = 5, 15 * time.Minute
	// cookieName has the prefix that binds a cookie to this host and to TLS, so that no sibling host can set it.
	cookieName = "__Host-northfold"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "own-login:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, in io.Reader) error {
	adding := len(arguments) > 0 && arguments[0] == "add"
	if adding {
		arguments = arguments[1:]
	}
	flags := flag.NewFlagSet("own-login", flag.ContinueOnError)
	users := flags.String("users", "users.json", "`file` of the customers")
	issuer := flags.String("issuer", "https://localhost:8443", "`address` of the server, for browsers")
	api := flags.String("api", "https://localhost:8444", "`address` of the server's listener for certificates")
	ca := flags.String("ca", "local/tls/ca.crt", "`file` with the authority of the server's certificate")
	clientCertificate := flags.String("client-certificate", "login.crt", "`file` of the certificate that the server knows this login by")
	clientKey := flags.String("client-key", "login.key", "`file` of its key")
	clientID := flags.String("client-id", "", "registered `client` that this login is, in place of a certificate: login.client_id of the server")
	privateKey := flags.String("private-key", "login.pem", "`file` of its private key, PEM (P-256), with -client-id")
	listen := flags.String("listen", "localhost:8446", "host and port to `listen` on")
	certificate := flags.String("certificate", "local/tls/server.crt", "`file` of the certificate that browsers see")
	key := flags.String("key", "local/tls/server.key", "`file` of its key")
	acr := flags.String("acr", "urn:northfold:password", "authentication context `class` that a sign-in here reaches")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if adding {
		return addCustomer(*users, flags.Args(), in)
	}
	through, err := dial(*ca, *clientCertificate, *clientKey, *clientID == "")
	if err != nil {
		return err
	}
	l := &login{
		server: strings.TrimSuffix(*issuer, "/"), api: strings.TrimSuffix(*api, "/"), through: through.Do, acr: *acr, now: time.Now,
		secret: make([]byte, 32), tries: map[string]tried{}, answered: map[string]answered{}, hashing: make(chan struct{}, runtime.NumCPU()),
	}
	if *clientID != "" {
		key, err := readKey(*privateKey)
		if err != nil {
			return err
		}
		l.api = l.server // tokens bound by DPoP need no certificate
		l.through = (&tokens{through: through, server: l.server, id: *clientID, key: key, now: time.Now}).do
	}
	// Replace: with several nodes, a secret that all of them read. It signs cookies; who has it can sign in as anybody.
	rand.Read(l.secret)
	if l.customers, err = readCustomers(*users); err != nil {
		return err
	}
	server := &http.Server{
		Addr: *listen, Handler: l.handler(), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 32 << 10,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	ended := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(last) // the process ends in any case
	})
	defer ended()
	slog.Info("own login ready", "address", "https://"+*listen)
	if err := server.ListenAndServeTLS(*certificate, *key); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// The customers ----------------------------------------------------------------------------------------------------------

// customer is somebody who can sign in. Replace: the bank's own directory.
type customer struct {
	Username string `json:"username"`
	// Subject is how the server and its clients know the customer. It is never given to another, and says nothing.
	Subject string `json:"subject"`
	// Password is pbkdf2-sha256$iterations$salt$hash.
	Password string `json:"password"`
	// Claims are what may be said about the customer (OpenID Connect Core §5.1).
	Claims map[string]any `json:"claims,omitempty"`
}

func readCustomers(file string) ([]customer, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []customer
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return list, nil
}

// addCustomer writes a customer with the password that it reads into the file.
func addCustomer(file string, names []string, in io.Reader) error {
	if len(names) != 2 {
		return errors.New("say which: add -users users.json USERNAME SUBJECT < password")
	}
	password, err := io.ReadAll(io.LimitReader(in, 1<<10))
	if err != nil {
		return err
	}
	list, err := readCustomers(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if slices.ContainsFunc(list, func(c customer) bool { return c.Username == names[0] || c.Subject == names[1] }) {
		return fmt.Errorf("%s or %s is in %s already", names[0], names[1], file)
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	hashed, err := hash(strings.TrimRight(string(password), "\r\n"), salt, 600_000)
	if err != nil {
		return err
	}
	list = append(list, customer{Username: names[0], Subject: names[1], Password: hashed})
	content, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(content, '\n'), 0o600)
}

func hash(password string, salt []byte, iterations int) (string, error) {
	key, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	return fmt.Sprintf("pbkdf2-sha256$%d$%s$%s", iterations, encode(salt), encode(key)), err
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// errTries is of a user name that has to wait.
var errTries = errors.New("too many tries")

// tried counts the wrong passwords of a user name.
type tried struct {
	count int
	until time.Time
}

// authenticate returns who signs in, or nil. Replace: the bank's own proof, with a second factor. Who is not known takes as long
// as who is; wrong passwords are counted by user name before they are looked at, so that many at once are no way around.
func (l *login) authenticate(username, password string) (*customer, error) {
	if len(username) > 255 {
		return nil, nil
	}
	l.mu.Lock()
	now := l.now()
	maps.DeleteFunc(l.tries, func(_ string, t tried) bool { return now.After(t.until) })
	t, known := l.tries[username]
	if !known {
		t.until = now.Add(triesLifetime)
	}
	if t.count >= maxTries {
		l.mu.Unlock()
		return nil, errTries
	}
	t.count++
	l.tries[username] = t
	l.mu.Unlock()

	of := customer{Password: "pbkdf2-sha256$600000$AAAAAAAAAAAAAAAAAAAAAA$"}
	at := slices.IndexFunc(l.customers, func(c customer) bool { return c.Username == username })
	if at >= 0 {
		of = l.customers[at]
	}
	l.hashing <- struct{}{} // not more at once than there are processors for
	defer func() { <-l.hashing }()
	parts := strings.Split(of.Password, "$")
	if len(parts) != 4 || parts[0] != "pbkdf2-sha256" {
		return nil, fmt.Errorf("the password of %s is of no known kind", username)
	}
	iterations, err := strconv.Atoi(parts[1])
	if err != nil {
		return nil, err
	}
	salt, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	given, err := hash(password, salt, iterations)
	if err != nil || at < 0 || !hmac.Equal([]byte(given), []byte(of.Password)) {
		return nil, err
	}
	l.mu.Lock()
	delete(l.tries, username)
	l.mu.Unlock()
	return &of, nil
}

// The hand-off API -------------------------------------------------------------------------------------------------------

// asked is what the server asks for, as the API tells it: docs/api/login-v1.yaml. What is not here is not needed here.
type asked struct {
	Ask       []string `json:"ask"` // login, consent, or both
	Language  string   `json:"language"`
	ExpiresIn int64    `json:"expires_in"`
	Digest    string   `json:"request_digest"`
	Subject   string   `json:"subject"`          // who is signed in at the server already
	Required  string   `json:"required_subject"` // who has to sign in; empty for anybody
	Client    struct {
		ID          string `json:"client_id"`
		Name        string `json:"client_name"`
		RedirectURI string `json:"redirect_uri"`
	} `json:"client"`
	Scopes []struct {
		Name        string `json:"scope"`
		Description string `json:"description"`
	} `json:"scopes"`
	Details       []detail `json:"authorization_details"`
	Claims        []string `json:"claims"`
	EssentialACRs []string `json:"essential_acr_values"`
	MaxAge        *int64   `json:"max_age"`
	Prompt        []string `json:"prompt"`
	LoginHint     string   `json:"login_hint"`
	Once          bool     `json:"once"`           // it allows one thing at once, and nothing that lasts
	GrantLifetime int64    `json:"grant_lifetime"` // in seconds; 0 where GrantUntil alone says when it ends
	GrantUntil    int64    `json:"grant_until"`    // in seconds since 1970; 0 where GrantLifetime alone says it
}

// ends is when what is allowed now ends: the earlier of what the server says.
func (a asked) ends(now time.Time) time.Time {
	until := time.Unix(a.GrantUntil, 0)
	if lasts := now.Add(time.Duration(a.GrantLifetime) * time.Second); a.GrantUntil == 0 || a.GrantLifetime > 0 && lasts.Before(until) {
		return lasts
	}
	return until
}

// detail is one of the authorization_details (RFC 9396): the question, every value in words, and the object itself.
type detail struct {
	Kind  string          `json:"kind"`  // payment, recurring, access or other
	Title string          `json:"title"` // the whole question
	Allow string          `json:"allow"` // the labels of the answers
	Deny  string          `json:"deny"`
	Lines []line          `json:"lines"`
	Value json.RawMessage `json:"value"`
}

type line struct {
	Group string `json:"group"` // the heading that it is below
	Label string `json:"label"`
	Value string `json:"value"`
	Hint  string `json:"hint"`
	// Items are the entries of a list. With Choose, "one" or "some", only what the customer chooses of them is allowed, of the list
	// at the JSON Pointer At.
	Items []struct {
		Label  string `json:"label"`
		Detail string `json:"detail"`
	} `json:"items"`
	Choose string `json:"choose"`
	At     string `json:"at"`
}

func (a asked) wants(what string) bool { return slices.Contains(a.Ask, what) }

// answer is what this login says about it. Either Error is set, or the rest.
type answer struct {
	Digest   string         `json:"request_digest"`
	Error    string         `json:"error,omitempty"`
	Subject  string         `json:"subject,omitempty"`
	Username string         `json:"username,omitempty"`
	ACR      string         `json:"acr,omitempty"`
	AMR      []string       `json:"amr,omitempty"`
	AuthTime int64          `json:"auth_time,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"`
	Allowed  *allowed       `json:"allowed,omitempty"`
}

// allowed is all of what was asked for, or a part of it.
type allowed struct {
	Scopes  []string          `json:"scopes"`
	Claims  []string          `json:"claims"`
	Details []json.RawMessage `json:"authorization_details"`
}

// apiError is an answer of the API that is no success.
type apiError struct {
	Status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Description) }

// dial makes an HTTP client that trusts the server's authority alone and, unless it has tokens, shows this login's certificate.
func dial(ca, certificate, key string, shows bool) (*http.Client, error) {
	authority, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if shows {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}, nil
}

// tokens calls the API with access tokens of the scope login, in place of a certificate: the login is a client that authenticates by
// private_key_jwt (RFC 7523 §2.2), and its tokens are bound to its key by DPoP (RFC 9449).
type tokens struct {
	through    *http.Client
	server, id string
	key        *ecdsa.PrivateKey
	now        func() time.Time

	mu    sync.Mutex
	token string
	until time.Time
	// nonce is what the server wants in the next proof (RFC 9449 §8, §9), or empty.
	nonce string
}

// readKey reads a private key of the curve P-256.
func readKey(file string) (*ecdsa.PrivateKey, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", file)
	}
	read, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := read.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s holds no key of the curve P-256", file)
	}
	return key, nil
}

// sign makes a JWT, signed by ES256 (RFC 7518 §3.4).
func (t *tokens) sign(header, claims map[string]any) (string, error) {
	header["alg"] = "ES256"
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := encode(head) + "." + encode(body)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, t.key, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + encode(signature), nil
}

// proof is a DPoP proof for a request, of the token if there is one (RFC 9449 §4.2).
func (t *tokens) proof(method, address, token string) (string, error) {
	point, err := t.key.PublicKey.Bytes() // 4, x and y
	if err != nil {
		return "", err
	}
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": t.now().Unix()}
	if token != "" {
		digest := sha256.Sum256([]byte(token))
		claims["ath"] = encode(digest[:])
	}
	if t.nonce != "" {
		claims["nonce"] = t.nonce
	}
	return t.sign(map[string]any{
		"typ": "dpop+jwt", "jwk": map[string]string{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])},
	}, claims)
}

// send sends a request with a fresh proof, and once more if the server wants another nonce in it.
func (t *tokens) send(request *http.Request, token string) (*http.Response, error) {
	for again := false; ; again = true {
		proof, err := t.proof(request.Method, request.URL.Scheme+"://"+request.URL.Host+request.URL.EscapedPath(), token)
		if err != nil {
			return nil, err
		}
		request.Header.Set("DPoP", proof)
		if request.Body, err = request.GetBody(); err != nil {
			return nil, err
		}
		response, err := t.through.Do(request)
		if err != nil {
			return nil, err
		}
		nonce := response.Header.Get("DPoP-Nonce")
		wanted := nonce != "" && nonce != t.nonce && (response.StatusCode == http.StatusBadRequest || response.StatusCode == http.StatusUnauthorized)
		if nonce != "" {
			t.nonce = nonce
		}
		if !wanted || again {
			return response, nil
		}
		response.Body.Close()
	}
}

// get gets an access token (RFC 6749 §4.4), a minute before the last one ends.
func (t *tokens) get(ctx context.Context) error {
	now := t.now()
	if now.Before(t.until) {
		return nil
	}
	assertion, err := t.sign(map[string]any{"typ": "JWT"}, map[string]any{
		"iss": t.id, "sub": t.id, "aud": t.server, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
	if err != nil {
		return err
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {"login"}, "client_id": {t.id}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.server+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := t.send(request, "")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var issued struct {
		Token     string `json:"access_token"`
		ExpiresIn int64  `json:"expires_in"`
		apiError
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&issued); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("no access token: %d %s: %s", response.StatusCode, issued.Code, issued.Description)
	}
	t.token, t.until = issued.Token, now.Add(time.Duration(issued.ExpiresIn)*time.Second-time.Minute)
	return nil
}

// do sends a request with an access token.
func (t *tokens) do(request *http.Request) (*http.Response, error) {
	t.mu.Lock() // one call at a time, for the nonce; a bank has more clients than one, or a nonce for each
	defer t.mu.Unlock()
	if err := t.get(request.Context()); err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "DPoP "+t.token)
	response, err := t.send(request, t.token)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		t.until = time.Time{} // it was revoked: the next call gets another
	}
	return response, err
}

// call reads what a handle was given for or, with a body, answers.
func (l *login) call(ctx context.Context, language, handle string, body, into any) error {
	method, content := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
		method = http.MethodPost
	}
	address := l.api + "/login/v1/interactions/" + url.PathEscape(handle)
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept-Language", language) // the question and the values come in it, unless the application wants another
	response, err := l.through(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		refused := &apiError{}
		_ = json.Unmarshal(content, refused) // the status says enough
		refused.Status = response.StatusCode
		return refused
	}
	return json.Unmarshal(content, into)
}

// The sessions -----------------------------------------------------------------------------------------------------------

// session is what the cookie holds, signed: nobody else can make one, and there is nothing in it that the customer may not see.
type session struct {
	// ID is another one after each sign-in, so that nobody can have fixed it before.
	ID string `json:"id"`
	// Subject is who signed in, at At, and In names the interaction that it was for; empty before.
	Subject string `json:"sub,omitempty"`
	At      int64  `json:"at,omitempty"`
	In      string `json:"in,omitempty"`
	Ends    int64  `json:"exp"`
}

// mac signs a text for one purpose.
func (l *login) mac(purpose, text string) string {
	h := hmac.New(sha256.New, l.secret)
	h.Write([]byte(purpose + "\x00" + text))
	return encode(h.Sum(nil))
}

// session reads the session of a browser, or begins one.
func (l *login) session(w http.ResponseWriter, r *http.Request) session {
	var s session
	if cookie, err := r.Cookie(cookieName); err == nil {
		text, signature, _ := strings.Cut(cookie.Value, ".")
		content, err := base64.RawURLEncoding.DecodeString(text)
		if err == nil && hmac.Equal([]byte(signature), []byte(l.mac("session", text))) && json.Unmarshal(content, &s) == nil && l.now().Unix() < s.Ends {
			return s
		}
	}
	return l.begin(w, session{})
}

// begin starts a session and sets its cookie.
func (l *login) begin(w http.ResponseWriter, s session) session {
	s.ID, s.Ends = rand.Text(), l.now().Add(sessionLifetime).Unix()
	content, _ := json.Marshal(s) // strings and numbers
	text := encode(content)
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: text + "." + l.mac("session", text), Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // the server's redirect comes from another site
	})
	return s
}

// The languages ----------------------------------------------------------------------------------------------------------

// languages are those of these pages; the first is for whoever wants none of them. What is asked for comes from the server in the same.
var languages = []string{"en", "pt-BR", "ar"}

// languageOf returns which of the languages a list such as Accept-Language names first, or the first.
func languageOf(list string) string {
	for each := range strings.SplitSeq(list, ",") {
		wanted, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(each)), ";")
		base, _, _ := strings.Cut(wanted, "-")
		for _, known := range languages {
			if own, _, _ := strings.Cut(known, "-"); own == base {
				return known
			}
		}
	}
	return languages[0]
}

// say puts a text of these pages into a language; %s is a value.
func say(language, text string, values ...any) string {
	if at := slices.Index(languages, language); at > 0 {
		if other, known := translations[text]; known {
			text = other[at-1]
		}
	}
	return fmt.Sprintf(text, values...)
}

// translations are the texts in the other languages. A native speaker has to read them before customers do.
var translations = map[string][2]string{
	"Skip to main content": {"Ir para o conteúdo principal", "انتقل إلى المحتوى الرئيسي"},
	"You are at %s. We never ask for your password by telephone, e-mail or message.": {"Você está em %s. Nunca pedimos a sua senha por telefone, e-mail ou mensagem.", "أنت في %s. لا نطلب كلمة مرورك أبدًا بالهاتف أو البريد أو الرسائل."},
	"There is a problem": {"Há um problema", "هناك مشكلة"},
	"Problem: %s":        {"Problema: %s", "مشكلة: %s"},
	"Signed in as %s":    {"Você entrou como %s", "سجّلت الدخول باسم %s"},
	"Not you?":           {"Não é você?", "لست أنت؟"},
	"Step %s of 2":       {"Etapa %s de 2", "الخطوة %s من 2"},
	"%s asks for something that you decide on the next page. Signing in shares nothing.": {"%s pede algo que você decide na próxima página. Entrar não compartilha nada.", "يطلب %s شيئًا تقرره في الصفحة التالية. تسجيل الدخول لا يشارك شيئًا."},
	"User name": {"Nome de usuário", "اسم المستخدم"},
	"Password":  {"Senha", "كلمة المرور"},
	"Sign in":   {"Entrar", "تسجيل الدخول"},
	"Cancel":    {"Cancelar", "إلغاء"},
	"Cancel shares nothing and takes you back to %s.": {"Cancelar não compartilha nada e leva você de volta a %s.", "الإلغاء لا يشارك شيئًا ويعيدك إلى %s."},
	"Sign in to %s": {"Entrar em %s", "تسجيل الدخول إلى %s"},
	"Go on as %s?":  {"Continuar como %s?", "هل تتابع باسم %s؟"},
	"You are signed in. What %s asks for, you decide on the next page.": {"Você já entrou. O que %s pede, você decide na próxima página.", "سجّلت الدخول. ما يطلبه %s تقرره في الصفحة التالية."},
	"Go on":               {"Continuar", "متابعة"},
	"%s asks":             {"%s pede", "%s يطلب"},
	"It can":              {"Ele poderá", "يمكنه"},
	"It learns about you": {"O que ele saberá sobre você", "ما يعرفه عنك"},
	"How long":            {"Por quanto tempo", "إلى متى"},
	"Until %s":            {"Até %s", "حتى %s"},
	"What happens next":   {"O que acontece depois", "ماذا يحدث بعد ذلك"},
	"Whatever you decide, you go back to %s.":              {"Decida o que decidir, você volta para %s.", "مهما قررت، تعود إلى %s."},
	"Allow what %s asks for?":                              {"Permitir o que %s pede?", "هل تسمح بما يطلبه %s؟"},
	"Allow":                                                {"Permitir", "السماح"},
	"Do not allow":                                         {"Não permitir", "عدم السماح"},
	"There is nothing to do here":                          {"Não há nada a fazer aqui", "لا شيء هنا"},
	"Start in the application that you want to use.":       {"Comece no aplicativo que você quer usar.", "ابدأ من التطبيق الذي تريد استخدامه."},
	"What is asked for has changed. Please read it again.": {"O que é pedido mudou. Leia de novo, por favor.", "تغيّر ما هو مطلوب. اقرأه من جديد."},
	"Nothing is chosen yet. Choose what to allow, or do not allow it.":                            {"Nada foi escolhido ainda. Escolha o que permitir, ou não permita.", "لم تختر شيئًا بعد. اختر ما تسمح به، أو لا تسمح."},
	"Too many wrong passwords. Wait 15 minutes, then try again.":                                  {"Senhas erradas demais. Espere 15 minutos e tente de novo.", "كلمات مرور خاطئة كثيرة. انتظر 15 دقيقة ثم حاول من جديد."},
	"User name and password do not belong together.":                                              {"O nome de usuário e a senha não combinam.", "اسم المستخدم وكلمة المرور لا يتطابقان."},
	"The application asks for somebody else. Sign in as the customer that it knows, or cancel.":   {"O aplicativo pede outra pessoa. Entre como o cliente que ele conhece, ou cancele.", "يطلب التطبيق شخصًا آخر. سجّل الدخول باسم العميل الذي يعرفه، أو ألغِ."},
	"You have already decided":                                                                    {"Você já decidiu", "سبق أن قررت"},
	"What you decided counts, once. You can go back to the application.":                          {"O que você decidiu vale, uma vez. Você pode voltar ao aplicativo.", "قرارك محسوب، مرة واحدة. يمكنك العودة إلى التطبيق."},
	"This page has expired":                                                                       {"Esta página expirou", "انتهت صلاحية هذه الصفحة"},
	"Nothing was shared and nothing was paid. Start again in the application that you came from.": {"Nada foi compartilhado e nada foi pago. Comece de novo no aplicativo de onde você veio.", "لم يُشارَك شيء ولم يُدفع شيء. ابدأ من جديد في التطبيق الذي جئت منه."},
	"This does not work at the moment":                                                            {"Isto não funciona no momento", "هذا لا يعمل الآن"},
	"Nothing was shared and nothing was paid. Please try again in a few minutes.":                 {"Nada foi compartilhado e nada foi pago. Tente de novo em alguns minutos.", "لم يُشارَك شيء ولم يُدفع شيء. حاول من جديد بعد دقائق."},
}

// The pages --------------------------------------------------------------------------------------------------------------

// login answers browsers.
type login struct {
	server, api, acr string
	through          func(*http.Request) (*http.Response, error)
	customers        []customer
	secret           []byte
	hashing          chan struct{}
	now              func() time.Time

	mu    sync.Mutex
	tries map[string]tried
	// answered remembers for a minute where a browser was sent, for the second press of a button.
	answered map[string]answered
}

type answered struct {
	by, to string
	until  time.Time
}

// handler has two addresses: the page, and nothing else. Forms of other sites are refused before anything is looked at.
func (l *login) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { l.visit(w, r, l.show) })
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) { l.visit(w, r, l.submit) })
	return http.NewCrossOriginProtection().Handler(mux)
}

// visit is one request of a browser about one interaction.
type visit struct {
	l       *login
	w       http.ResponseWriter
	r       *http.Request
	handle  string
	session session
	asked   asked
	// language is that of the page: the browser's, or what the application wants.
	language string
}

func (v *visit) say(text string, values ...any) string { return say(v.language, text, values...) }

// visit reads what is asked for, each time again, and hands it on.
func (l *login) visit(w http.ResponseWriter, r *http.Request, next func(*visit)) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	v := &visit{l: l, w: w, r: r, handle: r.URL.Query().Get("handle"), session: l.session(w, r), language: languageOf(r.Header.Get("Accept-Language"))}
	if v.handle == "" {
		v.message(http.StatusBadRequest, v.say("There is nothing to do here"), v.say("Start in the application that you want to use."))
		return
	}
	if err := l.call(r.Context(), v.language, v.handle, nil, &v.asked); err != nil {
		v.fail(err)
		return
	}
	v.language = languageOf(v.asked.Language)
	next(v)
}

// interaction names the interaction where the handle itself should not be.
func (v *visit) interaction() string { return v.l.mac("interaction", v.handle) }

// signedIn returns who is signed in, if the sign-in is good enough for what is asked.
func (v *visit) signedIn() *customer {
	subject := v.session.Subject
	if v.asked.wants("login") {
		again := slices.Contains(v.asked.Prompt, "login") || slices.Contains(v.asked.Prompt, "select_account")
		old := v.asked.MaxAge != nil && v.l.now().Unix()-v.session.At > *v.asked.MaxAge
		other := v.asked.Required != "" && v.asked.Required != subject
		if subject == "" || other || v.session.In != v.interaction() && (again || old) {
			return nil
		}
	} else {
		subject = v.asked.Subject // the server has signed the customer in
	}
	at := slices.IndexFunc(v.l.customers, func(c customer) bool { return c.Subject == subject })
	switch {
	case at >= 0:
		return &v.l.customers[at]
	case v.asked.wants("login"):
		return nil // no customer any more
	}
	return &customer{Username: subject, Subject: subject}
}

// show shows the page that is due.
func (l *login) show(v *visit) {
	if essential := v.asked.EssentialACRs; v.asked.wants("login") && len(essential) > 0 && !slices.Contains(essential, l.acr) {
		v.answer(answer{Error: "unmet_authentication_requirements"})
		return
	}
	v.page(http.StatusOK, problem{})
}

// submit does what a button says.
func (l *login) submit(v *visit) {
	form := v.r.PostFormValue
	if !hmac.Equal([]byte(form("form_token")), []byte(v.token())) { // nothing is done; the page that is due is shown
		v.again()
		return
	}
	who := v.signedIn()
	switch action := form("action"); {
	case action == "cancel" || action == "deny":
		v.answer(answer{Error: "access_denied"})
	case action == "switch":
		l.begin(v.w, session{})
		v.again()
	case action == "sign-in" && v.asked.wants("login"):
		v.signIn(form("username"), form("password"))
	case who == nil: // the sign-in has ended meanwhile
		v.again()
	case form("shown") != v.asked.Digest:
		v.page(http.StatusConflict, problem{Text: v.say("What is asked for has changed. Please read it again.")})
	case action == "go-on" && !v.asked.wants("consent"), action == "allow" && v.asked.wants("consent"):
		v.decide(who)
	default:
		v.again()
	}
}

// decide answers for a customer who goes on, or allows.
func (v *visit) decide(who *customer) {
	made, err := v.about(who)
	switch {
	case errors.Is(err, errNotChosen):
		v.page(http.StatusOK, problem{Text: v.say("Nothing is chosen yet. Choose what to allow, or do not allow it.")})
	case err != nil:
		v.fail(err)
	default:
		v.answer(made)
	}
}

// signIn checks a password.
func (v *visit) signIn(username, password string) {
	who, err := v.l.authenticate(strings.TrimSpace(username), password)
	switch {
	case errors.Is(err, errTries):
		v.page(http.StatusTooManyRequests, problem{Username: username, Text: v.say("Too many wrong passwords. Wait 15 minutes, then try again.")})
	case err != nil:
		v.fail(err)
	case who == nil:
		v.page(http.StatusOK, problem{Username: username, Text: v.say("User name and password do not belong together.")})
	case v.asked.Required != "" && v.asked.Required != who.Subject:
		v.page(http.StatusOK, problem{Username: username, Text: v.say("The application asks for somebody else. Sign in as the customer that it knows, or cancel.")})
	default:
		v.session = v.l.begin(v.w, session{Subject: who.Subject, At: v.l.now().Unix(), In: v.interaction()})
		if !v.asked.wants("consent") {
			v.decide(who)
			return
		}
		v.again()
	}
}

// about is the answer of a customer who signed in, or allowed what is asked for, or both. A bank may let scopes and claims be
// chosen, too.
func (v *visit) about(who *customer) (answer, error) {
	made := answer{Subject: who.Subject}
	if v.asked.wants("login") {
		made.Username, made.ACR, made.AMR, made.AuthTime = who.Username, v.l.acr, []string{"pwd"}, v.session.At
		made.Claims = who.Claims
	}
	if v.asked.wants("consent") {
		details, err := v.chosen()
		if err != nil {
			return answer{}, err
		}
		made.Allowed = &allowed{Scopes: []string{}, Claims: v.asked.Claims, Details: details}
		for _, each := range v.asked.Scopes {
			made.Allowed.Scopes = append(made.Allowed.Scopes, each.Name)
		}
	}
	return made, nil
}

// answer answers the server, once, and sends the browser back.
func (v *visit) answer(made answer) {
	made.Digest = v.asked.Digest // of the request that was read for this page; submit compared it with what was shown
	var back struct {
		To        string `json:"return_to"`
		ExpiresIn int64  `json:"expires_in"`
	}
	if err := v.l.call(v.r.Context(), v.language, v.handle, made, &back); err != nil {
		v.fail(err)
		return
	}
	if !strings.HasPrefix(back.To, v.l.server+"/") {
		v.fail(fmt.Errorf("the browser was to be sent to another place than %s", v.l.server))
		return
	}
	v.l.mu.Lock()
	now := v.l.now()
	maps.DeleteFunc(v.l.answered, func(_ string, a answered) bool { return now.After(a.until) })
	v.l.answered[v.interaction()] = answered{v.session.ID, back.To, now.Add(time.Duration(back.ExpiresIn) * time.Second)}
	v.l.mu.Unlock()
	slog.Info("answered", "interaction", v.interaction()[:12], "client_id", v.asked.Client.ID, "subject", made.Subject, "error", made.Error)
	v.redirect(back.To)
}

func (v *visit) again() { v.redirect("?" + url.Values{"handle": {v.handle}}.Encode()) }

func (v *visit) redirect(to string) {
	v.headers()
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther) // never a status that sends the form on
}

// fail says what went wrong, as far as it is for the customer to know. Who pressed a button twice is sent where the first press led.
func (v *visit) fail(err error) {
	refused, _ := errors.AsType[*apiError](err)
	v.l.mu.Lock()
	before, known := v.l.answered[v.interaction()]
	v.l.mu.Unlock()
	switch {
	case refused != nil && refused.Status == http.StatusConflict && known && before.by == v.session.ID:
		v.redirect(before.to)
	case refused != nil && refused.Status == http.StatusConflict:
		v.message(http.StatusConflict, v.say("You have already decided"), v.say("What you decided counts, once. You can go back to the application."))
	case refused != nil && (refused.Status == http.StatusNotFound || refused.Status == http.StatusGone):
		v.message(http.StatusGone, v.say("This page has expired"), v.say("Nothing was shared and nothing was paid. Start again in the application that you came from."))
	default:
		slog.Error("the server did not answer as expected", "error", err.Error())
		v.message(http.StatusBadGateway, v.say("This does not work at the moment"), v.say("Nothing was shared and nothing was paid. Please try again in a few minutes."))
	}
}

// token keeps other sites from sending the form: it is of this browser's session and this interaction.
func (v *visit) token() string { return v.l.mac("form", v.session.ID+"\x00"+v.handle) }

// problem is why a page is shown again.
type problem struct{ Username, Text string }

// page is what a template gets.
type page struct {
	Bank, Title, Heading, Text, Token, Host, Here, Username, Until string
	Style                                                          template.CSS
	Problem                                                        problem
	Asked                                                          asked
	Who                                                            *customer
	Sections                                                       []section
	Sum                                                            *sum
	Allow, Deny                                                    string
	Switch                                                         bool // who signed in here may be another
}

// page shows the sign-in or what is asked for.
func (v *visit) page(status int, why problem) {
	who := v.signedIn()
	name := v.asked.Client.Name
	if name == "" {
		name = v.asked.Client.ID
	}
	p := page{Asked: v.asked, Problem: why, Who: who, Switch: v.asked.wants("login"), Token: v.token(), Username: why.Username}
	p.Asked.Client.Name = name
	p.Until = v.asked.ends(v.l.now()).Format(map[bool]string{true: "2 January 2006", false: "02/01/2006"}[v.language == "en"])
	if back, err := url.Parse(v.asked.Client.RedirectURI); err == nil {
		p.Host = back.Host
	}
	if p.Username == "" {
		p.Username = v.asked.LoginHint
	}
	body := "sign-in"
	switch {
	case who == nil:
		p.Heading = v.say("Sign in to %s", bank)
	case !v.asked.wants("consent"):
		body, p.Heading = "go-on", v.say("Go on as %s?", who.Username)
	default:
		body, p.Heading, p.Allow, p.Deny = "consent", v.say("Allow what %s asks for?", name), v.say("Allow"), v.say("Do not allow")
		p.Sections = sections(v.asked.Details)
		if len(v.asked.Details) == 1 { // the question is the heading, and its answers are the buttons
			only := v.asked.Details[0]
			p.Heading, p.Allow, p.Deny, p.Sum = only.Title, only.Allow, only.Deny, sumOf(only)
		}
	}
	v.write(status, body, p)
}

// message shows a page without a form.
func (v *visit) message(status int, heading, text string) {
	v.write(status, "message", page{Heading: heading, Text: text})
}

func (v *visit) write(status int, body string, p page) {
	p.Bank, p.Style, p.Here, p.Title = bank, style, v.r.Host, p.Heading
	if p.Problem.Text != "" {
		p.Title = v.say("Problem: %s", p.Title)
	}
	var made bytes.Buffer
	if err := pages[v.language].ExecuteTemplate(&made, body, p); err != nil {
		slog.Error("the page could not be made", "error", err.Error())
		v.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	v.headers()
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = made.WriteTo(v.w) // the browser may have gone
}

// headers keep the page from being framed, kept, or given a script. Browsers apply form-action to the redirects after a form,
// too, and where the application sends its own customers is not known here.
func (v *visit) headers() {
	digest := sha256.Sum256([]byte(style))
	forms := "'self' https:"
	if back, err := url.Parse(v.asked.Client.RedirectURI); err == nil && back.Scheme == "http" { // an application on this machine
		forms += " http://" + back.Host
	}
	for name, value := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
			"'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action " + forms,
		"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		"Strict-Transport-Security": "max-age=63072000", "Cross-Origin-Opener-Policy": "same-origin",
	} {
		v.w.Header().Set(name, value)
	}
}

// section is a part of what is asked for: one that the server has grouped or, where it is about several things, one of them.
type section struct {
	Heading string
	Lines   []shown
}

// shown is a line, and the name of its inputs where the customer chooses.
type shown struct {
	line
	Input string
}

// sections are every line of every detail, in order: nothing is hidden.
func sections(details []detail) (all []section) {
	for object, each := range details {
		for at, l := range each.Lines {
			heading := l.Group
			if heading == "" || len(details) > 1 {
				heading = each.Title
			}
			if at == 0 || all[len(all)-1].Heading != heading {
				all = append(all, section{Heading: heading})
			}
			last := &all[len(all)-1]
			last.Lines = append(last.Lines, shown{l, l.input(object)})
		}
	}
	return all
}

// input names the inputs of a list to choose from.
func (l line) input(object int) string { return fmt.Sprintf("choose.%d.%s", object, l.At) }

// errNotChosen is of a list of which nothing was chosen, or more than one thing where that is too much.
var errNotChosen = errors.New("nothing is chosen")

// chosen are the details as they are allowed: as they were asked or, where there is something to choose, with that alone.
func (v *visit) chosen() ([]json.RawMessage, error) {
	details := []json.RawMessage{}
	for object, each := range v.asked.Details {
		value := each.Value
		for _, l := range each.Lines {
			if l.Choose == "" {
				continue
			}
			var keep []int
			for _, text := range v.r.PostForm[l.input(object)] {
				index, err := strconv.Atoi(text)
				if err != nil {
					return nil, errNotChosen
				}
				keep = append(keep, index)
			}
			if len(keep) == 0 || l.Choose == "one" && len(keep) > 1 {
				return nil, errNotChosen
			}
			var whole any
			reader := json.NewDecoder(bytes.NewReader(value))
			reader.UseNumber() // an amount stays as it is written
			if err := reader.Decode(&whole); err != nil {
				return nil, err
			}
			part, err := pick(whole, strings.Split(l.At, "/")[1:], keep)
			if err != nil {
				return nil, err
			}
			if value, err = json.Marshal(part); err != nil {
				return nil, err
			}
		}
		details = append(details, value)
	}
	return details, nil
}

// pick keeps some entries of the list at a JSON Pointer (RFC 6901).
func pick(value any, at []string, keep []int) (any, error) {
	list, isList := value.([]any)
	if isList && len(at) == 0 {
		var kept []any
		for _, index := range keep {
			if index < 0 || index >= len(list) {
				return nil, errNotChosen
			}
			kept = append(kept, list[index])
		}
		return kept, nil
	}
	if len(at) == 0 {
		return nil, errNotChosen
	}
	var err error
	if object, ok := value.(map[string]any); ok {
		name := strings.NewReplacer("~1", "/", "~0", "~").Replace(at[0])
		object[name], err = pick(object[name], at[1:], keep)
		return object, err
	}
	index, err := strconv.Atoi(at[0])
	if err != nil || index < 0 || index >= len(list) {
		return nil, errNotChosen
	}
	list[index], err = pick(list[index], at[1:], keep)
	return list, err
}

// sum is a payment as the heading has it: amount and payee are the largest things on the page.
type sum struct{ Amount, Payee string }

// sumOf takes the heading of a payment apart, if it is worded as this page would word it. The amount is the server's: never
// rounded, with the sign of its currency.
func sumOf(d detail) *sum {
	amount, isPayment := strings.CutPrefix(d.Allow, "Pay ")
	payee, isSum := strings.CutPrefix(d.Title, "Pay "+amount+" to ")
	payee, isQuestion := strings.CutSuffix(payee, "?")
	if d.Kind != "payment" || !isPayment || !isSum || !isQuestion {
		return nil
	}
	return &sum{amount, payee}
}

// plain makes characters visible that would reorder or hide the text around them.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.C) {
			return '\ufffd'
		}
		return r
	}, text)
}

// initial is the letter of an application's tile.
func initial(name string) string {
	for _, letter := range plain(name) {
		return strings.ToUpper(string(letter))
	}
	return ""
}

// pages are the templates in each language. t is a text; its values are set apart from it, and escaped.
var pages = func() map[string]*template.Template {
	all := map[string]*template.Template{}
	for _, language := range languages {
		direction := "ltr"
		if language == "ar" {
			direction = "rtl"
		}
		all[language] = template.Must(template.New("").Funcs(template.FuncMap{
			"plain": plain, "initial": initial,
			"lang": func() string { return language }, "dir": func() string { return direction },
			"t": func(text string, values ...string) template.HTML {
				var apart []any
				for _, value := range values {
					apart = append(apart, "<bdi>"+template.HTMLEscapeString(plain(value))+"</bdi>")
				}
				return template.HTML(say(language, text, apart...))
			},
		}).Parse(source))
	}
	return all
}()

const source = `
{{define "top"}}<!DOCTYPE html>
<html lang="{{lang}}" dir="{{dir}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex, nofollow">
<title>{{plain .Title}} – {{.Bank}}</title>
<link rel="icon" href="data:,">
<style>{{.Style}}</style>
</head>
<body>
<a class="skip" href="#main">{{t "Skip to main content"}}</a>
<header class="top"><div class="top-in"><p class="brand"><svg viewBox="0 0 40 40" width="36" height="36" aria-hidden="true" focusable="false"><rect width="40" height="40" rx="9" fill="#12594a"/><path fill="#fff" d="M11 29V11h4.4l9.2 12.2V11H29v18h-4.4L15.4 16.8V29z"/><path fill="#9fdcca" d="M15.4 11 29 29h-4.4L15.4 16.8z"/></svg><span>{{.Bank}}</span></p></div></header>
<main id="main">{{end}}

{{define "end"}}
</main>
<footer class="foot"><div class="foot-in"><p>{{t "You are at %s. We never ask for your password by telephone, e-mail or message." .Here}}</p></div></footer>
</body>
</html>{{end}}

{{define "problem"}}{{with .Problem.Text}}
<div class="problem" role="alert"><h2>{{t "There is a problem"}}</h2><p>{{.}}</p></div>{{end}}{{end}}

{{define "hidden"}}
<input type="hidden" name="form_token" value="{{.Token}}">
<input type="hidden" name="shown" value="{{.Asked.Digest}}">{{end}}

{{define "who"}}
<form class="who" method="post"><input type="hidden" name="form_token" value="{{.Token}}"><span>{{t "Signed in as %s" .Who.Username}}</span>
{{- if .Switch}} <button class="as-link" id="switch" name="action" value="switch">{{t "Not you?"}}</button>{{end}}</form>{{end}}

{{define "message"}}{{template "top" .}}
<h1>{{.Heading}}</h1>
<p class="lead">{{.Text}}</p>{{template "end" .}}{{end}}

{{define "sign-in"}}{{template "top" .}}
<div class="where"><p>{{t "Step %s of 2" "1"}}</p></div>{{template "problem" .}}
<h1>{{.Heading}}</h1>
<p class="lead">{{t "%s asks for something that you decide on the next page. Signing in shares nothing." .Asked.Client.Name}}</p>
<form method="post">{{template "hidden" .}}
<div class="field"><label for="username">{{t "User name"}}</label><input id="username" name="username" type="text" value="{{.Username}}" autocomplete="username" autocapitalize="none" autocorrect="off" spellcheck="false" required{{if .Problem.Text}} aria-invalid="true"{{end}}></div>
<div class="field"><label for="password">{{t "Password"}}</label><input id="password" name="password" type="password" autocomplete="current-password" required{{if .Problem.Text}} aria-invalid="true"{{end}}></div>
<div class="actions two">
<button class="button primary" id="sign-in" name="action" value="sign-in">{{t "Sign in"}}</button>
<button class="button" id="cancel" name="action" value="cancel" formnovalidate>{{t "Cancel"}}</button>
</div>
<p class="after hint small">{{t "Cancel shares nothing and takes you back to %s." .Host}}</p>
</form>{{template "end" .}}{{end}}

{{define "go-on"}}{{template "top" .}}
<div class="where"><p>{{t "Step %s of 2" "1"}}</p>{{template "who" .}}</div>{{template "problem" .}}
<h1>{{t "Go on as %s?" .Who.Username}}</h1>
<p class="lead">{{t "You are signed in. What %s asks for, you decide on the next page." .Asked.Client.Name}}</p>
<form method="post">{{template "hidden" .}}
<div class="actions two">
<button class="button primary" id="go-on" name="action" value="go-on">{{t "Go on"}}</button>
<button class="button" id="cancel" name="action" value="cancel">{{t "Cancel"}}</button>
</div>
</form>{{template "end" .}}{{end}}

{{define "consent"}}{{template "top" .}}
<div class="where"><p>{{t "Step %s of 2" "2"}}</p>{{template "who" .}}</div>{{template "problem" .}}
{{with .Sum}}<h1 class="sum"><span class="sum-ask">Pay</span> <span class="sum-amount"><bdi>{{plain .Amount}}</bdi></span> <span class="sum-to">to <bdi>{{plain .Payee}}</bdi>?</span></h1>
{{- else}}<h1><bdi>{{plain .Heading}}</bdi></h1>{{end}}
<section class="asker" aria-labelledby="asker"><span class="tile" aria-hidden="true">{{initial .Asked.Client.Name}}</span>
<div><h2 id="asker">{{t "%s asks" .Asked.Client.Name}}</h2><p class="hint"><span class="host">{{.Host}}</span></p></div></section>
{{range $i, $section := .Sections}}<section aria-labelledby="section-{{$i}}"><h2 id="section-{{$i}}"><bdi>{{plain .Heading}}</bdi></h2>
{{range $j, $line := .Lines}}{{if .Choose}}<fieldset><legend>{{plain .Label}}</legend>{{range $index, $item := .Items}}
<label class="option"><input type="{{if eq $line.Choose "one"}}radio{{else}}checkbox{{end}}" form="decision" name="{{$line.Input}}" value="{{$index}}" id="choose-{{$i}}-{{$j}}-{{$index}}"> <span><bdi>{{plain .Label}}</bdi>{{with .Detail}} <span class="hint small">{{plain .}}</span>{{end}}</span></label>{{end}}
</fieldset>
{{else if and .Items (eq .Label $section.Heading)}}<ul class="list">{{range .Items}}
<li><bdi>{{plain .Label}}</bdi>{{with .Detail}} <span class="hint small">{{plain .}}</span>{{end}}</li>{{end}}
</ul>
{{else}}<dl class="facts"><div><dt>{{plain .Label}}</dt><dd><bdi>{{plain .Value}}</bdi>{{with .Hint}} <span class="hint">{{plain .}}</span>{{end}}</dd></div></dl>
{{end}}{{end}}</section>
{{end}}
{{- with .Asked.Scopes}}<section aria-labelledby="scopes"><h2 id="scopes">{{t "It can"}}</h2>
<ul class="list">{{range .}}
<li>{{if .Description}}{{plain .Description}}{{else}}{{plain .Name}}{{end}}</li>{{end}}
</ul></section>
{{end}}
{{- with .Asked.Claims}}<section aria-labelledby="claims"><h2 id="claims">{{t "It learns about you"}}</h2>
<ul class="list">{{range .}}
<li>{{plain .}}</li>{{end}}
</ul></section>
{{end}}
{{- if not .Asked.Once}}<section aria-labelledby="long"><h2 id="long">{{t "How long"}}</h2>
<p>{{t "Until %s" .Until}}</p></section>
{{end}}<section aria-labelledby="next"><h2 id="next">{{t "What happens next"}}</h2>
<p>{{t "Whatever you decide, you go back to %s." .Host}}</p></section>
<form method="post" id="decision">{{template "hidden" .}}
<div class="actions two">
<button class="button primary" id="allow" name="action" value="allow"><bdi>{{plain .Allow}}</bdi></button>
<button class="button" id="deny" name="action" value="deny"><bdi>{{plain .Deny}}</bdi></button>
</div>
</form>{{template "end" .}}{{end}}
`

// style is the one sheet, in the page itself, so that nothing is fetched.
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
html[lang=ar] body { line-height: 1.7; }
html[lang=ar] h1, html[lang=ar] .sum-amount { letter-spacing: 0; }
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
`
