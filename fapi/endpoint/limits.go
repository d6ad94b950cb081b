package endpoint

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"countersign/internal/address"
	"countersign/internal/jose"
	"countersign/internal/limit"
	"countersign/internal/oauth"
)

// Limits bound the requests of one client and of one network address. They are applied before anything is signed, on
// each node by itself. A rate of 0 is no limit.
type Limits struct {
	// ClientPerSecond and ClientBurst bound the requests of one authenticated client.
	ClientPerSecond float64
	ClientBurst     int
	// AddressFailuresPerSecond and AddressFailureBurst bound the client authentications that fail from one network
	// address, and by themselves what else costs something and fails: see [RateLimits.Stranger]. Those that succeed do not
	// count: many clients may share the address of an ingress.
	AddressFailuresPerSecond float64
	AddressFailureBurst      int
}

// limitCapacity bounds the keys of a limiter.
const limitCapacity = 100_000

// NewLimiter makes a limiter of events per second after a burst, by key.
func NewLimiter(perSecond float64, burst int, now func() time.Time) (*limit.Limiter, error) {
	return limit.New(perSecond, burst, limitCapacity, now)
}

// Allow counts an event of a key. The error is [TooMany] when the limit is exceeded.
func Allow(l *limit.Limiter, key, why string) error {
	if ok, wait := l.Allow(key); !ok {
		return TooMany(wait, why)
	}
	return nil
}

// RateLimits enforces [Limits].
type RateLimits struct {
	// clients and failures are nil without a limit.
	clients  *limit.Limiter
	failures *limit.Limiter
}

// NewRateLimits makes the limiters.
func NewRateLimits(l Limits, now func() time.Time) (*RateLimits, error) {
	made := &RateLimits{}
	var err error
	if l.ClientPerSecond > 0 {
		if made.clients, err = NewLimiter(l.ClientPerSecond, l.ClientBurst, now); err != nil {
			return nil, err
		}
	}
	if l.AddressFailuresPerSecond > 0 {
		if made.failures, err = NewLimiter(l.AddressFailuresPerSecond, l.AddressFailureBurst, now); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// ForgiveClient gives back what [RateLimits.Unauthenticated] counted.
func (l *RateLimits) ForgiveClient(what, clientID string) {
	if l.clients != nil {
		l.clients.Refund(what + "\x00" + clientID)
	}
}

// AuthenticationFailed counts a failed client authentication by address, and returns the error to answer with: err,
// or [TooMany] once the address has exceeded the limit, so that guessing reveals nothing. Clients that authenticate
// are served all the same: behind an ingress or a carrier's NAT all share an address, and a flood must not lock the
// others out.
func (l *RateLimits) AuthenticationFailed(r *http.Request, err error) error {
	if l.failures == nil {
		return err
	}
	counted := []string{oauth.InvalidClient, oauth.InvalidToken, oauth.InvalidSoftwareStatement, oauth.UnapprovedSoftwareStatement}
	if !slices.Contains(counted, oauth.AsError(err).Code) {
		return err
	}
	if _, remote := errors.AsType[*jose.RemoteError](err); remote {
		return err // the client's key server failed
	}
	limited := Allow(l.failures, AddressOf(r), "too many client authentications from this address have failed")
	if limited != nil {
		return limited
	}
	return err
}

// Authenticated counts a request of a client.
func (l *RateLimits) Authenticated(clientID string) error {
	if l.clients == nil {
		return nil
	}
	return Allow(l.clients, clientID, "this client sends too many requests")
}

// Unauthenticated counts what unauthenticated requests cause in the name of a client, such as signed error responses.
// It is limited separately, so that others cannot use up the client's own limit.
func (l *RateLimits) Unauthenticated(what, clientID string) error {
	return l.Authenticated(what + "\x00" + clientID)
}

// Stranger counts, by network address, a request that no client has authenticated, before something is done for it that
// costs: a decryption, the check of a signature, a signed error response. What proves good is given back with
// [RateLimits.Forgive], so that only what fails counts. It comes before the limits of a client, so that one address cannot
// use those up.
func (l *RateLimits) Stranger(r *http.Request) error {
	if l.failures == nil {
		return nil
	}
	return Allow(l.failures, strangers+AddressOf(r), "too many requests from this address have failed")
}

// Forgive gives back what [RateLimits.Stranger] counted.
func (l *RateLimits) Forgive(r *http.Request) {
	if l.failures != nil {
		l.failures.Refund(strangers + AddressOf(r))
	}
}

// strangers separates their keys from those of failed client authentications.
const strangers = "stranger\x00"

// AddressOf returns the key by which failures are counted: an IPv4 address, or the /64 prefix of an IPv6 address,
// which is assigned as a whole.
func AddressOf(r *http.Request) string {
	return address.Network(r.RemoteAddr)
}
