package fapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"countersign/internal/oauth"
	"countersign/store"
)

// redeem exchanges an authorization code for tokens (RFC 6749 §4.1.3): validate, sign, claim, release.
func (s *Server) redeem(ctx context.Context, c *call, binding confirmation) (answer, error) {
	presented := c.form.Get("code")
	if presented == "" {
		return answer{}, oauth.Errorf(oauth.InvalidRequest, "code is missing")
	}
	digest := store.DigestOf(presented)
	code, grant, err := s.store.CodeGrant(ctx, digest)
	if errors.Is(err, store.ErrNotFound) {
		return answer{}, unusable("code", err)
	}
	if err != nil {
		return answer{}, err
	}
	if err := s.checkCode(ctx, c, code, grant, binding); err != nil {
		return answer{}, err
	}

	purchase, err := s.buy(ctx, c, grant, binding)
	if err != nil {
		return answer{}, err
	}
	if err := s.store.RedeemCode(ctx, digest, purchase.bought, c.uses...); err != nil {
		return answer{}, wasted("code", err)
	}
	c.uses = nil
	return purchase.answer, nil
}

// checkCode makes every check that needs no claim. A code in the wrong hands is refused and stays as it is; only its
// own client can spend, revoke or wear it out.
func (s *Server) checkCode(ctx context.Context, c *call, code store.Code, grant store.Grant, binding confirmation) error {
	now := s.now()
	switch {
	case code.ClientID != c.client.ID:
		return unusable("code", errors.New("presented by another client"))
	case !code.ConsumedAt.IsZero():
		// The second use: the claim refuses it and revokes what the first one bought (RFC 6749 §4.1.2).
		// A request that is itself a repetition proves nothing and ends nothing.
		if err := s.claim(ctx, c); err != nil {
			return err
		}
		err := s.store.RedeemCode(ctx, code.ID, store.Issued{})
		s.note(ctx, c.client.ID, "code_used_twice", "grant", grant.ID)
		return wasted("code", err)
	case !now.Before(code.ExpiresAt):
		return unusable("code", store.ErrExpired)
	case code.Failures >= maxRedemptionFailures:
		return unusable("code", errors.New("too many wrong redemptions"))
	case !grant.RevokedAt.IsZero():
		return unusable("code", store.ErrRevoked)
	}
	if wrong := mismatch(c.form, code, binding); wrong != "" {
		if err := s.claim(ctx, c); err != nil {
			return err
		}
		if _, err := s.store.RedemptionFailed(ctx, code.ID); err != nil {
			return err
		}
		return oauth.Errorf(oauth.InvalidGrant, "%s", wrong)
	}
	return checkPerson("code", grant)
}

// mismatch names what of the request does not fit the code, or "".
func mismatch(form oauth.Form, code store.Code, binding confirmation) string {
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
	case !isVerifier(verifier) || !sameToken(challengeOf(verifier), code.Challenge):
		return "code_verifier does not fit the code_challenge (RFC 7636 §4.6)"
	}
	if code.JKT != "" && code.JKT != binding.JKT {
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

// challengeOf is the S256 transformation (RFC 7636 §4.2).
func challengeOf(verifier string) string {
	digest := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}
