// Package handoff says what a login of the operator's own is, to which interactions are handed, and what it may say of a user.
package handoff

import (
	"slices"
	"strings"
	"time"

	"countersign/fapi/endpoint"
	"countersign/internal/oauth"
)

// Settings are a login of the operator's own, to which interactions are handed.
type Settings struct {
	// Address is where browsers are sent, with the handle as the parameter "handle".
	Address string
	// Login and Consent say what the login does; what it does not, the pages of the server do.
	Login, Consent bool
	// ACRValues are the authentication context classes that it may claim.
	ACRValues []string
	// Lifetime is how long it may take to answer.
	Lifetime time.Duration
}

// Signs reports whether the login signs users in, and asks nothing else.
func (s Settings) Signs() bool { return s.Login && !s.Consent }

// maxAuthentication is how long ago a user may have authenticated at the login.
const maxAuthentication = 24 * time.Hour

// Refusals are the errors that a login can answer with, and what the client is told.
func Refusals() map[string]string {
	return map[string]string{
		oauth.AccessDenied:           "the user denied the request",
		oauth.LoginRequired:          "the user did not sign in",
		oauth.ConsentRequired:        "the user did not decide",
		oauth.InteractionRequired:    "the user has to do something else first",
		oauth.UnmetAuthentication:    "the user cannot sign in with the acr that the request demands",
		oauth.TemporarilyUnavailable: "the user could not sign in at the moment; try again later",
	}
}

// unprintable reports whether r is no printable ASCII character, or space.
func unprintable(r rune) bool { return r <= 0x20 || r > 0x7e }

// CheckSubject checks the names of a user (OpenID Connect Core §2: at most 255 ASCII characters). Errors are *[oauth.Error].
func CheckSubject(subject, username string) error {
	switch {
	case subject == "" || len(subject) > 255 || strings.ContainsFunc(subject, unprintable):
		return oauth.Errorf(oauth.InvalidRequest, "subject must be 1 to 255 printable ASCII characters without space (OpenID Connect Core §2)")
	case len(username) > 255 || strings.TrimSpace(username) != username:
		return oauth.Errorf(oauth.InvalidRequest, "username must have at most 255 bytes, and no space around it")
	}
	return nil
}

// CheckSignIn checks what the login says at a time about a sign-in: the class, which it must be allowed to claim, the methods and
// the time. Errors are *[oauth.Error].
func (s Settings) CheckSignIn(acr string, amr []string, at, now time.Time) error {
	refuse := func(format string, arguments ...any) error {
		return oauth.Errorf(oauth.InvalidRequest, format, arguments...)
	}
	known := !slices.ContainsFunc(amr, func(method string) bool {
		return method == "" || len(method) > 32 || strings.ContainsFunc(method, unprintable)
	})
	switch {
	case !slices.Contains(s.ACRValues, acr):
		return refuse("acr must be one that this login may claim: %s", strings.Join(s.ACRValues, ", "))
	case len(amr) == 0 || len(amr) > 10 || !known:
		return refuse("amr must hold 1 to 10 methods (RFC 8176), each of 1 to 32 printable ASCII characters")
	case at.After(now.Add(endpoint.ClockDifference)): // the login's clock may be ahead
		return refuse("auth_time is in the future")
	case at.Before(now.Add(-maxAuthentication)):
		return refuse("auth_time is missing, or longer ago than %s", maxAuthentication)
	}
	return nil
}
