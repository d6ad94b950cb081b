package jose

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Times and sizes of [RemoteKeySets].
const (
	// defaultLifetime is how long a set is used when its server does not say; what the server says is kept between
	// the other two.
	defaultLifetime = 5 * time.Minute
	minLifetime     = time.Minute
	maxLifetime     = 24 * time.Hour
	// maxStale is how long a set is used beyond its lifetime while its server fails.
	maxStale = 24 * time.Hour
	// retryInterval is how long a server that failed is left alone.
	retryInterval = 10 * time.Second
	// refetchInterval is how often an unknown kid may cause a fetch, for each address.
	refetchInterval = 30 * time.Second
	// fetchTimeout bounds one fetch, which many may wait for.
	fetchTimeout = 10 * time.Second
	// maxRemoteKeySets is how many addresses are remembered; the least recently used is evicted.
	maxRemoteKeySets = 1024
)

// Fetch returns the document at an address, and for how long its server lets it be used; 0 when it does not say.
type Fetch func(ctx context.Context, address string) (body []byte, maxAge time.Duration, err error)

// RemoteKeySets caches the key sets that clients publish at an address (jwks_uri, RFC 7591 §2) as long as they may be
// used. However many tokens come, an address is fetched by one at a time, at most once in 10 s while it fails, and for
// unknown keys at most once in 30 s. It may be used by many at once.
type RemoteKeySets struct {
	fetch Fetch
	now   func() time.Time

	mutex sync.Mutex
	sets  map[string]*remoteKeySet
}

// remoteKeySet is what is known of one address. The mutex of RemoteKeySets guards it.
type remoteKeySet struct {
	set KeySet
	// version counts the sets that were fetched; 0 means none yet.
	version int
	// expires is the end of the lifetime of set.
	expires time.Time
	// failure is how the last fetch failed, or nil; until retry there is no other.
	failure *RemoteError
	retry   time.Time
	// refetch is when an unknown kid may cause a fetch again.
	refetch time.Time
	// used is when it was last asked for.
	used time.Time
	// flight is closed when the running fetch has ended; nil when there is none.
	flight chan struct{}
}

// RemoteError is a key set that cannot be fetched from its address. Its text may be shown to the owner of the set: it
// reveals nothing of the network. The underlying error is for the operator.
type RemoteError struct {
	reason string
	cause  error
}

// Error says what is wrong.
func (e *RemoteError) Error() string { return e.reason }

// Unwrap returns the error of [Fetch], of [ParseKeySet] or of the context.
func (e *RemoteError) Unwrap() error { return e.cause }

// NewRemoteKeySets makes an empty cache. The fetch function must bound the size of what it fetches; it gets a
// context with a time-out of 10 s.
func NewRemoteKeySets(fetch Fetch, now func() time.Time) *RemoteKeySets {
	return &RemoteKeySets{fetch: fetch, now: now, sets: map[string]*remoteKeySet{}}
}

// Keys returns the key set at an address. It is fetched when there is none or when its lifetime is over: max-age, but
// between 1 minute and 24 hours; 5 minutes by default. When that fails, the old set is used for another 24 hours. A
// document that is no key set counts as a failure. Errors are of type [*RemoteError].
func (r *RemoteKeySets) Keys(ctx context.Context, address string) (KeySet, error) {
	found, err := r.current(ctx, address)
	return found.set, err
}

// Verify checks the signature of a token with the key set at an address, as [Token.VerifyWith] does. If no key of the
// set can have made it, the set is fetched again, for its owner may have a new key; the interval between two such
// fetches keeps unknown keys from becoming a flood. A token without kid cannot say that its key is new, so a wrong
// signature counts as an unknown key then. Errors are of type [*RemoteError] or wrap [ErrNoKey] or [ErrSignature].
func (r *RemoteKeySets) Verify(ctx context.Context, address string, token *Token) error {
	return r.Try(ctx, address, func(set KeySet) (bool, error) {
		verdict := token.VerifyWith(set)
		return errors.Is(verdict, ErrNoKey) || token.Header.KeyID == "" && errors.Is(verdict, ErrSignature), verdict
	})
}

// Try calls a function with a set. Its result may say that a key is lacking, which the owner may have published since: then
// the set is fetched again, within the same interval as for [RemoteKeySets.Verify], and the function is called again. Errors are of
// type [*RemoteError], or the last verdict.
func (r *RemoteKeySets) Try(ctx context.Context, address string, judge func(KeySet) (unknown bool, verdict error)) error {
	found, err := r.current(ctx, address)
	if err != nil {
		return err
	}
	unknown, verdict := judge(found.set)
	if !unknown || found.fresh {
		return verdict
	}
	newer, ok, err := r.newer(ctx, address, found)
	if err != nil {
		return err
	}
	if !ok {
		return verdict
	}
	_, verdict = judge(newer)
	return verdict
}

// foundKeySet is an answer of current.
type foundKeySet struct {
	entry   *remoteKeySet
	set     KeySet
	version int
	// fresh reports that the set was fetched for this call.
	fresh bool
}

// current returns the set to be used now, fetching it if need be.
func (r *RemoteKeySets) current(ctx context.Context, address string) (foundKeySet, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	entry := r.entry(address)
	now := r.now()
	entry.used = now
	if entry.version > 0 && now.Before(entry.expires) {
		return foundKeySet{entry, entry.set, entry.version, false}, nil
	}
	before := entry.version
	if entry.failure == nil || !now.Before(entry.retry) || entry.flight != nil {
		if err := r.fly(ctx, address, entry); err != nil {
			return foundKeySet{}, err
		}
	}
	if entry.failure != nil && (entry.version == 0 || !r.now().Before(entry.expires.Add(maxStale))) {
		return foundKeySet{}, entry.failure
	}
	return foundKeySet{entry, entry.set, entry.version, entry.version > before}, nil
}

// newer returns a set that was fetched after the one that was found: one that another call fetched or is fetching, or, if the interval is over,
// one that is fetched now. If there is none, it returns false.
func (r *RemoteKeySets) newer(ctx context.Context, address string, found foundKeySet) (KeySet, bool, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	entry := found.entry
	if entry.version == found.version {
		now := r.now()
		if entry.flight == nil {
			if now.Before(entry.refetch) || entry.failure != nil && now.Before(entry.retry) {
				return KeySet{}, false, nil
			}
			entry.refetch = now.Add(refetchInterval)
		}
		if err := r.fly(ctx, address, entry); err != nil {
			return KeySet{}, false, err
		}
	}
	return entry.set, entry.version > found.version, nil
}

// entry finds or makes what is known of an address. The caller holds the mutex.
func (r *RemoteKeySets) entry(address string) *remoteKeySet {
	if entry, ok := r.sets[address]; ok {
		return entry
	}
	if len(r.sets) >= maxRemoteKeySets {
		oldest := ""
		for other, entry := range r.sets {
			if oldest == "" || entry.used.Before(r.sets[oldest].used) {
				oldest = other
			}
		}
		delete(r.sets, oldest) // callers that wait for its fetch still get it
	}
	entry := &remoteKeySet{used: r.now()}
	r.sets[address] = entry
	return entry
}

// fly waits for the running fetch, or begins one. The caller holds the mutex, which is released while waiting.
// The fetch belongs to all who wait for it: it ends with its own time-out and not with the context of one of them.
func (r *RemoteKeySets) fly(ctx context.Context, address string, entry *remoteKeySet) error {
	if entry.flight == nil {
		entry.flight = make(chan struct{})
		go r.land(context.WithoutCancel(ctx), address, entry, entry.flight)
	}
	flight := entry.flight
	r.mutex.Unlock()
	defer r.mutex.Lock()
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return &RemoteError{reason: "the key set did not arrive in time", cause: ctx.Err()}
	}
}

// land fetches a set and stores the outcome.
func (r *RemoteKeySets) land(ctx context.Context, address string, entry *remoteKeySet, flight chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	set, lifetime, failure := r.load(ctx, address)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	defer close(flight)
	entry.flight = nil
	entry.failure = failure
	if failure != nil {
		entry.retry = r.now().Add(retryInterval)
		return
	}
	entry.set, entry.expires = set, r.now().Add(lifetime)
	entry.version++
}

// load fetches and parses.
func (r *RemoteKeySets) load(ctx context.Context, address string) (KeySet, time.Duration, *RemoteError) {
	body, maxAge, err := r.fetch(ctx, address)
	if err != nil {
		return KeySet{}, 0, &RemoteError{"the key set could not be fetched from jwks_uri", err}
	}
	set, err := ParseKeySet(body)
	if err != nil {
		return KeySet{}, 0, &RemoteError{"the document at jwks_uri is no acceptable key set: " + err.Error(), err}
	}
	if maxAge == 0 {
		maxAge = defaultLifetime
	}
	return set, min(max(maxAge, minLifetime), maxLifetime), nil
}
