package relyingparty

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"countersign/rp/client"
)

// job is one module that the client is run for.
type job struct {
	plan   plan
	module string
	who    identity
	site   *site
	at     addresses
	// exposed is what the module shows: its issuer, and the resources that it plays.
	exposed map[string]string
}

// driver runs clients of package rp/client.
type driver struct {
	roots   *x509.CertPool
	browser browser
	// timeout bounds one exchange of a client.
	timeout time.Duration
	now     func() time.Time
	// rotation is how long after a login another one can be verified with new keys of the provider: the client asks for them no more often.
	rotation time.Duration
	// algorithms are what ID tokens are signed with for plain OpenID Connect.
	algorithms []string
}

// drive runs the client once, as its plan demands, and returns why it stopped before the end, if it did.
func (d driver) drive(ctx context.Context, j job) error {
	switch {
	case j.plan.logout():
		return d.logout(ctx, j)
	case j.plan.is("ciba_mode", "ping"):
		return d.pinged(ctx, j)
	}
	c, err := client.New(ctx, d.config(j))
	if err != nil {
		return err
	}
	switch {
	case j.plan.profile() == clientCredentials:
		tokens, err := c.ClientCredentials(ctx, client.TokenOptions{Scopes: j.plan.scopes(), AuthorizationDetails: j.plan.details()})
		if err != nil {
			return err
		}
		return j.use(ctx, c, tokens)
	case j.plan.suitePlan == fapiCIBA:
		return d.backchannel(ctx, c, j)
	}
	if err := d.authorize(ctx, c, j); err != nil || !strings.HasSuffix(j.module, "-signing-key-rotation") {
		return err
	}
	select {
	case <-time.After(d.rotation):
		return d.authorize(ctx, c, j)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// config is how the client of a plan is configured: this is all that an application says.
func (d driver) config(j job) client.Config {
	p := j.plan
	config := client.Config{
		Issuer: j.exposed["issuer"], ClientID: j.who.id, RedirectURI: j.at.redirect, Scopes: p.scopes(),
		Auth: p.auth(j.who), Binding: p.binding(j.who), Roots: d.roots, Timeout: d.timeout, Now: d.now,
	}
	if p.profile() == clientCredentials || p.suitePlan == fapiCIBA {
		config.RedirectURI = "" // there is no browser
	}
	if p.signed() {
		config.RequestKey = j.who.key
	}
	if j.who.decrypter != nil {
		config.Decrypt = []client.Decrypter{*j.who.decrypter}
	}
	if p.jarm() {
		config.ResponseMode = "jwt"
	}
	switch {
	case p.suitePlan == fapi2MessageSigning && p.signed() && p.jarm():
		config.Profile = client.FAPI2MessageSigning
	case p.suitePlan == fapi1Advanced, p.suitePlan == fapiCIBA:
		config.Profile, config.Pushed = client.FAPI1Advanced, p.is("fapi_auth_request_method", "pushed")
	case p.plainOIDC():
		config.Profile = client.Plain
		config.Weak = client.Weak{
			ClientSecret: p.plainSecret(), NoPAR: true, UnannouncedPKCE: true, NoIss: true, Bearer: true, RS256: true, UntypedLogoutToken: p.logout(),
		}
		config.IDTokenAlgorithms = d.algorithms
		if p.suitePlan == oidcFormPost {
			config.ResponseMode = "form_post"
		}
	}
	return config
}

// auth is how the plan's client authenticates.
func (p plan) auth(who identity) client.Auth {
	switch {
	case p.plainSecret():
		return client.ClientSecretBasic(who.secret)
	case p.is("client_auth_type", "mtls"):
		return client.MTLS(*who.certificate)
	}
	return client.PrivateKeyJWT(who.key)
}

// binding is what the plan's tokens are bound to; the zero value is a key of DPoP that the client makes, or nothing where Weak allows it.
func (p plan) binding(who identity) client.Binding {
	switch {
	case !p.bindsToCertificate():
		return client.Binding{}
	case p.is("client_auth_type", "mtls"):
		return client.MTLSBound()
	}
	return client.MTLSBoundWith(*who.certificate)
}

// details are the authorization_details that the plan's client asks for, nil if it asks for scopes only.
func (p plan) details() any {
	if !p.is("authorization_request_type", "rar") {
		return nil
	}
	return []map[string]any{{"type": detailsType, "actions": []string{"list_accounts"}}}
}

// authorize has the user authorize the client, and uses the tokens.
func (d driver) authorize(ctx context.Context, c *client.Client, j job) error {
	options := client.AuthorizeOptions{AuthorizationDetails: j.plan.details()}
	intent, err := j.consent(ctx, c)
	if err != nil {
		return err
	}
	j.ecosystem(&options, intent)
	address, transaction, err := c.Authorize(ctx, options)
	if err != nil {
		return err
	}
	answer, err := d.browser.answer(ctx, address, j.at.redirect)
	if err != nil {
		return err
	}
	if strings.HasSuffix(j.module, "-discovery-openid-config") {
		return nil // the suite ends the module when its metadata was used
	}
	tokens, err := c.Callback(ctx, transaction, answer)
	if err != nil {
		return err
	}
	if err := j.checkIntent(tokens, intent); err != nil {
		return err
	}
	if strings.HasSuffix(j.module, "-refresh-token-test") {
		if tokens, err = refreshed(ctx, c, tokens); err != nil {
			return err
		}
	}
	if strings.HasSuffix(j.module, "-jwks-uri-keys") {
		return nil // the suite ends the module when it has been asked for its keys
	}
	return j.use(ctx, c, tokens)
}

// refreshed are the tokens after two refreshes, the second with the refresh token of the first: the module takes no others.
func refreshed(ctx context.Context, c *client.Client, tokens *client.Tokens) (*client.Tokens, error) {
	for range 2 {
		var err error
		if tokens, err = c.Refresh(ctx, tokens, client.RefreshOptions{}); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// use calls the resource of the module: UserInfo where its plan has no other.
func (j job) use(ctx context.Context, c *client.Client, tokens *client.Tokens) error {
	accounts := j.exposed["accounts_endpoint"]
	if accounts == "" || j.plan.plainOIDC() {
		_, err := c.UserInfo(ctx, tokens)
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, accounts, nil)
	if err != nil {
		return err
	}
	_, err = call(c.HTTP(tokens), request, http.StatusOK)
	return err
}

// call sends a request to a resource and reads the answer, which is to have a status.
func call(through *http.Client, request *http.Request, status int) ([]byte, error) {
	response, err := through.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != status {
		return nil, fmt.Errorf("%s answered %d: %.300s", request.URL.Path, response.StatusCode, body)
	}
	return body, nil
}

// consent lodges what the user is going to be asked, as a third party does in the United Kingdom, and returns its id; empty elsewhere, and in FAPI 2.0, where
// the suite breaks at it.
func (j job) consent(ctx context.Context, c *client.Client) (string, error) {
	endpoint := j.exposed["account_requests_endpoint"]
	if j.plan.profile() != ukOpenBanking || j.plan.fapi2() {
		return "", nil
	}
	tokens, err := c.ClientCredentials(ctx, client.TokenOptions{Scopes: []string{"accounts"}})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader([]byte(`{"Data":{"Permissions":["ReadAccountsBasic"]},"Risk":{}}`)))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	body, err := call(c.HTTP(tokens), request, http.StatusOK)
	if err != nil {
		return "", err
	}
	var lodged struct {
		Data struct {
			ID string `json:"AccountRequestId"`
		}
	}
	if err := json.Unmarshal(body, &lodged); err != nil {
		return "", err
	}
	if lodged.Data.ID == "" {
		return "", errors.New("the account request has no id")
	}
	return lodged.Data.ID, nil
}

// ecosystem adds what clients of the plan's ecosystem ask for.
func (j job) ecosystem(options *client.AuthorizeOptions, intent string) {
	switch {
	case intent != "" && j.plan.openID():
		options.Claims = map[string]any{"id_token": map[string]any{
			"openbanking_intent_id": map[string]any{"value": intent, "essential": true},
			"acr":                   map[string]any{"value": "urn:openbanking:psd2:sca", "essential": true},
		}}
	case j.plan.profile() == auConnectID:
		options.Claims = map[string]any{"id_token": map[string]any{"txn": map[string]any{"essential": true}}}
		options.Extra = url.Values{"purpose": {"to know who you are"}}
	}
}

// checkIntent compares the intent that the ID token names with the one that was lodged, which is the application's to do.
func (j job) checkIntent(tokens *client.Tokens, intent string) error {
	if tokens.Identity == nil {
		return nil
	}
	var claims struct {
		Intent string `json:"openbanking_intent_id"`
	}
	if err := tokens.Identity.Decode(&claims); err != nil {
		return err
	}
	if claims.Intent != intent {
		return &applicationError{"openbanking_intent_id", claims.Intent, intent}
	}
	return nil
}

// backchannel asks the user over the backchannel and waits for the decision (CIBA Core §7, §10): by polls, or for a ping to the handler of package rp.
func (d driver) backchannel(ctx context.Context, c *client.Client, j job) error {
	options := client.BackchannelOptions{LoginHint: "user@example.com", BindingMessage: "A1B2"}
	request, err := c.Backchannel(ctx, options)
	if err != nil {
		return err
	}
	tokens, err := c.Await(ctx, request)
	if err != nil {
		return err
	}
	return j.use(ctx, c, tokens)
}

// pinged is backchannel with a ping.
func (d driver) pinged(ctx context.Context, j job) error {
	a, stop, err := d.start(ctx, j)
	if err != nil {
		return err
	}
	defer stop()
	request, err := a.Backchannel(ctx, client.BackchannelOptions{LoginHint: "user@example.com", BindingMessage: "A1B2", Ping: true})
	if err != nil {
		return err
	}
	if err := a.await(ctx, request.ExpiresAt.Sub(d.now())); err != nil {
		return err
	}
	tokens, err := a.Client().Poll(ctx, request)
	if errors.Is(err, client.ErrPending) {
		// The suite knows of its ping only when it has our answer to it.
		tokens, err = a.Client().Await(ctx, request)
	}
	if err != nil {
		return err
	}
	return j.use(ctx, a.Client(), tokens)
}

// second reports whether a module is about the plan's second client.
func second(module string) bool { return strings.Contains(module, "-encrypted-idtoken") }
