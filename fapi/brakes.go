package fapi

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"countersign/internal/jose"
	"countersign/internal/limit"
	"countersign/internal/oauth"
	"countersign/store"
)

// Limits keep one client, or one address, from taking the server for itself. They work before anything is signed, on
// each node by itself. A rate of 0 is no limit.
type Limits struct {
	// ClientPerSecond and ClientBurst bound the requests of one authenticated client.
	ClientPerSecond float64
	ClientBurst     int
	// AddressFailuresPerSecond and AddressFailureBurst bound the client authentications that fail from one network
	// address. Those that succeed do not count: many clients may share the address of an ingress.
	AddressFailuresPerSecond float64
	AddressFailureBurst      int
}

// brakeCapacity bounds how many clients, and how many addresses, are remembered.
const brakeCapacity = 100_000

// brakes are the limits at work; a nil limiter is none.
type brakes struct {
	clients  *limit.Limiter
	failures *limit.Limiter
	// persons counts how often one client asks one person.
	persons *limit.Limiter
}

func newBrakes(c Config, now func() time.Time) (*brakes, error) {
	b, l := &brakes{}, c.Limits
	var err error
	if asked := c.Backchannel; asked != nil {
		if b.persons, err = limit.New(asked.PersonPerMinute/60, asked.PersonBurst, brakeCapacity, now); err != nil {
			return nil, err
		}
	}
	if l.ClientPerSecond > 0 {
		if b.clients, err = limit.New(l.ClientPerSecond, l.ClientBurst, brakeCapacity, now); err != nil {
			return nil, err
		}
	}
	if l.AddressFailuresPerSecond > 0 {
		if b.failures, err = limit.New(l.AddressFailuresPerSecond, l.AddressFailureBurst, brakeCapacity, now); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// authenticationFailed counts a failure, if it is the client's, and gives the error to answer with: that failure, or
// from an address with too many of them only that there are too many, so that nothing can be found out by trying. Who
// does prove himself is served all the same: behind an ingress, or a carrier's network, all have one address, and
// nobody's flood may lock the others out.
func (b *brakes) authenticationFailed(r *http.Request, err error) error {
	if b.failures == nil {
		return err
	}
	if code := oauth.AsError(err).Code; code != oauth.InvalidClient && code != oauth.InvalidToken {
		return err
	}
	if _, remote := errors.AsType[*jose.RemoteError](err); remote {
		return err // its own key server is what failed
	}
	if ok, wait := b.failures.Allow(addressOf(r)); !ok {
		return tooMany(wait, "too many client authentications from this address have failed")
	}
	return err
}

// authenticated counts a request of a client.
func (b *brakes) authenticated(clientID string) error {
	if b.clients == nil {
		return nil
	}
	if ok, wait := b.clients.Allow(clientID); !ok {
		return tooMany(wait, "this client sends too many requests")
	}
	return nil
}

// unproven counts what anybody can have done in the name of a client, such as a signature of the HSM under a refusal. It is
// counted apart, so that nobody can use up what the client itself may send.
func (b *brakes) unproven(what, clientID string) error {
	return b.authenticated(what + "\x00" + clientID)
}

// asking counts a request to a person, known or not, so that nobody's telephone is flooded until they give in.
func (b *brakes) asking(clientID string, person store.Digest) error {
	if ok, wait := b.persons.Allow(clientID + "\x00" + string(person[:])); !ok {
		return tooMany(wait, "this client asks this person too often")
	}
	return nil
}

// tooMany is the answer of RFC 6585 §4 and RFC 9126 §2.3.
func tooMany(wait time.Duration, why string) error {
	refusal := oauth.Errorf(oauth.TemporarilyUnavailable, "%s; wait as Retry-After says", why).WithStatus(http.StatusTooManyRequests)
	refusal.RetryAfter = wait
	return refusal
}

// addressOf is what failures are counted by: an IPv4 address, or the /64 network of an IPv6 one, whose holder has all
// of it.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if address = address.Unmap(); address.Is4() {
		return address.String()
	}
	network, err := address.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return network.String()
}
