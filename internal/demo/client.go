package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"countersign/internal/jose"
)

// assertionType is the one client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

func newHTTPClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout:       15 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transaction is what the client remembers between the push and the token.
type transaction struct {
	state, nonce, verifier string
}

func newTransaction() transaction {
	return transaction{state: random(), nonce: random(), verifier: random()}
}

// random gives 256 random bits in base64url.
func random() string {
	var b [32]byte
	rand.Read(b[:])
	return encode(b[:])
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return encode(sum[:])
}

// assertion authenticates the client (private_key_jwt): aud is the issuer, as one string (FAPI 2.0 §5.3.3.1).
func (d *demo) assertion(ctx context.Context) (string, error) {
	now := d.config.Now()
	return jose.Sign(ctx, d.config.ClientKey.SigningKey(), "client-authentication+jwt", map[string]any{
		"iss": d.config.ClientID, "sub": d.config.ClientID, "aud": d.config.Issuer,
		"jti": random(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
}

// proof makes a DPoP proof (RFC 9449 §4.2); accessToken is "" at the authorization server.
func (d *demo) proof(ctx context.Context, method, address, accessToken string) (string, error) {
	claims := map[string]any{"jti": random(), "htm": method, "htu": address, "iat": d.config.Now().Unix()}
	if accessToken != "" {
		claims["ath"] = digest(accessToken)
	}
	return d.config.ProofKey.SignEmbedded(ctx, "dpop+jwt", claims)
}

// form makes parameters from pairs.
func (d *demo) form(pairs ...string) url.Values {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// into decodes an answer that must have a status. An OAuth error is told as the server told it.
func (a answer) into(status int, value any) error {
	if a.status != status {
		var refused struct {
			Code          string `json:"error"`
			Description   string `json:"error_description"`
			CorrelationID string `json:"correlation_id"`
		}
		if json.Unmarshal(a.body, &refused) == nil && refused.Code != "" {
			return fmt.Errorf("expected status %d; the server answered %d %s: %s (correlation id %s)", status, a.status, refused.Code, refused.Description, refused.CorrelationID)
		}
		return fmt.Errorf("expected status %d; the server answered %d", status, a.status)
	}
	if value == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, value); err != nil {
		return fmt.Errorf("the answer is not the JSON that was expected: %w", err)
	}
	return nil
}

// all gives the whole body for the screen.
func (a answer) all() any {
	var value any
	if err := json.Unmarshal(a.body, &value); err != nil {
		return string(a.body)
	}
	return value
}

// pick gives some members of the body for the screen.
func (a answer) pick(names ...string) any {
	whole, _ := a.all().(map[string]any)
	some := map[string]any{}
	for _, name := range names {
		if value, ok := whole[name]; ok {
			some[name] = value
		}
	}
	return some
}

func (d *demo) send(request *http.Request) (answer, error) {
	response, err := d.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return answer{response.StatusCode, response.Header, body}, err
}

func (d *demo) get(ctx context.Context, address string, header http.Header) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	return d.send(request)
}

// post sends a back-channel request with a client assertion and a DPoP proof, and shows all three.
func (d *demo) post(ctx context.Context, address string, form url.Values) (answer, error) {
	assertion, err := d.assertion(ctx)
	if err != nil {
		return answer{}, err
	}
	proof, err := d.proof(ctx, http.MethodPost, address, "")
	if err != nil {
		return answer{}, err
	}
	shown := map[string]string{}
	for name := range form {
		shown[name] = form.Get(name)
	}
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion)
	d.screen.request("POST", address, shown)
	d.screen.token("client_assertion: the client proves itself with its key (private_key_jwt)", assertion)
	d.screen.token("DPoP: a proof of the key that the tokens will be bound to", proof)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("DPoP", proof)
	return d.send(request)
}

// decode reads a JWT for the screen, without verifying it.
func decode(token string) (header, claims map[string]any, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, fmt.Errorf("it has %d parts and not three", len(parts))
	}
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, nil, err
		}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(into); err != nil {
			return nil, nil, err
		}
	}
	return header, claims, nil
}
