package backchannel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"countersign/ciba"
)

// Settings are an operator's choices. Durations and numbers of 0 take the default named.
type Settings struct {
	// Lifetime is how long a request waits that asks for no time (2 min), MaxLifetime the most it can ask for (10 min).
	Lifetime, MaxLifetime time.Duration
	// Interval is the least time between two polls; 5 s.
	Interval time.Duration
	// LongPoll is how long a poll is held while nobody has decided; 0 answers at once. At most 15 s.
	LongPoll time.Duration
	// PendingPerPerson and PendingPerClient bound how many requests wait for one user at once: of all clients (5), and
	// of one client (3).
	PendingPerUser, PendingPerClient int
	// PersonPerMinute and PersonBurst bound how often one client may ask one user; 3 a minute after a burst of 5.
	UserPerMinute float64
	UserBurst     int
	// RequireBindingMessage wants a binding_message in each request without authorization_details. Without it only those
	// requests need one that ask for a scope that users are always asked about (FAPI-CIBA §5.2.2-2).
	RequireBindingMessage bool
	// LoginHint says what a login_hint is: "username", the default, or "subject".
	LoginHint string
	// HintIssuers are those whose login_hint_token is accepted.
	HintIssuers []HintIssuer
	// UserCodes compares user codes; nil does not use them.
	UserCodes UserCodes
	// Seals keeps what pings say while they wait; nil offers no ping.
	Seals *ciba.Sealer
	// Certificate is shown to notification endpoints that ask for one; nil shows none.
	Certificate *tls.Certificate
}

// UserCodes compares the user codes that protect users from requests they did not start (CIBA Core §7.1).
type UserCodes interface {
	// Compare reports whether a code is the one that was hashed. An empty hash matches no code, after the same work. Guesses
	// are counted by user: when there were too many, the code is not looked at, and retryAfter says how long to wait.
	Compare(ctx context.Context, user, hash, code string) (fits bool, retryAfter time.Duration, err error)
}

const (
	maxLongPoll = 15 * time.Second
	// PollTolerance is how much sooner than announced a poll may come: networks are not even.
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
