package bank

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/dpop"
	"countersign/internal/jose"
)

// access is what the server says about a token.
type access struct {
	Active   bool   `json:"active"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	// Confirmation is what the token is bound to: a certificate or a key.
	Confirmation struct {
		Certificate string `json:"x5t#S256"`
		Key         string `json:"jkt"`
	} `json:"cnf"`
}

// refusal is an answer that is no success.
type refusal struct {
	status      int
	code, title string
}

func (e *refusal) Error() string { return e.code + ": " + e.title }

func refuse(status int, code, format string, arguments ...any) error {
	return &refusal{status, code, fmt.Sprintf(format, arguments...)}
}

var errToken = &refusal{http.StatusUnauthorized, "invalid_token", "the access token is not valid here"}

// authorize checks the access token of a request and that its sender holds the key it is bound to (RFC 8705 §3, RFC 9449 §7.1).
func (b *Bank) authorize(r *http.Request, wanted resource) (access, error) {
	if r.URL.Query().Has("access_token") { // FAPI 2.0 Security Profile §5.3.4
		return access{}, refuse(http.StatusBadRequest, "invalid_request", "the access token belongs into the header")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token == "" {
		return access{}, errToken
	}
	known, err := b.introspect(r.Context(), token)
	if err != nil {
		return access{}, err
	}
	if !known.Active {
		return access{}, errToken
	}
	if err := b.holder(r, scheme, token, known); err != nil {
		return access{}, err
	}
	if !wanted.allows(strings.Fields(known.Scope)) {
		return access{}, refuse(http.StatusForbidden, "insufficient_scope", "the access token has the scope %q, and %s is needed", known.Scope, wanted.needs())
	}
	return known, nil
}

// introspect asks the server about a token.
func (b *Bank) introspect(ctx context.Context, token string) (access, error) {
	reply, err := b.opened().Server.Introspect(ctx, token)
	if err == nil {
		err = reply.Expect(http.StatusOK)
	}
	var known access
	if err == nil {
		err = reply.Decode(&known)
	}
	if err != nil {
		return access{}, refuse(http.StatusBadGateway, "introspection_failed", "%v", err)
	}
	return known, nil
}

// holder checks the proof of possession.
func (b *Bank) holder(r *http.Request, scheme, token string, known access) error {
	proof, present, err := dpop.FromHeader(r.Header)
	if err != nil {
		return refuse(http.StatusUnauthorized, "invalid_dpop_proof", "%v", err)
	}
	if known.Confirmation.Key != "" {
		if !strings.EqualFold(scheme, "DPoP") || !present {
			return refuse(http.StatusUnauthorized, "invalid_dpop_proof", "the token is bound by DPoP")
		}
		return b.proven(r, proof, token, known.Confirmation.Key)
	}
	switch {
	case !strings.EqualFold(scheme, "Bearer") || present || known.Confirmation.Certificate == "":
		return errToken
	case r.TLS == nil || len(r.TLS.PeerCertificates) == 0:
		return refuse(http.StatusUnauthorized, "invalid_token", "the token is bound to a certificate, and none was shown")
	}
	digest := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	if base64.RawURLEncoding.EncodeToString(digest[:]) != known.Confirmation.Certificate {
		return refuse(http.StatusUnauthorized, "invalid_token", "the token is bound to another certificate")
	}
	return nil
}

// proven checks a DPoP proof, which is good once.
func (b *Bank) proven(r *http.Request, raw, token, thumbprint string) error {
	policy := dpop.Policy{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}, Now: b.now}
	proof, err := policy.Verify(raw, dpop.Request{Method: r.Method, URLs: []string{b.base + r.URL.Path}, AccessToken: token})
	if err == nil && proof.JKT != thumbprint {
		err = errors.New("the token is bound to another key")
	}
	if err == nil && !b.first(string(proof.ReplayKey[:]), proof.Until) {
		err = errors.New("the proof was used before")
	}
	if err != nil {
		return refuse(http.StatusUnauthorized, "invalid_dpop_proof", "%v", err)
	}
	return nil
}

// first reports whether a proof is seen for the first time.
func (b *Bank) first(key string, until time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for old, end := range b.proofs {
		if end.Before(now) {
			delete(b.proofs, old)
		}
	}
	if _, seen := b.proofs[key]; seen {
		return false
	}
	b.proofs[key] = until
	return true
}

// allows reports whether scope values suffice.
func (r resource) allows(scopes []string) bool {
	holds := func(wanted string) bool {
		prefix, parameter := strings.CutSuffix(wanted, ":*")
		return slices.ContainsFunc(scopes, func(s string) bool {
			return s == wanted || parameter && strings.HasPrefix(s, prefix+":") && len(s) > len(prefix)+1
		})
	}
	return slices.ContainsFunc(r.scopes, func(all string) bool {
		return !slices.ContainsFunc(strings.Fields(all), func(one string) bool { return !holds(one) })
	})
}

func (r resource) needs() string { return strings.Join(r.scopes, " or ") }

// consentID is the consent that a scope value names, such as consent:urn:bank:1 or accounts:1.
func (a access) consentID() string {
	for scope := range strings.FieldsSeq(a.Scope) {
		for _, prefix := range []string{"consent:", "accounts:"} {
			if id, ok := strings.CutPrefix(scope, prefix); ok {
				return cmp.Or(id, "-")
			}
		}
	}
	return ""
}
