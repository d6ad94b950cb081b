package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/store"
)

// maxRedemptionFailures is the number of failed redemptions after which a code is invalid.
const maxRedemptionFailures = 5

// codeGrant exchanges an authorization code for tokens (RFC 6749 §4.1.3).
type codeGrant struct {
	store    store.Grants
	issuing  issuing
	evidence *event.Recorder
	now      func() time.Time
}

// redeem validates, signs, consumes, releases. The code is read and then claimed, in two statements: what is signed is in its
// grant, and nothing may be consumed that was not signed before; and a code that another client presents, or that is wrong in some
// other way, must stay as it is, which no claim that came first could take back. The claim checks again what may have
// changed since.
func (g *codeGrant) redeem(ctx context.Context, c *endpoint.Call, bound tokens.Confirmation) (endpoint.Answer, error) {
	presented := c.Form.Get("code")
	if presented == "" {
		return endpoint.Answer{}, oauth.Errorf(oauth.InvalidRequest, "code is missing")
	}
	digest := store.IssuedDigest(presented)
	code, granted, err := g.store.CodeGrant(ctx, digest)
	if errors.Is(err, store.ErrNotFound) {
		return endpoint.Answer{}, tokens.Unusable("code", err)
	}
	if err != nil {
		return endpoint.Answer{}, err
	}
	if err := g.check(ctx, c, code, granted, bound); err != nil {
		return endpoint.Answer{}, err
	}
	validated, err := validate(ctx, g.issuing.tokens, c, "code", granted, granted.Scopes, bound)
	if err != nil {
		return endpoint.Answer{}, err
	}
	issued, answer, err := g.issuing.issue(ctx, validated)
	if err != nil {
		return endpoint.Answer{}, err
	}
	issued.AccessToken.Evidence = []store.Evidence{g.evidence.Event(ctx, c.Client.ID, event.TokensIssued,
		"grant", granted.ID, "subject", granted.Subject, "grant_type", "authorization_code")}
	issued.Reuse = []store.Evidence{g.reused(ctx, granted)}
	if err := g.store.RedeemCode(ctx, digest, issued, c.OneTimes()...); err != nil {
		return endpoint.Answer{}, consumeError("code", err)
	}
	return answer, nil
}

// check makes the checks that need no transaction. A code presented by another client is refused and stays valid;
// only its own client can consume it, cause its revocation, or use up its failures.
func (g *codeGrant) check(
	ctx context.Context, c *endpoint.Call, code store.Code, granted store.Grant, bound tokens.Confirmation,
) error {
	switch {
	case code.ClientID != c.Client.ID:
		return tokens.Unusable("code", errors.New("presented by another client"))
	case !code.ConsumedAt.IsZero():
		return g.usedTwice(ctx, c, code, granted)
	case !g.now().Before(code.ExpiresAt):
		return tokens.Unusable("code", store.ErrExpired)
	case code.Failures >= maxRedemptionFailures:
		return tokens.Unusable("code", errors.New("too many wrong redemptions"))
	case !granted.RevokedAt.IsZero():
		return tokens.Unusable("code", store.ErrRevoked)
	}
	wrong := mismatch(c.Form, code, bound)
	if wrong == "" {
		return nil
	}
	if err := c.ConsumeOneTimes(ctx); err != nil {
		return err
	}
	if _, err := g.store.RedemptionFailed(ctx, code.ID); err != nil {
		return err
	}
	return oauth.Errorf(oauth.InvalidGrant, "%s", wrong)
}

// usedTwice refuses the second use of a code and revokes the tokens that the first one issued (RFC 6749 §4.1.2). A
// replayed token request revokes nothing.
func (g *codeGrant) usedTwice(ctx context.Context, c *endpoint.Call, code store.Code, granted store.Grant) error {
	if err := c.ConsumeOneTimes(ctx); err != nil {
		return err
	}
	reuse := []store.Evidence{g.reused(ctx, granted)}
	return consumeError("code", g.store.RedeemCode(ctx, code.ID, store.Issued{Reuse: reuse}))
}

// reused is the evidence that a code was used twice, which revokes its grant.
func (g *codeGrant) reused(ctx context.Context, granted store.Grant) store.Evidence {
	return g.evidence.Event(ctx, granted.ClientID, event.CodeUsedTwice, "grant", granted.ID, "subject", granted.Subject)
}

// mismatch returns what of the request does not match the code, or "".
func mismatch(form oauth.Form, code store.Code, bound tokens.Confirmation) string {
	verifier := form.Get("code_verifier")
	unchallenged := code.Challenge == "" && verifier == "" // the profile allowed a request without code_challenge
	switch {
	case form.Get("redirect_uri") != code.RedirectURI:
		return "redirect_uri is not the one that the code was sent to (RFC 6749 §4.1.3)"
	case unchallenged:
	case code.Challenge == "":
		return "there was no code_challenge for this code_verifier (RFC 9700 §2.1.1)"
	case verifier == "":
		return "code_verifier is missing (RFC 7636 §4.5)"
	case !isVerifier(verifier) || subtle.ConstantTimeCompare([]byte(challengeOf(verifier)), []byte(code.Challenge)) != 1:
		return "code_verifier does not fit the code_challenge (RFC 7636 §4.6)"
	}
	if code.JKT != "" && code.JKT != bound.JKT {
		return "the code is bound to another DPoP key (RFC 9449 §10)"
	}
	return ""
}

// isVerifier checks the syntax of RFC 7636 §4.1.
func isVerifier(verifier string) bool {
	return len(verifier) >= 43 && len(verifier) <= 128 && !strings.ContainsFunc(verifier, func(r rune) bool {
		return !(r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~", r))
	})
}

// challengeOf returns the S256 challenge of a verifier (RFC 7636 §4.2).
func challengeOf(verifier string) string {
	digest := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}
