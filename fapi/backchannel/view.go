package backchannel

import (
	"net/url"
	"slices"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/claims"
	"countersign/fapi/managed"
	"countersign/fapi/offers"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/request"
	"countersign/fapi/scope"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
)

// State is the state of a request.
type State string

// The states of a request.
const (
	Waiting  State = "waiting"
	Approved State = "approved"
	Denied   State = "denied"
	Expired  State = "expired"
)

// View is a request as users see it: the client, what it requests, and the state.
type View struct {
	// Reference names the request. It is no secret: the SHA-256 of the auth_req_id in base64url.
	Reference string
	State     State
	Client    browser.Client
	// Message is the binding_message, checked to be plain text; empty for none. Pages show it as
	// text, set off from their own.
	Message string
	// Claims are the names of claims about the user that are requested beside those of the scopes.
	Claims []string
	// Scopes, Details and Resources are what the client will get.
	Scopes    []scope.Scope
	Details   []display.View
	Resources []string
	// ResourceNames are what people call the Resources.
	ResourceNames []string
	// Values are the authorization_details themselves, in the order of Details.
	Values rar.Details
	// ConsentValues are those of the consent that a waiting request names; what is shown of them is at the end of Details.
	ConsentValues rar.Details
	// ACRs are the authentication context classes of which one, or a better one, is needed to approve; empty for any.
	ACRs                 []string
	CreatedAt, ExpiresAt time.Time
	// GrantLifetime is the lifetime of the grant that is requested.
	GrantLifetime time.Duration
	// GrantUntil is when it ends at the latest by its details, or zero.
	GrantUntil time.Time
	// Language is that of Details (BCP 47).
	Language string
	// Change is what the request does to a grant that the user has allowed before; nil where it changes none.
	Change *managed.Change
	// Digest is that of the request itself ([tokens.Detail.DigestFor]); the grant has it.
	Digest string

	// Picks are what [View.Chosen] took from a form.
	Picks url.Values

	scopes  []string
	claims  *claims.Request
	consent *tokens.Consent
	types   *rar.Types
	offers  *offers.Offers
	change  *request.Change
	catalog *scope.Catalog
	// agreed shows the consent in a language; nil for none.
	agreed func(language string) ([]display.View, error)
}

// Once reports whether it allows one thing at once, and nothing that lasts: then no lifetime is shown.
func (v View) Once() bool { return display.Once(v.Details, v.Scopes) }

// In returns the request with its details in a language.
func (v View) In(language string) (View, error) {
	v.Language = language
	if v.types == nil {
		return v, nil
	}
	var err error
	if v.Change, err = managed.View(v.change, v.catalog, v.types, language, v.Client.Asker()); err != nil {
		return v, err
	}
	v.Details, err = v.Values.View(v.types, language, v.Client.Asker())
	if err != nil || v.agreed == nil {
		return v, err
	}
	agreed, err := v.agreed(language)
	v.Details = append(v.Details, agreed...)
	return v, err
}

// Offered returns the request with accounts that the login of the operator's own offers, in the lists that it leaves to be offered there.
// Errors are *[oauth.Error] with invalid_request.
func (v View) Offered(accounts []display.Offered) (View, error) {
	if err := v.offers.CheckLogin(v.Values, accounts, true); err != nil {
		return v, err
	}
	filled, err := v.offers.FromLogin(v.Values, accounts)
	if err != nil {
		return v, oauth.Errorf(oauth.InvalidRequest, "accounts: there is none to choose from").Because(err)
	}
	v.types = v.types.Knowing(accounts)
	return v.of(tokens.Detail{Details: filled, Resources: v.Resources, Claims: v.claims, Consent: v.consent})
}

// Chosen returns the request with only what a form chose of its details; see [display.Offer.Input]. Errors wrap
// [display.ErrNotChosen], or are *[oauth.Error] for what was not offered.
func (v View) Chosen(form url.Values) (View, error) {
	chosen, err := v.Values.Chosen(v.types, form)
	if err != nil {
		return v, err
	}
	v.Picks = display.Inputs(form)
	return v.of(tokens.Detail{Details: chosen, Resources: v.Resources, Claims: v.claims, Consent: v.consent})
}

// of returns the request with its details and digest as they are in a grant.
func (v View) of(granted tokens.Detail) (View, error) {
	v.Values, v.Digest = granted.Details, granted.DigestFor(v.scopes)
	return v.In(v.Language)
}

// HasChoice reports whether the user has to choose something of the details.
func (v View) HasChoice() bool { return slices.ContainsFunc(v.Details, display.View.HasChoice) }
