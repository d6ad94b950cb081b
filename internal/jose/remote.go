package jose

import (
	"cmp"
	"context"
	"crypto/sha256"
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
	// busyInterval is that after a fetch that this server had no time for.
	busyInterval = time.Second
	// refetchInterval is how often an unknown kid may cause a fetch, for each address.
	refetchInterval = 30 * time.Second
	// fetchTimeout bounds one fetch, which many may wait for.
	fetchTimeout = 10 * time.Second
	// maxRemoteKeySets is how many addresses are remembered, and maxRemoteKeys how many keys of all of them together; the
	// least recently used is evicted.
	maxRemoteKeySets = 1024
	maxRemoteKeys    = 100_000
	// refreshAhead is the last part of a lifetime in which a set is fetched again while it is still used: one in so many.
	refreshAhead = 5
)

// Fetch returns the document at an address, and for how long its server lets it be used; 0 when it does not say. An error
// with a method Told() string has in it what the owner of the address may be told; one with a method Busy() bool that
// reports true was not tried, because of this server.
type Fetch func(ctx context.Context, address string) (body []byte, maxAge time.Duration, err error)

// RemoteKeySets caches the key sets that clients publish at an address (jwks_uri, RFC 7591 §2) as long as they may be
// used. However many tokens come, an address is fetched by one at a time, at most once in 10 s while it fails, and for
// unknown keys at most once in 30 s. A document is fetched and read beside the requests: before its lifetime ends, and
// under no lock. It may be used by many at once.
type RemoteKeySets struct {
	// Report, if set, is called once for each change of what comes from an address, also from good to bad and back. The
	// context has the values of the one of the call that caused the fetch. Set it before the first use.
	Report func(ctx context.Context, report Report)
	// MaxSets is how many addresses are remembered, and MaxKeys how many keys of all of them together; 0 is 1,024 and 100,000. The least
	// recently used is forgotten. Set them before the first use.
	MaxSets, MaxKeys int

	fetch Fetch
	now   func() time.Time

	mutex sync.Mutex
	sets  map[string]*remoteKeySet
	// keys is how many keys all sets have.
	keys int
}

// Report is what came from an address.
type Report struct {
	Address string
	// Keys is the set that is used from now on, with those of its keys that were left out; the one from before, or none,
	// with a Failure.
	Keys KeySet
	// Failure is why there is no new set, or nil.
	Failure *RemoteError
}

// remoteKeySet is what is known of one address. The mutex of RemoteKeySets guards it.
type remoteKeySet struct {
	set KeySet
	// digest is that of the document that set was read from.
	digest [sha256.Size]byte
	// version counts the sets that were fetched; 0 means none yet.
	version int
	// expires is the end of the lifetime of set, renew when it is fetched again ahead of that.
	expires, renew time.Time
	// reported is the outcome that was reported last.
	reported string
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
	busy   bool
}

// Busy reports that the fault is this server's: it was fetching too much else. It may succeed shortly.
func (e *RemoteError) Busy() bool { return e.busy }

func (e *RemoteError) isBusy() bool { return e != nil && e.busy }

// Error says what is wrong.
func (e *RemoteError) Error() string { return e.reason }

// Unwrap returns the error of [Fetch], of [ParseKeySet] or of the context.
func (e *RemoteError) Unwrap() error { return e.cause }

// StaleError is an answer by the keys that were fetched before, given because newer ones cannot be read.
type StaleError struct {
	// Verdict is the answer.
	Verdict error
	// Failure is why there are no newer keys.
	Failure *RemoteError
}

// Error has both texts.
func (e *StaleError) Error() string {
	return e.Verdict.Error() + "; the client's keys cannot be read: " + e.Failure.Error()
}

// Unwrap returns the answer alone: whoever asked is answered by it.
func (e *StaleError) Unwrap() error { return e.Verdict }

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
// type [*RemoteError], or the last verdict, which is wrapped in a [*StaleError] when a key is lacking and newer keys cannot be read.
func (r *RemoteKeySets) Try(ctx context.Context, address string, judge func(KeySet) (unknown bool, verdict error)) error {
	found, err := r.current(ctx, address)
	if err != nil {
		return err
	}
	unknown, verdict := judge(found.set)
	if !unknown || found.fresh {
		return verdict
	}
	newer, err := r.newer(ctx, address, found)
	if err != nil {
		return err
	}
	if newer.version > found.version {
		unknown, verdict = judge(newer.set)
	}
	if unknown && verdict != nil && newer.failure != nil {
		return &StaleError{verdict, newer.failure}
	}
	return verdict
}

// foundKeySet is an answer of current.
type foundKeySet struct {
	entry   *remoteKeySet
	set     KeySet
	version int
	// fresh reports that the set was fetched for this call.
	fresh bool
	// failure is how the last fetch failed, or nil.
	failure *RemoteError
}

// current returns the set to be used now, fetching it if need be.
func (r *RemoteKeySets) current(ctx context.Context, address string) (foundKeySet, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	entry := r.entry(address)
	now := r.now()
	entry.used = now
	mayFetch := entry.failure == nil || !now.Before(entry.retry)
	if entry.version > 0 && now.Before(entry.expires) {
		if mayFetch && !now.Before(entry.renew) && entry.flight == nil {
			r.begin(ctx, address, entry)
		}
		return foundKeySet{entry, entry.set, entry.version, false, entry.failure}, nil
	}
	before := entry.version
	if mayFetch || entry.flight != nil {
		if err := r.fly(ctx, address, entry); err != nil {
			return foundKeySet{}, err
		}
	}
	if entry.failure != nil && (entry.version == 0 || !r.now().Before(entry.expires.Add(maxStale))) {
		return foundKeySet{}, entry.failure
	}
	return foundKeySet{entry, entry.set, entry.version, entry.version > before, entry.failure}, nil
}

// newer returns a set that was fetched after the one that was found: one that another call fetched or is fetching, or, if the interval is over,
// one that is fetched now. If there is none, the one that was found is returned again.
func (r *RemoteKeySets) newer(ctx context.Context, address string, found foundKeySet) (foundKeySet, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	entry := found.entry
	if entry.version == found.version {
		now := r.now()
		if entry.flight == nil {
			if now.Before(entry.refetch) || entry.failure != nil && now.Before(entry.retry) {
				found.failure = entry.failure
				return found, nil
			}
			entry.refetch = now.Add(refetchInterval)
		}
		if err := r.fly(ctx, address, entry); err != nil {
			return foundKeySet{}, err
		}
	}
	return foundKeySet{entry, entry.set, entry.version, true, entry.failure}, nil
}

// entry finds or makes what is known of an address. The caller holds the mutex.
func (r *RemoteKeySets) entry(address string) *remoteKeySet {
	if entry, ok := r.sets[address]; ok {
		return entry
	}
	if len(r.sets) >= cmp.Or(r.MaxSets, maxRemoteKeySets) {
		r.evict("")
	}
	entry := &remoteKeySet{used: r.now()}
	r.sets[address] = entry
	return entry
}

// evict forgets the set that was not used for longest, other than one; callers that wait for its fetch still get it. The
// caller holds the mutex.
func (r *RemoteKeySets) evict(except string) {
	oldest := ""
	for address, entry := range r.sets {
		if address != except && (oldest == "" || entry.used.Before(r.sets[oldest].used)) {
			oldest = address
		}
	}
	if entry, ok := r.sets[oldest]; ok {
		r.keys -= entry.set.size
		delete(r.sets, oldest)
	}
}

// fly waits for the running fetch, or begins one. The caller holds the mutex, which is released while waiting.
// The fetch belongs to all who wait for it: it ends with its own time-out and not with the context of one of them.
func (r *RemoteKeySets) fly(ctx context.Context, address string, entry *remoteKeySet) error {
	if entry.flight == nil {
		r.begin(ctx, address, entry)
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

// begin begins a fetch. The caller holds the mutex.
func (r *RemoteKeySets) begin(ctx context.Context, address string, entry *remoteKeySet) {
	entry.flight = make(chan struct{})
	go r.land(context.WithoutCancel(ctx), address, entry, entry.document())
}

// remoteDocument is a document that was fetched, and what was read from it.
type remoteDocument struct {
	digest [sha256.Size]byte
	set    KeySet
}

func (e *remoteKeySet) document() remoteDocument { return remoteDocument{e.digest, e.set} }

// land fetches a set and stores the outcome.
func (r *RemoteKeySets) land(ctx context.Context, address string, entry *remoteKeySet, before remoteDocument) {
	fetching, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	document, lifetime, failure := r.load(fetching, address, before)
	if r.settle(address, entry, document, lifetime, failure) && r.Report != nil {
		r.Report(ctx, Report{Address: address, Keys: document.set, Failure: failure})
	}
}

// settle stores the outcome of a fetch, wakes those who wait for it and reports whether it is another than the last time.
func (r *RemoteKeySets) settle(
	address string, entry *remoteKeySet, document remoteDocument, lifetime time.Duration, failure *RemoteError,
) (changed bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	defer close(entry.flight)
	defer func() { entry.flight = nil }()
	outcome := string(document.digest[:])
	if failure != nil {
		outcome = failure.Error()
	}
	now := r.now()
	entry.failure = failure
	if failure.isBusy() {
		entry.retry = now.Add(busyInterval)
		return false
	}
	changed, entry.reported = outcome != entry.reported, outcome
	if failure != nil {
		entry.retry = now.Add(retryInterval)
		return changed
	}
	if r.sets[address] == entry {
		r.keys += document.set.size - entry.set.size
	}
	entry.set, entry.digest = document.set, document.digest
	entry.expires, entry.renew = now.Add(lifetime), now.Add(lifetime-lifetime/refreshAhead)
	entry.version++
	for r.keys > cmp.Or(r.MaxKeys, maxRemoteKeys) && len(r.sets) > 1 {
		r.evict(address)
	}
	return changed
}

// load fetches and parses. A document that is the same as before is not parsed again; with an error the one from before is
// returned.
func (r *RemoteKeySets) load(
	ctx context.Context, address string, before remoteDocument,
) (remoteDocument, time.Duration, *RemoteError) {
	body, maxAge, err := r.fetch(ctx, address)
	if err != nil {
		reason := "the key set could not be fetched from jwks_uri"
		if told, ok := errors.AsType[interface {
			error
			Told() string
		}](err); ok && told.Told() != "" {
			reason += ": " + told.Told()
		}
		busy, ok := errors.AsType[interface {
			error
			Busy() bool
		}](err)
		return before, 0, &RemoteError{reason, err, ok && busy.Busy()}
	}
	document := remoteDocument{sha256.Sum256(body), before.set}
	if document.digest != before.digest {
		if document.set, err = ParseKeySet(body); err != nil {
			return before, 0, &RemoteError{reason: "the document at jwks_uri is no acceptable key set: " + err.Error(), cause: err}
		}
	}
	if maxAge == 0 {
		maxAge = defaultLifetime
	}
	return document, min(max(maxAge, minLifetime), maxLifetime), nil
}
