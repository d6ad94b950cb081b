package demo

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
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
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// digest is SHA-256 in base64url: the S256 code challenge (RFC 7636 §4.2) and ath (RFC 9449 §4.2).
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return encode(sum[:])
}

// assertion authenticates the client (private_key_jwt): aud is the issuer, as one string (FAPI 2.0 Security Profile
// §5.3.3.1).
func (d *demo) assertion(ctx context.Context) (string, error) {
	now := d.config.Now()
	return jose.Sign(ctx, d.config.ClientKey.SigningKey(), "client-authentication+jwt", struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{d.config.ClientID, d.config.ClientID, d.config.Issuer, d.random(), now.Unix(), now.Add(time.Minute).Unix()})
}

// proof makes a DPoP proof (RFC 9449 §4.2); accessToken is "" at the authorization server, nonce is "" until the server
// asks for one.
func (d *demo) proof(ctx context.Context, method, address, accessToken, nonce string) (string, error) {
	claims := struct {
		ID       string `json:"jti"`
		Method   string `json:"htm"`
		Address  string `json:"htu"`
		IssuedAt int64  `json:"iat"`
		Token    string `json:"ath,omitempty"`
		Nonce    string `json:"nonce,omitempty"`
	}{ID: d.random(), Method: method, Address: address, IssuedAt: d.config.Now().Unix(), Nonce: nonce}
	if accessToken != "" {
		claims.Token = digest(accessToken)
	}
	return d.config.ProofKey.SignEmbedded(ctx, "dpop+jwt", claims)
}

// parameter is a parameter or a header of a message.
type parameter struct{ name, value string }

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// oauthError is an error as a server tells it (RFC 6749 §5.2).
type oauthError struct {
	Code          string `json:"error"`
	Description   string `json:"error_description"`
	CorrelationID string `json:"correlation_id"`
}

// String tells the error after a status: what is wrong, and what finds it in the server's log.
func (e oauthError) String() string {
	told := ""
	if e.Code != "" {
		told = " " + clean(e.Code) + ": " + clean(e.Description)
	}
	if e.CorrelationID != "" {
		told += " (correlation id " + clean(e.CorrelationID) + ")"
	}
	return told
}

// oauthError reads the error of an answer; its code is "" if there is none.
func (a answer) oauthError() oauthError {
	var refused oauthError
	if err := json.Unmarshal(a.body, &refused); err != nil {
		refused = oauthError{}
	}
	if refused.CorrelationID == "" {
		refused.CorrelationID = a.header.Get("X-Correlation-Id")
	}
	return refused
}

// wantsNonce tells whether the proof is refused because a nonce is missing in it (RFC 9449 §8, §9).
func (a answer) wantsNonce() bool {
	if a.header.Get("DPoP-Nonce") == "" {
		return false
	}
	return a.status == http.StatusBadRequest && a.oauthError().Code == "use_dpop_nonce" ||
		a.status == http.StatusUnauthorized && strings.Contains(a.header.Get("WWW-Authenticate"), `"use_dpop_nonce"`)
}

// expect shows an answer and decodes it into value, unless that is nil. An answer with another status is told as the
// server told it. If only is given, no other members are shown.
func (d *demo) expect(a answer, status int, explanation string, value any, only ...string) error {
	if a.status != status {
		d.screen.answer(a, "That is not what was expected.")
		return fmt.Errorf("expected status %d; the server answered %d%s", status, a.status, a.oauthError())
	}
	d.screen.answer(a, explanation, only...)
	if value == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, value); err != nil {
		return fmt.Errorf("the answer is not the JSON that was expected: %w", err)
	}
	return nil
}

func send(client *http.Client, request *http.Request) (answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
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
	return send(d.http, request)
}

// post sends a back-channel request with a client assertion and a DPoP proof, and shows all three.
func (d *demo) post(ctx context.Context, address, explanation string, parameters []parameter) (answer, error) {
	return d.withNonce(&d.serverNonce, func() (answer, error) {
		assertion, err := d.assertion(ctx)
		if err != nil {
			return answer{}, err
		}
		proof, err := d.proof(ctx, http.MethodPost, address, "", d.serverNonce)
		if err != nil {
			return answer{}, err
		}
		d.screen.request("POST "+address, explanation, parameters...)
		d.screen.token("client_assertion: the client proves itself with its key (private_key_jwt)", assertion)
		d.screen.token("DPoP: a proof of the key that the tokens will be bound to", proof)
		form := url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
		for _, p := range parameters {
			form.Set(p.name, p.value)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
		if err != nil {
			return answer{}, err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("DPoP", proof)
		return send(d.http, request)
	})
}

// callResource calls the resource with a token and a proof of its key (RFC 9449 §7.1).
func (d *demo) callResource(ctx context.Context, accessToken, explanation string) error {
	answer, err := d.withNonce(&d.resourceNonce, func() (answer, error) {
		proof, err := d.proof(ctx, http.MethodGet, d.resource(), accessToken, d.resourceNonce)
		if err != nil {
			return answer{}, err
		}
		d.screen.request("GET "+d.resource(), explanation, parameter{"Authorization", "DPoP " + shown("access_token", accessToken)})
		d.screen.token("DPoP: ath ties it to the token, htm and htu to the request", proof)
		return d.get(ctx, d.resource(), http.Header{"Authorization": {"DPoP " + accessToken}, "Dpop": {proof}})
	})
	if err != nil {
		return err
	}
	return d.expect(answer, http.StatusOK, "The resource answers.", nil)
}

// withNonce sends a request again, once, if its proof needs a nonce, and keeps the nonce for the next one (RFC 9449
// §8.2).
func (d *demo) withNonce(nonce *string, send func() (answer, error)) (answer, error) {
	for again := false; ; again = true {
		a, err := send()
		if err != nil {
			return answer{}, err
		}
		if given := a.header.Get("DPoP-Nonce"); given != "" {
			*nonce = given
		}
		if again || !a.wantsNonce() {
			return a, nil
		}
		d.screen.answer(a, "The proof has to hold the server's nonce (RFC 9449 §8): once more, with it.")
	}
}

// decode takes a JWT apart for the screen, without verifying it. Header and payload are JSON objects.
func decode(token string) (header, payload json.RawMessage, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, fmt.Errorf("it has %d parts and not three", len(parts))
	}
	var decoded [2]json.RawMessage
	for i := range decoded {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, nil, err
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, nil, err
		}
		if object == nil {
			return nil, nil, errors.New("a part of it is null and not an object")
		}
		decoded[i] = raw
	}
	return decoded[0], decoded[1], nil
}
