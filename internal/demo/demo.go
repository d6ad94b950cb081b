// Package demo is a FAPI 2.0 client that goes through the whole flow in a terminal and explains every message. It is a
// client and nothing else: it knows the server by its issuer URL only.
package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"countersign/internal/jose"
)

// Config is what the demo's client needs.
type Config struct {
	// Issuer is the server's issuer identifier, and Roots are the authorities that its certificate is held to.
	Issuer string
	Roots  *x509.CertPool

	ClientID    string
	RedirectURI string
	Scope       string
	// ClientKey signs client assertions, and ProofKey DPoP proofs.
	ClientKey, ProofKey jose.PrivateKey
	// Callback is the certificate of the listener that waits for the browser at RedirectURI.
	Callback tls.Certificate

	// Auto plays the browser too, and signs in with Username and Password.
	Auto               bool
	Username, Password string
	// Open opens the person's browser. An error is no harm: the address is shown too.
	Open func(address string) error

	Out   io.Writer
	Color bool
	Now   func() time.Time
}

// waitForPerson is how long a person may take.
const waitForPerson = 5 * time.Minute

// demo is one run.
type demo struct {
	config Config
	screen screen
	http   *http.Client
	// server is the discovery document.
	server discovery
	began  time.Time
}

// discovery is the part of the discovery document that the client uses.
type discovery struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	PushEndpoint          string `json:"pushed_authorization_request_endpoint"`
	JWKSURI               string `json:"jwks_uri"`
}

// tokens is a token response.
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
}

// Run goes through the flow. It returns an error at the first message that is not as it should be, saying what was
// expected.
func Run(ctx context.Context, config Config) error {
	if config.Now == nil {
		config.Now = time.Now
	}
	d := &demo{
		config: config, screen: screen{out: config.Out, color: config.Color}, began: config.Now(),
		http: newHTTPClient(config.Roots),
	}
	transaction := newTransaction()
	d.screen.title("A FAPI 2.0 flow with " + config.Issuer)
	if err := d.discover(ctx); err != nil {
		return err
	}
	requestURI, err := d.push(ctx, transaction)
	if err != nil {
		return err
	}
	code, err := d.authorize(ctx, transaction, requestURI)
	if err != nil {
		return err
	}
	issued, err := d.redeem(ctx, transaction, code)
	if err != nil {
		return err
	}
	if err := d.checkIDToken(ctx, transaction, issued.IDToken); err != nil {
		return err
	}
	if err := d.useResource(ctx, issued.AccessToken); err != nil {
		return err
	}
	if err := d.refresh(ctx, issued.RefreshToken); err != nil {
		return err
	}
	d.screen.done(config.Now().Sub(d.began))
	return nil
}

// discover reads the server's metadata (RFC 8414).
func (d *demo) discover(ctx context.Context) error {
	d.screen.step("Discovery", "The client reads where the endpoints are and what they support.")
	address := d.config.Issuer + "/.well-known/oauth-authorization-server"
	answer, err := d.get(ctx, address, nil)
	if err != nil {
		return fmt.Errorf("the server does not answer; is it running (make run)? %w", err)
	}
	if err := answer.into(http.StatusOK, &d.server); err != nil {
		return err
	}
	if d.server.Issuer != d.config.Issuer {
		return fmt.Errorf("the issuer must be %s, the document says %s (RFC 8414 §3.3)", d.config.Issuer, d.server.Issuer)
	}
	d.screen.request("GET", address, nil)
	d.screen.value("answer", answer.pick("issuer", "authorization_endpoint", "pushed_authorization_request_endpoint", "token_endpoint",
		"token_endpoint_auth_methods_supported", "dpop_signing_alg_values_supported", "require_pushed_authorization_requests"))
	return nil
}

// redeem exchanges the code for tokens (RFC 6749 §4.1.3).
func (d *demo) redeem(ctx context.Context, t transaction, code string) (tokens, error) {
	d.screen.step("Token", "The code becomes tokens: for this client, with this verifier, bound to this DPoP key.")
	form := d.form("grant_type", "authorization_code", "code", code, "redirect_uri", d.config.RedirectURI, "code_verifier", t.verifier)
	answer, err := d.post(ctx, d.server.TokenEndpoint, form)
	if err != nil {
		return tokens{}, err
	}
	var issued tokens
	if err := answer.into(http.StatusOK, &issued); err != nil {
		return tokens{}, err
	}
	d.screen.value("answer", answer.all())
	return issued, d.checkAccessToken(issued)
}

// checkAccessToken shows the access token, which is the resource's to read, and looks for its binding.
func (d *demo) checkAccessToken(issued tokens) error {
	if issued.TokenType != "DPoP" {
		return fmt.Errorf("token_type must be DPoP, it is %q: the token is bound to no key (RFC 9449 §5)", issued.TokenType)
	}
	_, claims, err := decode(issued.AccessToken)
	if err != nil {
		return fmt.Errorf("the access token is not a JWT (RFC 9068): %w", err)
	}
	d.screen.token("the access token (RFC 9068), for the resource to read", issued.AccessToken)
	confirmation, _ := claims["cnf"].(map[string]any)
	if bound, _ := confirmation["jkt"].(string); bound != d.config.ProofKey.Key().Thumbprint() {
		return fmt.Errorf("cnf.jkt must be the thumbprint of the DPoP key, it is %q (RFC 9449 §6.1)", bound)
	}
	d.screen.say("cnf.jkt is the thumbprint of the client's key: whoever steals this token cannot use it.")
	return nil
}

// checkIDToken verifies the ID token (OpenID Connect Core §3.1.3.7).
func (d *demo) checkIDToken(ctx context.Context, t transaction, idToken string) error {
	d.screen.step("ID token", "The client verifies who signed in: signature, iss, aud, nonce, exp.")
	answer, err := d.get(ctx, d.server.JWKSURI, nil)
	if err != nil {
		return err
	}
	keys, err := jose.ParseKeySet(answer.body)
	if err != nil {
		return fmt.Errorf("the server's key set: %w", err)
	}
	parsed, err := jose.Parse(idToken, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
	if err != nil {
		return fmt.Errorf("the ID token: %w", err)
	}
	if err := parsed.VerifyWith(keys); err != nil {
		return fmt.Errorf("the ID token: %w", err)
	}
	var claims struct {
		Issuer   string           `json:"iss"`
		Audience jose.Audience    `json:"aud"`
		Nonce    string           `json:"nonce"`
		Expires  jose.NumericDate `json:"exp"`
	}
	if err := parsed.Claims(&claims); err != nil {
		return fmt.Errorf("the ID token: %w", err)
	}
	d.screen.token("the ID token, signed in the HSM with key "+short(parsed.Header.KeyID), idToken)
	switch {
	case claims.Issuer != d.config.Issuer:
		return fmt.Errorf("the ID token's iss must be %s, it is %s", d.config.Issuer, claims.Issuer)
	case !claims.Audience.Contains(d.config.ClientID):
		return fmt.Errorf("the ID token is for %v and not for %s", claims.Audience.Values, d.config.ClientID)
	case claims.Nonce != t.nonce:
		return errors.New("the ID token's nonce is not the one that was sent: it belongs to another sign-in")
	case !d.config.Now().Before(claims.Expires.Time()):
		return errors.New("the ID token has expired")
	}
	return nil
}

// useResource calls the resource with the token and a proof, and then without a proof.
func (d *demo) useResource(ctx context.Context, accessToken string) error {
	d.screen.step("Resource", "The API is called with the token and a fresh proof that the client holds its key.")
	address := d.config.Issuer + "/accounts"
	proof, err := d.proof(ctx, http.MethodGet, address, accessToken)
	if err != nil {
		return err
	}
	answer, err := d.get(ctx, address, http.Header{"Authorization": {"DPoP " + accessToken}, "Dpop": {proof}})
	if err != nil {
		return err
	}
	if err := answer.into(http.StatusOK, nil); err != nil {
		return err
	}
	d.screen.request("GET", address, map[string]string{"Authorization": "DPoP " + short(accessToken), "DPoP": short(proof)})
	d.screen.token("the proof: ath ties it to the token, htu and htm to the request, jti to one use", proof)
	d.screen.value("answer", answer.all())

	d.screen.say("Now the same token as a thief would send it, without the key:")
	answer, err = d.get(ctx, address, http.Header{"Authorization": {"Bearer " + accessToken}})
	if err != nil {
		return err
	}
	if answer.status != http.StatusUnauthorized {
		return fmt.Errorf("a stolen token must be refused with 401, the resource answered %d", answer.status)
	}
	d.screen.request("GET", address, map[string]string{"Authorization": "Bearer " + short(accessToken)})
	d.screen.value(fmt.Sprintf("answer, %d", answer.status), answer.all())
	return nil
}

// refresh gets a new access token and uses it.
func (d *demo) refresh(ctx context.Context, refreshToken string) error {
	d.screen.step("Refresh", "The access token is short-lived; the refresh token gets the next one and stays the same.")
	answer, err := d.post(ctx, d.server.TokenEndpoint, d.form("grant_type", "refresh_token", "refresh_token", refreshToken))
	if err != nil {
		return err
	}
	var issued tokens
	if err := answer.into(http.StatusOK, &issued); err != nil {
		return err
	}
	d.screen.value("answer", answer.all())
	address := d.config.Issuer + "/accounts"
	proof, err := d.proof(ctx, http.MethodGet, address, issued.AccessToken)
	if err != nil {
		return err
	}
	answer, err = d.get(ctx, address, http.Header{"Authorization": {"DPoP " + issued.AccessToken}, "Dpop": {proof}})
	if err != nil {
		return err
	}
	if err := answer.into(http.StatusOK, nil); err != nil {
		return err
	}
	d.screen.say("The resource answers with the new token:")
	d.screen.value("answer", answer.all())
	return nil
}
