package backchannel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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
	// UserPerMinute and UserBurst bound the requests of one client for one user: 3 a minute after a burst of 5.
	UserPerMinute float64
	UserBurst     int
	// RequireBindingMessage demands a binding_message in each request without authorization_details. Otherwise only
	// requests for a scope with [scope.Scope].AlwaysAsk need one (FAPI-CIBA §5.2.2-2).
	RequireBindingMessage bool
	// LoginHint is the meaning of login_hint: "username", the default, or "subject".
	LoginHint string
	// HintIssuers are the trusted issuers of login_hint_token.
	HintIssuers []HintIssuer
	// UserCodes checks user codes; nil does not support them.
	UserCodes UserCodes
	// Seals encrypts pending notifications in the store; nil offers no ping.
	Seals *ciba.Sealer
	// Certificate is the TLS client certificate for notification endpoints that request one, which may change; nil is none.
	Certificate *atomic.Pointer[tls.Certificate]
}

// UserCodes checks the user codes that protect users from unsolicited requests (CIBA Core §7.1).
type UserCodes interface {
	// Compare reports whether a code matches a hash. An empty hash matches no code, in the same time. Guesses are
	// limited by user: after too many, the code is not checked, and retryAfter is how long to wait.
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
	setDefault(&s.UserPerMinute, 3)
	setDefault(&s.UserBurst, 5)
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
	for i, issuer := range s.HintIssuers {
		if issuer.Issuer == "" || len(issuer.Keys.Keys()) == 0 {
			problem("HintIssuers[%d] needs an issuer and its keys", i)
		}
	}
	return s, errors.Join(problems...)
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}
