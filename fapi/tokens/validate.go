package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/internal/oauth"
	"countersign/store"
)

// Request is a token request for a grant. The caller has checked its artefact (code, refresh token, auth_req_id).
type Request struct {
	Client *client.Client
	Grant  store.Grant
	// Artefact names the artefact in errors, such as "code".
	Artefact string
	// Scopes are the requested scopes of the grant.
	Scopes []string
	// Form has the parameters resource and authorization_details.
	Form oauth.Form
	// Binding is the key that the client has proven to hold.
	Binding Confirmation
	// Purpose is what the user is asked about for, where the grant is of a user; an ID token is issued [claims.ForTokens] only.
	Purpose claims.Purpose
}

// Validated is a token request that was checked against its grant and the client's registration. Only
// [Issuer.Validate] makes one.
type Validated struct {
	client  *client.Client
	grant   store.Grant
	detail  Detail
	binding Confirmation

	audience []string
	scopes   []string
	details  rar.Details
	// user holds the claims about the user that are for the ID token.
	user map[string]json.RawMessage
}

var errNotValidated = errors.New("tokens: the request was not validated")

// IssuesRefreshToken reports whether the client gets refresh tokens: also not for a request that its ecosystem lets ask for once.
func (v Validated) IssuesRefreshToken() bool {
	once := v.client.Profile.DurationClaim != "" && v.detail.Sharing(v.client.Profile) == 0
	return slices.Contains(v.client.Profile.GrantTypes, profile.RefreshToken) && !once
}

// Grant returns the grant of the tokens.
func (v Validated) Grant() store.Grant { return v.grant }

// ClientID returns the client_id.
func (v Validated) ClientID() string { return v.client.ID }

// Validate checks a token request against its grant: resource (RFC 8707 §2.2) and authorization_details (RFC 9396 §6)
// can only reduce it, and what does not apply to the resources is left out (RFC 9700 §2.3). Last of all it reads what is
// known about the user: nothing has been signed or consumed if that fails. Errors are *[oauth.Error], or of the store.
func (i *Issuer) Validate(ctx context.Context, r Request) (Validated, error) {
	if r.Grant.ClientID != r.Client.ID {
		return Validated{}, Unusable(r.Artefact, errors.New("granted to another client"))
	}
	if r.Grant.UserGone {
		return Validated{}, Unusable(r.Artefact, claims.ErrUserGone)
	}
	detail, err := ReadDetail(r.Grant)
	if err != nil {
		return Validated{}, err
	}
	if err := detail.checkDigest(r.Grant); err != nil {
		return Validated{}, Unusable(r.Artefact, err)
	}
	v := Validated{client: r.Client, grant: r.Grant, detail: detail, binding: r.Binding}
	if v.audience, err = i.audience(r.Form, detail.Resources); err != nil {
		return Validated{}, err
	}
	if v.details, err = i.details(r, detail.Details); err != nil {
		return Validated{}, err
	}
	v.details = v.details.ForResource(v.audience)
	// Scopes that the client is no longer registered for are not issued.
	v.scopes = i.Scopes.Filter(r.Client.Allowed(r.Scopes), v.audience)
	if len(v.scopes) == 0 && len(v.details) == 0 {
		return Validated{}, oauth.Errorf(oauth.InvalidTarget,
			"nothing that was granted applies to the resource %s", strings.Join(v.audience, " "))
	}
	if detail.Consent != nil {
		err := i.Consents.Live(ctx, r.Client.ID, detail.Consent.ID, r.Grant.ID)
		if errors.Is(err, store.ErrRevoked) {
			err = Unusable(r.Artefact, err)
		}
		if err != nil {
			return Validated{}, err
		}
	}
	v.user, err = i.user(ctx, r, detail)
	return v, err
}

// user returns the claims about the user that are for the ID token of a request.
func (i *Issuer) user(ctx context.Context, r Request, detail Detail) (map[string]json.RawMessage, error) {
	if r.Grant.Subject == "" {
		return nil, nil
	}
	var asked claims.Asked
	if r.Purpose == claims.ForTokens && slices.Contains(r.Grant.Scopes, "openid") {
		asked = detail.Claims.At(profile.InIDToken, r.Client.Scopes, r.Client.Profile)
	}
	if asked.Empty() && !i.Users.CheckActive() {
		return nil, nil
	}
	names, essential := asked.Names(nil)
	known, err := i.Users.Known(ctx, claims.Question{
		Subject: r.Grant.Subject, ClientID: r.Client.ID, Purpose: r.Purpose, Scopes: r.Grant.Scopes, Names: names, Essential: essential,
	})
	if errors.Is(err, claims.ErrUserGone) {
		return nil, Unusable(r.Artefact, err)
	}
	if err != nil {
		return nil, err
	}
	return asked.Release(known, nil, i.Now()), nil
}

// audience returns the aud of the token: the requested resources, which must be among those granted.
func (i *Issuer) audience(form oauth.Form, granted []string) ([]string, error) {
	requested := form.All("resource")
	if len(requested) == 0 {
		return i.Scopes.Audience(granted), nil
	}
	for _, resource := range requested {
		if !slices.Contains(granted, resource) && (len(granted) > 0 || resource != i.ID) {
			return nil, oauth.Errorf(oauth.InvalidTarget, "resource was not part of the authorization request (RFC 8707 §2.2)")
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(requested))), nil
}

// details returns the authorization_details of the token: those requested, which must be among those granted.
func (i *Issuer) details(r Request, granted rar.Details) (rar.Details, error) {
	raw := r.Form.Get("authorization_details")
	if raw == "" || r.Form.Get("grant_type") == profile.ClientCredentials { // there they are the grant
		return granted, nil
	}
	requested, err := i.Details.Read(raw, r.Client.Metadata.AuthorizationDetailsTypes)
	if err != nil {
		return nil, err
	}
	return granted.Subset(requested)
}

// Unusable returns the error invalid_grant for an artefact (code, refresh token, auth_req_id); the cause is logged
// only.
func Unusable(artefact string, cause error) error {
	return oauth.Errorf(oauth.InvalidGrant,
		"the %s is not valid: unknown, expired, used before, revoked, or not this client's", artefact).Because(cause)
}
