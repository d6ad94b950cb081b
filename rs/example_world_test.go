package rs_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"countersign/internal/httpsig"
	"countersign/internal/jose"
	"countersign/internal/random"
	"countersign/rs"
)

// The issuer and the API of the examples.
const (
	issuer   = "https://login.bank.example"
	audience = "https://api.bank.example"
)

// world is what an example needs around an API: an issuer that answers, a client with a token, and its key.
type world struct {
	issuer, client jose.PrivateKey
	now            time.Time
	// introspections is what the issuer knows about tokens.
	introspections map[string]map[string]any
}

func newExample() *world {
	w := &world{now: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC), introspections: map[string]map[string]any{}}
	for _, key := range []*jose.PrivateKey{&w.issuer, &w.client} {
		made, err := jose.NewPrivateKey(jose.ES256)
		if err != nil {
			panic(err)
		}
		*key = made
	}
	return w
}

// reach is a client that reaches the issuer of the examples.
func (w *world) reach() *http.Client { return &http.Client{Transport: w} }

// RoundTrip is the issuer.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	answer.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		fmt.Fprintf(answer, `{"issuer":%q,"jwks_uri":%q,"introspection_endpoint":%q}`, issuer, issuer+"/jwks", issuer+"/introspect")
	case "/jwks":
		fmt.Fprintf(answer, `{"keys":[%s]}`, w.issuer.PublicJWK())
	case "/introspect":
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		known := w.introspections[r.PostForm.Get("token")]
		if known == nil {
			known = map[string]any{"active": false}
		}
		if err := json.NewEncoder(answer).Encode(known); err != nil {
			return nil, err
		}
	default:
		answer.WriteHeader(http.StatusNotFound)
	}
	return answer.Result(), nil
}

// claims are those of a good token for the API, bound to the key of the client.
func (w *world) claims(change map[string]any) map[string]any {
	claims := map[string]any{
		"iss": issuer, "aud": audience, "sub": "alice", "client_id": "app", "jti": random.UUID(), "iat": w.now.Unix(),
		"exp": w.now.Add(5 * time.Minute).Unix(), "auth_time": w.now.Add(-10 * time.Minute).Unix(), "acr": "urn:bank:password",
		"scope": "accounts", "cnf": map[string]any{"jkt": w.client.Key().Thumbprint()},
	}
	for name, value := range change {
		claims[name] = value
	}
	return claims
}

// token is one of the issuer.
func (w *world) token(change map[string]any) string {
	made, err := jose.Sign(context.Background(), w.issuer.SigningKey(), "at+jwt", w.claims(change))
	if err != nil {
		panic(err)
	}
	return made
}

// request is one of the client with a token and a proof.
func (w *world) request(method, path, token, nonce string) *http.Request {
	r := httptest.NewRequest(method, audience+path, nil)
	digest := sha256.Sum256([]byte(token))
	plain, _, _ := strings.Cut(path, "?")
	proof, err := w.client.SignEmbedded(context.Background(), "dpop+jwt", map[string]any{
		"jti": random.UUID(), "htm": method, "htu": audience + plain, "iat": w.now.Unix(), "nonce": nonce,
		"ath": base64.RawURLEncoding.EncodeToString(digest[:]),
	})
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	return r
}

// sign signs a request with the key of the client (RFC 9421).
func (w *world) sign(r *http.Request) {
	signature := httpsig.Signature{Label: "mine", Created: w.now, KeyID: w.client.ID(), Tag: httpsig.TagRequest}
	for _, name := range []string{"@method", "@target-uri", "authorization", "dpop"} {
		signature.Components = append(signature.Components, httpsig.Component{Name: name})
	}
	message := httpsig.Message{Method: r.Method, Target: r.URL, Header: r.Header}
	if _, err := httpsig.Sign(context.Background(), message, signature, w.client.SigningKey().Sign); err != nil {
		panic(err)
	}
}

// send prints what a handler answers.
func send(handler http.Handler, r *http.Request) *http.Response {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	answer := recorder.Result()
	if answer.StatusCode == http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		fmt.Println(answer.StatusCode, string(body))
		return answer
	}
	fmt.Println(answer.StatusCode, answer.Header.Get("WWW-Authenticate"))
	return answer
}

// hello is an API.
func hello(w http.ResponseWriter, r *http.Request) {
	token, _ := rs.FromContext(r.Context())
	_, _ = fmt.Fprint(w, "hello, ", token.Subject) // an example
}

func (w *world) clock() time.Time { return w.now }

// certificate is one of the client.
func (w *world) certificate() *x509.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: w.now.Add(-time.Hour), NotAfter: w.now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, w.client.Signer().Public(), w.client.Signer())
	if err != nil {
		panic(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return made
}
