package directory

import (
	"context"
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"

	"countersign/internal/limit"
	"countersign/store"
)

// Limits count attempts for all nodes; [limit.Shared] does.
type Limits interface {
	Allow(ctx context.Context, rates ...store.Rate) (retryAfter time.Duration)
	Refund(ctx context.Context, rates []store.Rate, whole ...store.Digest)
}

// Rates say how many wrong passwords are looked at. Right ones are free.
type Rates struct {
	// NameBurst is how many a user name takes at once, and NameInterval after what time one more is. From one address, and
	// from a browser that is known, half as many are, and from one address at a fifth of that pace: one stranger alone
	// cannot use up what others have.
	NameBurst    int
	NameInterval time.Duration
	// AddressBurst and AddressInterval are the same for a network address, whatever the names: an IPv4 address, or a /64 of
	// IPv6. A /48 of IPv6 takes four times as many.
	AddressBurst    int
	AddressInterval time.Duration
	// Failures is how many in a row a user takes, until a right one or an operator ends the row (NIST SP 800-63B-4 §3.2.2: at
	// most 100). A fifth is kept for browsers that are known.
	Failures int
}

// DefaultRates are the widest.
func DefaultRates() Rates {
	return Rates{NameBurst: 20, NameInterval: time.Minute, AddressBurst: 50, AddressInterval: 6 * time.Second, Failures: 100}
}

const (
	// ever is the interval of a row, which does not end with time: of as many as are allowed, in a lifetime.
	ever = 3 * 365 * 24 * time.Hour
	// perInteraction is the interval for the attempts of one interaction, which does not live as long.
	perInteraction = time.Hour
	// rowCells is how many rows are counted for names that nobody has. They fall into cells, so that no flood of names
	// leaves a record each for ever.
	rowCells = 1 << 14
)

// row counts the failures in a row of a user, by strangers or from known browsers. A name that nobody has is counted as one
// that somebody has.
func row(kind string, user store.User, username string, burst int) store.Rate {
	who := "subject " + user.Subject
	if user.Subject == "" {
		name := limit.Key("password cell", username)
		who = "cell " + strconv.FormatUint(binary.BigEndian.Uint64(name[:])%rowCells, 10)
	}
	return store.Rate{Key: limit.Key(kind, who), Interval: ever, Burst: burst}
}

// strangers is the row of failures in browsers in which the user has not signed in before.
func (r Rates) strangers(user store.User, username string) store.Rate {
	return row("password row", user, username, r.Failures-r.Failures/5)
}

// acquainted is the row of failures in the others.
func (r Rates) acquainted(user store.User, username string) store.Rate {
	return row("password row of known browsers", user, username, max(1, r.Failures/5))
}

func (r Rates) name(username string) store.Rate {
	return store.Rate{Key: limit.Key("password name", username), Interval: r.NameInterval, Burst: r.NameBurst}
}

// Failed is what the directory has against a user.
type Failed struct {
	// InRow is how many wrong passwords there were in a row.
	InRow int
	// Locked reports that only browsers in which the user has signed in before, and passkeys, sign in; LockedOut, that only
	// passkeys do.
	Locked, LockedOut bool
}

// FailuresOf returns what the directory has against each of some users.
func (r Rates) FailuresOf(ctx context.Context, limits store.Limits, users []store.User) ([]Failed, error) {
	rates := make([]store.Rate, 0, 2*len(users))
	for _, user := range users {
		rates = append(rates, r.strangers(user, user.Username), r.acquainted(user, user.Username))
	}
	taken, err := limits.Taken(ctx, rates...)
	if err != nil {
		return nil, err
	}
	failed := make([]Failed, len(users))
	for i := range users {
		strangers, acquainted := taken[2*i], taken[2*i+1]
		failed[i] = Failed{
			InRow: strangers + acquainted, Locked: strangers >= rates[2*i].Burst, LockedOut: acquainted >= rates[2*i+1].Burst,
		}
	}
	return failed, nil
}

// Unlock forgets the wrong passwords of a user, on all nodes.
func Unlock(ctx context.Context, limits store.Limits, user store.User) error {
	r := DefaultRates() // keys are the same with all
	return limits.Refund(ctx, nil, r.strangers(user, user.Username).Key, r.acquainted(user, user.Username).Key, r.name(user.Username).Key)
}

// ratesOf are those that an attempt counts against. All but the last end with time.
func (d *Directory) ratesOf(a Attempt, user store.User) []store.Rate {
	rates := append(a.interaction(), d.rates.name(a.Username))
	if a.Address == "" {
		return append(rates, d.rates.strangers(user, a.Username))
	}
	rates = append(rates, store.Rate{
		Key: limit.Key("password name and address", a.Username+"\x00"+a.Address), Interval: 5 * d.rates.NameInterval, Burst: max(1, d.rates.NameBurst/2),
	}, store.Rate{
		Key: limit.Key("password address", a.Address), Interval: d.rates.AddressInterval, Burst: d.rates.AddressBurst,
	})
	if network, err := netip.ParsePrefix(a.Address); err == nil && network.Addr().Is6() && network.Bits() > 48 {
		rates = append(rates, store.Rate{
			Key:      limit.Key("password network", netip.PrefixFrom(network.Addr(), 48).Masked().String()),
			Interval: (d.rates.AddressInterval / 4).Truncate(time.Microsecond), Burst: 4 * d.rates.AddressBurst,
		})
	}
	return append(rates, d.rates.strangers(user, a.Username))
}

// ratesOfKnown are those that an attempt from a known browser counts against: its own, which no stranger can use up.
func (d *Directory) ratesOfKnown(a Attempt, user store.User, browser string) []store.Rate {
	return append(a.interaction(), store.Rate{
		Key: limit.Key("password browser", user.Subject+"\x00"+browser), Interval: d.rates.NameInterval, Burst: max(1, d.rates.NameBurst/2),
	}, d.rates.acquainted(user, a.Username))
}

// interaction is the rate of an attempt's interaction, if it has one.
func (a Attempt) interaction() []store.Rate {
	if a.Interaction == "" {
		return nil
	}
	return []store.Rate{{Key: limit.Key("password interaction", a.Interaction), Interval: perInteraction, Burst: a.Tries}}
}

// allow takes what an attempt counts against, or says how long to wait. known is the browser's name for itself, or empty.
func (d *Directory) allow(ctx context.Context, a Attempt, user store.User, browser string) (taken []store.Rate, wait time.Duration) {
	if browser != "" {
		taken = d.ratesOfKnown(a, user, browser)
		if wait = d.limits.Allow(ctx, taken...); wait == 0 {
			return taken, 0
		}
	}
	taken = d.ratesOf(a, user)
	return taken, d.limits.Allow(ctx, taken...)
}

// settle gives back what an attempt took that was no wrong guess. A right password ends the rows of failures.
func (d *Directory) settle(ctx context.Context, a Attempt, user store.User, taken []store.Rate, err error) {
	if err != nil {
		d.limits.Refund(ctx, taken)
		return
	}
	last := len(taken) - 1 // a row
	d.limits.Refund(ctx, taken[:last], d.rates.strangers(user, a.Username).Key, d.rates.acquainted(user, a.Username).Key)
}
