package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// Introspection is what the provider says of a token (RFC 7662 §2.2).
type Introspection struct {
	Active bool
	// Raw is the whole object.
	Raw json.RawMessage
	// JWT is the signed answer (RFC 9701), as evidence; empty if it was plain.
	JWT string
}

// Decode reads the answer as JSON.
func (i *Introspection) Decode(into any) error { return json.Unmarshal(i.Raw, into) }

// introspectionMedia is the media type of a signed answer (RFC 9701 §4).
const introspectionMedia = "application/token-introspection+jwt"

// Introspect asks about a token. The answer is signed (RFC 9701) if SignedIntrospection says so, and in FAPI2MessageSigning where the provider
// offers it. Errors are a [*ConfigError] for a provider without the endpoint, a [*ProviderError], [*CheckError] or [*UnavailableError].
func (c *Client) Introspect(ctx context.Context, token string) (*Introspection, error) {
	const what = "introspection"
	p := c.current(ctx)
	to, err := need("introspection_endpoint", p.document.Introspection)
	if err != nil {
		return nil, err
	}
	signed := c.config.SignedIntrospection || c.config.Profile == FAPI2MessageSigning && len(p.document.IntrospectionAlgs) > 0
	accept := "application/json"
	if signed {
		accept = introspectionMedia
	}
	reply, err := c.sender.postFor(ctx, to, url.Values{"token": {token}}, accept, false)
	if err != nil {
		return nil, err
	}
	told := &Introspection{Raw: reply.Body}
	isSigned := reply.MediaType() == introspectionMedia || reply.MediaType() == "application/jwt"
	switch {
	case isSigned:
		verifier, err := p.verifier(c, p.document.IntrospectionAlgs)
		if err != nil {
			return nil, err
		}
		if told.Raw, told.JWT, err = verifier.Introspection(ctx, strings.TrimSpace(string(reply.Body))); err != nil {
			return nil, verdict(what, err)
		}
	case signed:
		return nil, refuse(what, "signature", "it is not signed, which was asked for")
	default:
		if err := to.wantJSON(reply); err != nil {
			return nil, err
		}
	}
	var members struct {
		Active *bool `json:"active"`
	}
	if err := decode(what, told.Raw, &members); err != nil {
		return nil, err
	}
	if members.Active == nil {
		return nil, refuse(what, "active", "it is missing")
	}
	told.Active = *members.Active
	return told, nil
}

// UserInfo is what the provider says of a user (OpenID Connect Core §5.3). Its sub is that of the ID token.
type UserInfo struct {
	Subject string
	Raw     json.RawMessage
	// JWT is the signed answer, as evidence; empty if it was plain.
	JWT string
}

// Decode reads the claims as JSON.
func (u *UserInfo) Decode(into any) error { return json.Unmarshal(u.Raw, into) }

// UserInfo asks for the claims of the tokens' user: JSON, or a JWT that is decrypted and verified. Another sub than that of
// the ID token is refused (§5.3.2), and so are tokens without one. Errors are a [*ConfigError], [*ProviderError], [*CheckError] or
// [*UnavailableError].
func (c *Client) UserInfo(ctx context.Context, t *Tokens) (*UserInfo, error) {
	const what = "UserInfo"
	p := c.current(ctx)
	to, err := need("userinfo_endpoint", p.document.UserInfo)
	if err != nil {
		return nil, err
	}
	if t == nil || t.Identity == nil {
		return nil, misconfigured("Tokens", "there is no ID token whose user this could be")
	}
	reply, err := c.protected(ctx, to, http.MethodGet, t, "application/json, application/jwt")
	if err != nil {
		return nil, err
	}
	told := &UserInfo{Raw: reply.Body}
	switch {
	case reply.MediaType() == "application/jwt":
		verifier, err := p.verifier(c, nil)
		if err != nil {
			return nil, err
		}
		if told.Raw, told.JWT, err = verifier.UserInfo(ctx, strings.TrimSpace(string(reply.Body))); err != nil {
			return nil, verdict(what, err)
		}
	case !reply.IsJSON():
		return nil, &UnavailableError{Endpoint: to.name, Reason: "its answer is neither JSON nor a JWT, says its Content-Type"}
	}
	var members struct {
		Subject string `json:"sub"`
	}
	if err := decode(what, told.Raw, &members); err != nil {
		return nil, err
	}
	if members.Subject != t.Identity.Subject {
		return nil, refuse(what, "sub", "it is about another user than the ID token")
	}
	told.Subject = members.Subject
	return told, nil
}
