package backchannel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"countersign/ciba"
)

// Settings are configured by the operator. Durations and numbers of 0 take the default named.
type Settings struct {
	// Lifetime is the lifetime of a request without requested_expiry (2 min), MaxLifetime the maximum (10 min).
	Lifetime, MaxLifetime time.Duration
	// Interval is the least time between two polls; 5 s.
	Interval time.Duration
	// LongPoll is how long a poll is held while the request is pending; 0 answers at once. At most 15 s.
	LongPoll time.Duration
	// PendingPerUser and PendingPerClient bound the pending requests for one user: of all clients (5), and of one client
	// (3).
	PendingPerUser, PendingPerClient int
	// PendingPerOrganisation bounds those of all clients of one organisation (3). It is less than PendingPerUser, unless that
	// is 1: others keep a place.
	PendingPerOrganisation int
	// UserPerMinute and UserBurst bound the requests of one client for one user: 3 a minute after a burst of 5.
	UserPerMinute float64
	UserBurst     int
	// OrganisationPerMinute and OrganisationBurst bound those of all clients of one organisation for one user (5 and 8),
	// AllPerMinute and AllBurst those of all clients (20 and 30).
	OrganisationPerMinute float64
	OrganisationBurst     int
	AllPerMinute          float64
	AllBurst              int
	// DenialPause is how long an organisation waits after a user has denied three requests of its clients in a row (15 s).
	// It doubles with each denial after that, up to a day.
	DenialPause time.Duration
	// RequireBindingMessage demands a binding_message in each request without authorization_details. Otherwise only
	// requests for a scope with [scope.Scope].AlwaysAsk need one (FAPI-CIBA §5.2.2-2).
	RequireBindingMessage bool
	// LoginHint is the meaning of login_hint: "username", the default, or "subject".
	LoginHint string
	// HintIssuers are the trusted issuers of login_hint_token.
	HintIssuers []HintIssuer
	// ResolveHint finds the users of hints elsewhere, in place of LoginHint and of the directory. Where there are HintIssuers, a
	// login_hint_token is verified here first: whoever resolves it gets none that is forged, for another server, used or too old.
	ResolveHint func(ctx context.Context, hint Hint) (subject string, err error)
	// UserCodes checks user codes; nil does not support them.
	UserCodes UserCodes
	// Seals encrypts pending notifications in the store; nil offers no ping.
	Seals *ciba.Sealer
	// Certificate is the TLS client certificate for notification endpoints that request one, which may change; nil is none.
	Certificate *atomic.Pointer[tls.Certificate]
}

// Hint says of a request whom it is about (CIBA Core §7.1).
type Hint struct {
	// ClientID is who asks.
	ClientID string
	// Kind is the parameter: login_hint or login_hint_token.
	Kind string
	// Value is as the client sent it; a login_hint_token is not verified.
	Value string
}

// ErrUnknownUser: a hint is of nobody.
var ErrUnknownUser = errors.New("fapi: nobody has this hint")

// UserCodes checks the user codes that protect users from unsolicited requests (CIBA Core §7.1).
type UserCodes interface {
	// Compare reports whether a code matches a hash. An empty hash matches no code, in the same time. Guesses are
	// limited by user, who may be another for each organisation that asks: after too many, the code is not checked, and retryAfter is how long to wait.
	Compare(ctx context.Context, user, hash, code string) (fits bool, retryAfter time.Duration, err error)
}

const (
	maxLongPoll = 15 * time.Second
	// PollTolerance is how much earlier than the announced interval a poll may arrive, because of network jitter.
	PollTolerance = 500 * time.Millisecond
)

// Check returns the settings with the defaults filled in. Problems are joined.
func (s Settings) Check() (Settings, error) {
	setDefault(&s.Lifetime, 2*time.Minute)
	setDefault(&s.MaxLifetime, 10*time.Minute)
	setDefault(&s.Interval, 5*time.Second)
	setDefault(&s.PendingPerUser, 5)
	setDefault(&s.PendingPerClient, 3)
	setDefault(&s.PendingPerOrganisation, 3)
	setDefault(&s.UserPerMinute, 3)
	setDefault(&s.UserBurst, 5)
	setDefault(&s.OrganisationPerMinute, 5)
	setDefault(&s.OrganisationBurst, 8)
	setDefault(&s.AllPerMinute, 20)
	setDefault(&s.AllBurst, 30)
	setDefault(&s.DenialPause, 15*time.Second)
	setDefault(&s.LoginHint, hintUsername)
	var problems []error
	problem := func(format string, arguments ...any) {
		problems = append(problems, fmt.Errorf("fapi: Backchannel."+format, arguments...))
	}
	if s.Lifetime < time.Second || s.Lifetime > s.MaxLifetime || s.MaxLifetime > time.Hour {
		problem("Lifetime must be at most MaxLifetime, and that at most 1h")
	}
	if s.Interval < time.Second || s.Interval > time.Minute {
		problem("Interval must be between 1s and 1m")
	}
	if s.LongPoll < 0 || s.LongPoll > maxLongPoll {
		problem("LongPoll must be at most %s", maxLongPoll)
	}
	if s.LoginHint != hintUsername && s.LoginHint != hintSubject {
		problem("LoginHint must be %s or %s", hintUsername, hintSubject)
	}
	rates := []float64{s.UserPerMinute, s.OrganisationPerMinute, s.AllPerMinute}
	if slices.ContainsFunc(rates, func(rate float64) bool { return rate < 0.001 || rate > 1e6 }) ||
		min(s.UserBurst, s.OrganisationBurst, s.AllBurst) < 1 {
		problem("UserPerMinute, OrganisationPerMinute and AllPerMinute must be between 0.001 and a million, their bursts at least 1")
	}
	if min(s.PendingPerUser, s.PendingPerOrganisation, s.PendingPerClient) < 1 {
		problem("PendingPerUser, PendingPerOrganisation and PendingPerClient must be at least 1")
	}
	if s.DenialPause < 0 || s.DenialPause > maxPause {
		problem("DenialPause must be at most %s", maxPause)
	}
	for i, issuer := range s.HintIssuers {
		if issuer.Issuer == "" || len(issuer.Keys.Keys()) == 0 {
			problem("HintIssuers[%d] needs an issuer and its keys", i)
		}
	}
	return s, errors.Join(problems...)
}

// pendingPerOrganisation is how many requests of one organisation may be pending for one user.
func (s Settings) pendingPerOrganisation() int {
	return min(s.PendingPerOrganisation, max(s.PendingPerUser-1, 1))
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}
