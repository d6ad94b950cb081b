package request

import (
	"context"

	"countersign/fapi/client"
	"countersign/internal/oauth"
)

// input is a request before it is checked.
type input struct {
	at     Endpoint
	client *client.Client
	form   oauth.Form
}

// row is one check: the endpoints that it applies to, the rows whose results it needs, and the function. again checks
// a stored request against the client and the configuration of now; it is nil where the result depends on neither.
type row struct {
	name string
	at   Endpoint
	// after names the rows whose results the check reads. They come before it (table_test.go).
	after []string
	check func(ctx context.Context, c *Checker, in input, read *Request) error
	again func(c *Checker, in input, read Request) error
}

// table lists all checks, in their order. The functions return values without side effects; only the rows write, each
// its own fields.
func table() []row {
	const (
		browser = Pushed | ByValue
		user    = browser | Backchannel
		all     = user | ClientCredentials
	)
	return []row{
		{name: "parameters of the profile", at: user, again: purposeAgain,
			check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
				read.Purpose, err = profileParameters(in)
				return err
			}},
		{name: "redirect_uri", at: browser, again: redirectAgain, check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
			read.RedirectURI, err = redirectURI(in)
			return err
		}},
		{name: "response_type, response_mode", at: browser, again: responseAgain,
			check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
				read.ResponseType, read.ResponseMode, err = response(in)
				return err
			}},
		{name: "code_challenge", at: browser, again: challengeAgain,
			check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
				read.Challenge, err = challenge(in)
				return err
			}},
		{name: "state, nonce, login_hint", at: browser,
			check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
				read.State, read.Nonce, read.LoginHint, err = opaque(in)
				return err
			}},
		{name: "ui_locales", at: browser, check: func(_ context.Context, _ *Checker, in input, read *Request) error {
			read.UILocales = uiLocales(in)
			return nil
		}},
		{name: "authorization_details", at: all, again: detailsAgain,
			check: func(_ context.Context, c *Checker, in input, read *Request) (err error) {
				read.Details, err = c.details(in)
				return err
			}},
		{name: "scope", at: user, again: scopesAgain, after: []string{"authorization_details"},
			check: func(_ context.Context, c *Checker, in input, read *Request) (err error) {
				read.Scopes, err = c.userScopes(in, len(read.Details) > 0)
				return err
			}},
		{name: "scope of the client", at: ClientCredentials, after: []string{"authorization_details"},
			check: func(_ context.Context, c *Checker, in input, read *Request) (err error) {
				read.Scopes, err = c.clientScopes(in, len(read.Details) > 0)
				return err
			}},
		{name: "binding of the answer", at: browser, again: bindingAgain,
			after: []string{"response_type, response_mode", "state, nonce, login_hint", "scope"},
			check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
				read.Nonce, err = boundAnswer(in, *read)
				return err
			}},
		{name: "dpop_jkt", at: browser, again: keyAgain, check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
			read.JKT, err = dpopKey(in)
			return err
		}},
		{name: "prompt", at: browser, check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
			read.Prompt, err = prompt(in)
			return err
		}},
		{name: "max_age", at: browser, again: ageAgain, check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
			read.MaxAge, err = age(in)
			return err
		}},
		{name: "resource", at: all, again: resourcesAgain, after: []string{"authorization_details", "scope", "scope of the client"},
			check: func(_ context.Context, c *Checker, in input, read *Request) (err error) {
				read.Resources, err = c.resources(in, read.Scopes, read.Details)
				return err
			}},
		{name: "claims", at: user, again: claimsAgain, after: []string{"scope"},
			check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
				read.Claims, err = requestedClaims(in, read.Scopes)
				return err
			}},
		{name: "acr_values", at: user, again: contextAgain, after: []string{"claims"},
			check: func(_ context.Context, c *Checker, in input, read *Request) error {
				return c.authenticationContext(in, read)
			}},
		{name: "consent", at: user, after: []string{"authorization_details"},
			check: func(_ context.Context, _ *Checker, in input, read *Request) (err error) {
				read.Consent, err = consentOf(in, *read)
				return err
			}},
		{name: "id_token_hint", at: browser, after: []string{"claims"},
			check: func(ctx context.Context, c *Checker, in input, read *Request) (err error) {
				read.Subject, err = c.subject(ctx, in, read.Claims)
				return err
			}},
		{name: "grant_management_action, grant_id", at: user,
			after: []string{"authorization_details", "scope", "resource", "claims", "consent", "id_token_hint"},
			check: func(ctx context.Context, c *Checker, in input, read *Request) error { return c.manage(ctx, in, read) }},
	}
}
