package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"countersign/internal/jose"
)

const (
	clientID    = "bench"
	redirectURI = "https://client.example/callback"
	person      = "alice"
)

// endpoints are where a server answers.
type endpoints struct {
	issuer, par, authorize, token string
}

// step is one thing that is measured.
type step struct {
	name string
	// fresh has each actor go through a flow before: a refresh token is to be young, for peers that forget.
	fresh bool
	do    func(*actor, context.Context) error
}

func steps() []step {
	return []step{
		{name: "flow", do: (*actor).flowStep},
		{name: "client_credentials", do: (*actor).clientCredentials},
		{name: "PAR", do: func(a *actor, ctx context.Context) error { _, err := a.push(ctx); return err }},
		{name: "refresh", fresh: true, do: (*actor).refresh},
	}
}

// actor is one client application with one browser: it keeps its connections, its cookies and its DPoP key.
type actor struct {
	server       *server
	http         *http.Client
	proof        jose.PrivateKey
	refreshToken string
	// tokens are the JWTs of the last flow.
	tokens []string
}

func newActor(s *server) (*actor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	proof, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		return nil, err
	}
	return &actor{server: s, proof: proof, http: &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 4},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (a *actor) flowStep(ctx context.Context) error {
	requestURI, err := a.push(ctx)
	if err != nil {
		return err
	}
	code, err := a.authorize(ctx, requestURI)
	if err != nil {
		return err
	}
	answer, err := a.post(ctx, a.server.token, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	})
	if err != nil {
		return err
	}
	a.tokens = a.tokens[:0]
	for _, name := range []string{"access_token", "id_token", "refresh_token"} {
		token, _ := answer[name].(string)
		if token == "" {
			return fmt.Errorf("the token response has no %s: %v", name, answer)
		}
		if name != "refresh_token" {
			a.tokens = append(a.tokens, token)
		}
	}
	a.refreshToken, _ = answer["refresh_token"].(string)
	if err := a.checkAlgorithm(answer, "id_token"); err != nil {
		return err
	}
	return a.checkToken(answer)
}

func (a *actor) clientCredentials(ctx context.Context) error {
	answer, err := a.post(ctx, a.server.token, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
	if err != nil {
		return err
	}
	return a.checkToken(answer)
}

func (a *actor) refresh(ctx context.Context) error {
	answer, err := a.post(ctx, a.server.token, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.refreshToken}})
	if err != nil {
		return err
	}
	if next, ok := answer["refresh_token"].(string); ok {
		a.refreshToken = next
	}
	return a.checkToken(answer)
}

// checkToken makes sure that the servers are compared at the same work: a bound JWT with the algorithm of the row.
func (a *actor) checkToken(answer map[string]any) error {
	if answer["token_type"] != "DPoP" {
		return fmt.Errorf("token_type is %v, not DPoP", answer["token_type"])
	}
	return a.checkAlgorithm(answer, "access_token")
}

// checkAlgorithm reads the header of a token.
func (a *actor) checkAlgorithm(answer map[string]any, name string) error {
	token, _ := answer[name].(string)
	encoded, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	var header struct {
		Algorithm string `json:"alg"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &header)
	}
	if err != nil || header.Algorithm != a.server.alg {
		return fmt.Errorf("%s is no JWT with %s: %v", name, a.server.alg, answer)
	}
	return nil
}

const verifier = "bench-verifier-bench-verifier-bench-verifier-1"

func (a *actor) push(ctx context.Context) (string, error) {
	digest := sha256.Sum256([]byte(verifier))
	answer, err := a.post(ctx, a.server.par, url.Values{
		"response_type": {"code"}, "redirect_uri": {redirectURI}, "scope": {"openid accounts"}, "state": {"s"}, "nonce": {unguessable()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(digest[:])}, "code_challenge_method": {"S256"},
	})
	if err != nil {
		return "", err
	}
	requestURI, _ := answer["request_uri"].(string)
	return requestURI, nil
}

// credentials are what authenticates one request and binds what it is answered.
type credentials struct {
	assertion string
	// proof is empty where no tokens are asked for.
	proof string
}

// credentials makes those of a request to an address.
func (a *actor) credentials(ctx context.Context, address string) (c credentials, err error) {
	now := time.Now()
	if c.assertion, err = jose.Sign(ctx, a.server.key.SigningKey(), "", map[string]any{
		"iss": clientID, "sub": clientID, "aud": a.server.issuer, "jti": unguessable(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}); err != nil {
		return c, err
	}
	if address == a.server.token {
		c.proof, err = a.proof.SignEmbedded(ctx, "dpop+jwt", map[string]any{
			"jti": unguessable(), "htm": http.MethodPost, "htu": address, "iat": now.Unix(),
		})
	}
	return c, err
}

// postAs sends a request with credentials, which may have been sent before.
func (a *actor) postAs(ctx context.Context, address string, form url.Values, c credentials) (status int, body string, err error) {
	all := maps.Clone(form)
	all.Set("client_id", clientID)
	all.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	all.Set("client_assertion", c.assertion)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(all.Encode()))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.proof != "" {
		request.Header.Set("DPoP", c.proof)
	}
	status, body, _, err = a.send(request)
	return status, body, err
}

// post sends an authenticated request; with a proof where tokens are asked for.
func (a *actor) post(ctx context.Context, address string, form url.Values) (map[string]any, error) {
	c, err := a.credentials(ctx, address)
	if err != nil {
		return nil, err
	}
	status, body, err := a.postAs(ctx, address, form, c)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK && status != http.StatusCreated {
		return nil, fmt.Errorf("%s answered %d: %s", address, status, body)
	}
	var answer map[string]any
	return answer, json.Unmarshal([]byte(body), &answer)
}

// send gives status, body and where the answer redirects to.
func (a *actor) send(request *http.Request) (int, string, string, error) {
	response, err := a.http.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", "", err
	}
	location := response.Header.Get("Location")
	if location != "" {
		resolved, err := request.URL.Parse(location)
		if err != nil {
			return 0, "", "", err
		}
		location = resolved.String()
	}
	return response.StatusCode, string(body), location, nil
}

// authorize sends the browser to the server until it comes back with a code. The first time a person has to sign in and
// allow; then the session and the consent are there, and one request is enough.
func (a *actor) authorize(ctx context.Context, requestURI string) (string, error) {
	address := a.server.authorize + "?" + url.Values{"client_id": {clientID}, "request_uri": {requestURI}}.Encode()
	for range 10 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return "", err
		}
		status, body, location, err := a.send(request)
		if err != nil {
			return "", err
		}
		if location == "" {
			if a.server.answer == nil {
				return "", fmt.Errorf("%s answered %d: %s", address, status, body)
			}
			form, target, err := a.server.answer(address, body)
			if err != nil {
				return "", err
			}
			if location, err = a.submit(ctx, target, form); err != nil {
				return "", err
			}
		}
		if strings.HasPrefix(location, redirectURI) {
			back, err := url.Parse(location)
			if err != nil {
				return "", err
			}
			query := back.Query()
			if code := query.Get("code"); code != "" && query.Get("iss") == a.server.issuer && query.Get("state") == "s" {
				return code, nil
			}
			return "", fmt.Errorf("the browser came back without a code, or with another state or iss: %s", location)
		}
		address = location
	}
	return "", fmt.Errorf("the browser was sent around: %s", address)
}

// submit sends a form of a page.
func (a *actor) submit(ctx context.Context, target string, form url.Values) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, location, err := a.send(request)
	if err == nil && location == "" {
		err = fmt.Errorf("%s answered %d to a form: %s", target, status, body)
	}
	return location, err
}

// unguessable makes a jti or nonce.
func unguessable() string { return rand.Text() }
