package statement

import (
	"encoding/json"
	"strings"
	"time"

	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/store"
)

// maxRequestLifetime bounds exp of a registration request: as long as its jti is remembered.
const maxRequestLifetime = 24 * time.Hour

// KindRequest is the kind of the one-time value of a registration request that is a JWT.
const KindRequest = "registration_request"

// Request is a registration request that is a JWT, signed by the client (UK Open Banking DCR 3.3, Consumer Data Standards
// "Registration Request using JWT"). Nothing in it may be trusted before its token was verified.
type Request struct {
	Token *jose.Token
	// Members are the client metadata: the claims without those of a JWT.
	Members map[string]json.RawMessage

	issuer, id      string
	audience        jose.Audience
	issued, expires *jose.NumericDate
	notBefore       *jose.NumericDate
}

// refusedRequest is invalid_client_metadata (RFC 7591 §3.2.2): no other code is for the request as a whole.
func refusedRequest(format string, arguments ...any) *oauth.Error {
	return oauth.Errorf(oauth.InvalidClientMetadata, "the registration request: "+format, arguments...)
}

// ParseRequest reads a request that is signed with one of the algorithms.
func ParseRequest(raw string, algorithms []string) (*Request, error) {
	token, err := jose.Parse(strings.TrimSpace(raw), jose.ParseOptions{Algorithms: algorithms})
	if err != nil {
		return nil, refusedRequest("not a JWT that is signed with one of %s: %v", strings.Join(algorithms, ", "), err).Because(err)
	}
	var claims struct {
		Issuer    string            `json:"iss"`
		ID        string            `json:"jti"`
		Audience  *jose.Audience    `json:"aud"`
		IssuedAt  *jose.NumericDate `json:"iat"`
		Expires   *jose.NumericDate `json:"exp"`
		NotBefore *jose.NumericDate `json:"nbf"`
	}
	if err := token.Claims(&claims); err != nil {
		return nil, refusedRequest("%v", err).Because(err)
	}
	r := &Request{Token: token, issuer: claims.Issuer, id: claims.ID, issued: claims.IssuedAt, expires: claims.Expires, notBefore: claims.NotBefore}
	if err := token.Claims(&r.Members); err != nil {
		return nil, refusedRequest("%v", err).Because(err)
	}
	for _, claim := range []struct {
		name    string
		missing bool
	}{
		{"iss", claims.Issuer == ""}, {"aud", claims.Audience == nil}, {"iat", claims.IssuedAt == nil}, {"exp", claims.Expires == nil},
		{"jti", claims.ID == ""},
	} {
		if claim.missing {
			return nil, refusedRequest("it has no %s", claim.name)
		}
	}
	if len(claims.Issuer) > maxName || len(claims.ID) > maxName {
		return nil, refusedRequest("its iss and jti may have %d bytes", maxName)
	}
	r.audience = *claims.Audience
	for _, name := range []string{"iss", "aud", "iat", "exp", "nbf", "jti"} {
		delete(r.Members, name)
	}
	return r, nil
}

// Check holds a request to what it must be: by the software that the statement is for, for one of the audiences, and of now.
func (r *Request) Check(software string, audiences []string, now time.Time, ahead time.Duration) error {
	meant := false
	for _, audience := range audiences {
		meant = meant || r.audience.Contains(audience)
	}
	switch {
	case r.issuer != software:
		return refusedRequest("its iss is not the software_id of the software statement")
	case !meant:
		return refusedRequest("its aud is not %s", strings.Join(audiences, " or "))
	case r.issued.Time().After(now.Add(ahead)):
		return refusedRequest("its iat is in the future")
	case r.notBefore != nil && r.notBefore.Time().After(now.Add(ahead)):
		return refusedRequest("it is not valid yet (nbf)")
	case !now.Before(r.expires.Time()):
		return refusedRequest("it has expired (exp)")
	case r.expires.Time().Sub(now) > maxRequestLifetime:
		return refusedRequest("its exp is more than %s ahead", maxRequestLifetime)
	}
	return nil
}

// OneTime is what makes the request usable once.
func (r *Request) OneTime() store.OneTime {
	return store.OneTime{Kind: KindRequest, Key: keyOf(r.issuer, r.id), Until: r.expires.Time().Add(clockMargin)}
}
