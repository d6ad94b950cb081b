// Package floor is the least that a durable authorization server with its keys in an HSM can do for the same flows: a
// yardstick, and nothing to be used. It speaks TLS 1.3, verifies each client assertion and each DPoP proof with the
// standard library, accepts their jti once, writes each step into a file that is flushed before the answer (steps that
// wait share one flush), and has the token sign in this very process, which costs what a loop in C costs
// (docs/performance-signer.md). It has one client and one user, checks nothing else, verifies none of its own signatures,
// logs nothing, and forgets its state when it ends.
package floor

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"countersign/signer/pkcs11"
)

// Command is the argument with which a program is the floor server, configured by the environment as the peers are:
// ISSUER, PORT, ALG, and FOLDER with tls.crt, tls.key and client.jwk.
const Command = "floor"

// Unsigned, in the environment, leaves the token's signatures out: then a row without the token's own time can be taken.
const Unsigned = "SIGN=no"

// Child is what a program with benchmarks calls first: with [Command] as its argument it is the floor server, and with
// another one the process that makes the floor's key. ok reports whether it was either, and code what to exit with.
func Child(arguments []string) (code int, ok bool) {
	if len(arguments) < 2 {
		return 0, false
	}
	switch arguments[1] {
	case pkcs11.WorkerCommand:
		return pkcs11.RunWorker(), true
	case Command:
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "floor:", err)
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// run serves until ctx ends.
func run(ctx context.Context) error {
	folder := os.Getenv("FOLDER")
	s := &server{issuer: os.Getenv("ISSUER"), alg: os.Getenv("ALG"), once: newMemory(), now: time.Now}
	raw, err := os.ReadFile(filepath.Join(folder, "client.jwk"))
	if err != nil {
		return err
	}
	if s.client, err = parseKey(raw); err != nil {
		return err
	}
	if s.sign, err = signing(ctx, folder, s.alg, "SIGN="+os.Getenv("SIGN") != Unsigned); err != nil {
		return err
	}
	if s.journal, err = openJournal(filepath.Join(folder, "journal")); err != nil {
		return err
	}
	defer s.journal.close()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	serving := &http.Server{Handler: s.routes(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}}
	go func() {
		<-ctx.Done()
		_ = serving.Close() // nobody waits for answers any more
	}()
	if err := serving.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// signing is the token's signature, or one that is none.
func signing(ctx context.Context, folder, alg string, signed bool) (func([]byte) ([]byte, error), error) {
	if signed {
		return openToken(ctx, folder, alg)
	}
	nothing := make([]byte, 64)
	return func([]byte) ([]byte, error) { return nothing, nil }, nil
}

type server struct {
	issuer, alg string
	client      *ecdsa.PublicKey
	sign        func(message []byte) ([]byte, error)
	journal     *journal
	// once is what was used, and what is there to be used.
	once *memory
	now  func() time.Time
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, struct{}{}) })
	mux.HandleFunc("POST /par", s.refusing(s.push))
	mux.HandleFunc("GET /authorize", s.refusing(s.authorize))
	mux.HandleFunc("POST /token", s.refusing(s.token))
	return mux
}

// errRefused is what any bad request comes to.
var errRefused = errors.New("refused")

func (s *server) refusing(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := handle(w, r)
		switch {
		case errors.Is(err, errRefused):
			reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": err.Error()})
		case err != nil:
			reply(w, http.StatusInternalServerError, map[string]string{"error": "server_error", "error_description": err.Error()})
		}
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// push takes a pushed authorization request (RFC 9126).
func (s *server) push(w http.ResponseWriter, r *http.Request) error {
	if err := s.authenticate(r); err != nil {
		return err
	}
	uri := "urn:ietf:params:oauth:request_uri:" + text()
	if err := s.journal.append("push", uri, r.PostForm.Encode()); err != nil {
		return err
	}
	s.once.put(uri, r.PostForm)
	reply(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": 60})
	return nil
}

// authorize allows what was pushed: its user is signed in and has allowed it before.
func (s *server) authorize(w http.ResponseWriter, r *http.Request) error {
	pushed, ok := s.once.take(r.URL.Query().Get("request_uri"))
	if !ok {
		return fmt.Errorf("%w: no such request", errRefused)
	}
	code := text()
	if err := s.journal.append("code", code, pushed.Get("state")); err != nil {
		return err
	}
	s.once.put(code, pushed)
	back := url.Values{"code": {code}, "state": {pushed.Get("state")}, "iss": {s.issuer}}
	w.Header().Set("Location", pushed.Get("redirect_uri")+"?"+back.Encode())
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// token issues tokens for a code, for a refresh token, and for the client itself.
func (s *server) token(w http.ResponseWriter, r *http.Request) error {
	if err := s.authenticate(r); err != nil {
		return err
	}
	thumbprint, err := s.prove(r)
	if err != nil {
		return err
	}
	answer := map[string]any{"token_type": "DPoP", "expires_in": 300, "scope": "openid accounts"}
	nonce, withID := "", false
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		pushed, ok := s.once.take(r.PostForm.Get("code"))
		challenge := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if !ok || pushed.Get("code_challenge") != encode(challenge[:]) {
			return fmt.Errorf("%w: no such code", errRefused)
		}
		fresh := text()
		s.once.put(fresh, nil)
		answer["refresh_token"], nonce, withID = fresh, pushed.Get("nonce"), true
	case "refresh_token":
		if !s.once.has(r.PostForm.Get("refresh_token")) {
			return fmt.Errorf("%w: no such refresh token", errRefused)
		}
	case "client_credentials":
	default:
		return fmt.Errorf("%w: unknown grant type", errRefused)
	}
	now := s.now().Unix()
	id := text()
	if err := s.journal.append("token", id, thumbprint); err != nil {
		return err
	}
	claims := map[string]any{
		"iss": s.issuer, "sub": "alice", "client_id": r.PostForm.Get("client_id"), "aud": s.issuer, "iat": now, "exp": now + 300, "jti": id,
		"scope": "openid accounts", "cnf": map[string]string{"jkt": thumbprint},
	}
	if answer["access_token"], err = s.jwt("at+jwt", claims); err != nil {
		return err
	}
	if withID {
		claims := map[string]any{
			"iss": s.issuer, "sub": "alice", "aud": r.PostForm.Get("client_id"), "iat": now, "exp": now + 300, "auth_time": now, "nonce": nonce,
		}
		if answer["id_token"], err = s.jwt("JWT", claims); err != nil {
			return err
		}
	}
	reply(w, http.StatusOK, answer)
	return nil
}

// jwt signs claims.
func (s *server) jwt(typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	input := encode([]byte(`{"alg":"`+s.alg+`","typ":"`+typ+`","kid":"floor"}`)) + "." + encode(payload)
	signature, err := s.sign([]byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + encode(signature), nil
}

// authenticate verifies the client's assertion (RFC 7523), whose jti counts once.
func (s *server) authenticate(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Expires  int64  `json:"exp"`
	}
	_, err := verify(r.PostForm.Get("client_assertion"), s.client, &claims)
	if err != nil || claims.Audience != s.issuer || claims.Expires <= s.now().Unix() || claims.Issuer != r.PostForm.Get("client_id") {
		return errors.Join(errRefused, errors.New("client assertion"), err)
	}
	if !s.once.use(claims.ID) {
		return fmt.Errorf("%w: client assertion: used before", errRefused)
	}
	return nil
}

// prove verifies the DPoP proof (RFC 9449), whose jti counts once, and gives the thumbprint of its key.
func (s *server) prove(r *http.Request) (string, error) {
	var claims struct {
		Method  string `json:"htm"`
		Address string `json:"htu"`
		ID      string `json:"jti"`
		Issued  int64  `json:"iat"`
	}
	key, err := verify(r.Header.Get("DPoP"), nil, &claims)
	if err != nil || claims.Method != http.MethodPost || claims.Address != s.issuer+"/token" || s.now().Unix()-claims.Issued > 60 {
		return "", errors.Join(errRefused, errors.New("DPoP proof"), err)
	}
	if !s.once.use(claims.ID) {
		return "", fmt.Errorf("%w: DPoP proof: used before", errRefused)
	}
	canonical := fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, key.X, key.Y)
	sum := sha256.Sum256([]byte(canonical))
	return encode(sum[:]), nil
}

// jwk is a public key for ES256 (RFC 7517).
type jwk struct {
	X string `json:"x"`
	Y string `json:"y"`
}

func parseKey(raw []byte) (*ecdsa.PublicKey, error) {
	var key jwk
	if err := json.Unmarshal(raw, &key); err != nil {
		return nil, err
	}
	return key.public()
}

func (k jwk) public() (*ecdsa.PublicKey, error) {
	x, err := decode(k.X)
	if err != nil {
		return nil, err
	}
	y, err := decode(k.Y)
	if err != nil {
		return nil, err
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), bytes.Join([][]byte{{4}, x, y}, nil))
}

// verify verifies a JWT with ES256, with the key in its header where none is given, and reads its claims.
func verify(token string, with *ecdsa.PublicKey, claims any) (jwk, error) {
	input, last, _ := cutLast(token)
	first, middle, ok := strings.Cut(input, ".")
	if !ok {
		return jwk{}, errors.New("no JWT")
	}
	var header struct {
		Algorithm string `json:"alg"`
		Key       jwk    `json:"jwk"`
	}
	if err := read(first, &header); err != nil {
		return jwk{}, err
	}
	if with == nil {
		var err error
		if with, err = header.Key.public(); err != nil {
			return jwk{}, err
		}
	}
	signature, err := decode(last)
	if err != nil || len(signature) != 64 || header.Algorithm != "ES256" {
		return jwk{}, errors.New("no signature with ES256")
	}
	digest := sha256.Sum256([]byte(input))
	if !ecdsa.Verify(with, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return jwk{}, errors.New("the signature is wrong")
	}
	return header.Key, read(middle, claims)
}

func cutLast(token string) (before, last string, ok bool) {
	at := strings.LastIndexByte(token, '.')
	if at < 0 {
		return "", "", false
	}
	return token[:at], token[at+1:], true
}

func read(part string, into any) error {
	raw, err := decode(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func encode(raw []byte) string           { return base64.RawURLEncoding.EncodeToString(raw) }
func decode(part string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(part) }

// text is 256 bits that nobody can guess.
func text() string {
	var raw [32]byte
	rand.Read(raw[:])
	return encode(raw[:])
}
