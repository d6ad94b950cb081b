package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"countersign/internal/random"
)

// The defaults of a [Config].
const (
	DefaultName     = "session"
	DefaultRolling  = time.Hour
	DefaultAbsolute = 12 * time.Hour
)

const (
	// touchShare is the share of Rolling after which a use is written down, and touchMost what that is at most.
	touchShare = 20
	touchMost  = time.Minute
	// sweepEvery is how often a process looks for what is over, and sweepLimit how much it removes then.
	sweepEvery = 10 * time.Minute
	sweepLimit = 1000
	// maxTries is how often a change is tried that others forestall.
	maxTries = 50
)

// Config says where and for how long sessions are kept. The zero value keeps them in this process.
type Config struct {
	// Store keeps the sessions; nil is one in memory. It needs Keys, so that sessions outlive a process.
	Store Store
	// Sealed keeps sessions in the browser's cookies, without anything that may be used once only, such as a refresh token.
	// Store then only remembers what has ended: nodes that share it see each other's logouts.
	Sealed bool
	// Keys seal cookies and what is stored. The zero value is a random key.
	Keys KeyRing
	// Name of the cookie, behind "__Host-"; empty is [DefaultName].
	Name string
	// Rolling is how long a session lasts without use, Absolute how long in any case; 0 are [DefaultRolling] and [DefaultAbsolute].
	Rolling, Absolute time.Duration
	// MaxSize bounds the cookies of a sealed session, in bytes; 0 is [DefaultMaxSize].
	MaxSize int
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
}

// Manager keeps the sessions of an application. It is safe for concurrent use.
type Manager struct {
	config    Config
	cookie    string
	lastSweep atomic.Int64
}

// New makes one.
func New(config Config) (*Manager, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Store != nil && config.Keys.IsZero() {
		return nil, errors.New("session: a Store needs Keys, without which nobody can read it after a restart")
	}
	if config.Store == nil {
		config.Store = NewMemory()
	}
	if config.Keys.IsZero() {
		config.Keys = RandomKeyRing()
	}
	config.Name, config.MaxSize = cmp.Or(config.Name, DefaultName), cmp.Or(config.MaxSize, DefaultMaxSize)
	config.Rolling, config.Absolute = cmp.Or(config.Rolling, DefaultRolling), cmp.Or(config.Absolute, DefaultAbsolute)
	if config.Rolling < time.Second || config.Absolute < config.Rolling {
		return nil, fmt.Errorf("session: Rolling is %v and Absolute %v; at least a second, and not more than Absolute, is needed", config.Rolling, config.Absolute)
	}
	if config.MaxSize < 0 || config.MaxSize > maxChunk*maxChunks {
		return nil, fmt.Errorf("session: MaxSize is %d; at most %d are read", config.MaxSize, maxChunk*maxChunks)
	}
	cookie := HostPrefix + config.Name
	if err := NewCookie(cookie, "", 0).Valid(); err != nil {
		return nil, fmt.Errorf("session: Name %q: %w", config.Name, err)
	}
	m := &Manager{config: config, cookie: cookie}
	m.lastSweep.Store(config.Now().UnixMilli())
	return m, nil
}

// Store is where sessions, or their ends, are kept.
func (m *Manager) Store() Store { return m.config.Store }

// Keys seal what belongs to sessions.
func (m *Manager) Keys() KeyRing { return m.config.Keys }

// Sealed reports whether sessions are in cookies.
func (m *Manager) Sealed() bool { return m.config.Sealed }

// Absolute is the longest life of a session.
func (m *Manager) Absolute() time.Duration { return m.config.Absolute }

// KeyOf is what a store knows a secret by: its SHA-256 in base64url.
func KeyOf(secret string) string {
	digest := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// Load returns the session of a request, and notes that it is used: w gets a cookie if that needs one, or the removal of one that is of no use. For
// an error of which [Absent] is true the user may sign in; others are the store's.
func (m *Manager) Load(w http.ResponseWriter, r *http.Request) (*Record, error) {
	value, err := readChunks(r, m.cookie)
	if errors.Is(err, ErrNone) {
		return nil, err
	}
	var record *Record
	switch {
	case err != nil:
	case m.config.Sealed:
		record, err = m.loadSealed(w, r, value)
	default:
		record, err = m.loadStored(r.Context(), KeyOf(value))
	}
	if err != nil && Absent(err) {
		removeChunks(w, r, m.cookie, 1)
	}
	if err != nil {
		return nil, err
	}
	return record, nil
}

func (m *Manager) loadStored(ctx context.Context, key string) (*Record, error) {
	record, err := m.stored(ctx, key)
	if err != nil {
		return nil, err
	}
	now := m.config.Now()
	if err := live(record, now); err != nil {
		return nil, err
	}
	if m.used(record, now) {
		if err := m.config.Store.Touch(ctx, key, record.IdleUntil); err != nil {
			return nil, fmt.Errorf("session: note the use: %w", err)
		}
	}
	return record, nil
}

// stored loads a session and opens its data.
func (m *Manager) stored(ctx context.Context, key string) (*Record, error) {
	record, err := m.config.Store.Load(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("session: load: %w", err)
	}
	if record.Data, _, err = m.config.Keys.Open(storedPurpose(key), record.Data); err != nil {
		return nil, ErrTampered
	}
	return &record, nil
}

// live reports a session that is over.
func live(record *Record, now time.Time) error {
	if !now.Before(record.IdleUntil) || !now.Before(record.EndsAt) {
		return ErrExpired
	}
	return nil
}

// used rolls the session on, and reports whether that is worth writing down.
func (m *Manager) used(record *Record, now time.Time) bool {
	until := now.Add(m.config.Rolling).Truncate(time.Millisecond) // EndsAt is apart, since a provider may put it off
	if until.Sub(record.IdleUntil) < min(m.config.Rolling/touchShare, touchMost) {
		return false
	}
	record.IdleUntil = until
	return true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func storedPurpose(key string) string { return "stored session\x00" + key }

// Create begins a session: record has its Issuer, Subject, SID, SignedInAt and Data, and may have an EndsAt, which is kept if it is earlier than what Absolute
// gives. The session that it replaces ends, under whose id nothing goes on (session fixation); empty is none. Errors are
// ErrEnded for a login that lost against a logout, ErrExpired for an EndsAt that is over, a [*TooLargeError], or the store's; the browser then keeps
// what it has.
func (m *Manager) Create(w http.ResponseWriter, r *http.Request, record *Record, replaces string) error {
	ctx, now := r.Context(), m.config.Now()
	id := random.Secret()
	record.Key, record.Version = KeyOf(id), 0
	latest := now.Add(m.config.Absolute)
	if record.EndsAt.IsZero() {
		record.EndsAt = latest
	}
	record.EndsAt = earlier(record.EndsAt, latest).Truncate(time.Millisecond)
	record.IdleUntil = now.Add(m.config.Rolling).Truncate(time.Millisecond)
	if err := live(record, now); err != nil {
		return err
	}
	if err := m.begin(ctx, w, r, record, id); err != nil {
		return err
	}
	if replaces != "" {
		if err := m.delete(ctx, replaces, latest); err != nil {
			unsetChunks(w, m.cookie)
			return errors.Join(err, m.delete(ctx, record.Key, latest))
		}
	}
	m.sweep(ctx, now)
	return nil
}

func (m *Manager) begin(ctx context.Context, w http.ResponseWriter, r *http.Request, record *Record, id string) error {
	if m.config.Sealed {
		ended, err := m.config.Store.Ended(ctx, *record)
		if err != nil {
			return fmt.Errorf("session: look for its end: %w", err)
		}
		if ended {
			return ErrEnded
		}
		return m.setSealed(w, r, record)
	}
	if err := m.save(ctx, record, 0); err != nil {
		return err
	}
	return setChunks(w, r, m.cookie, id, record.EndsAt.Sub(m.config.Now()), m.config.MaxSize)
}

// save stores the record with its data sealed.
func (m *Manager) save(ctx context.Context, record *Record, expect int64) error {
	sealed := *record
	sealed.Data = m.config.Keys.Seal(storedPurpose(record.Key), record.Data)
	if err := m.config.Store.Save(ctx, sealed, expect); err != nil {
		return fmt.Errorf("session: save: %w", err)
	}
	record.Version = expect + 1
	return nil
}

// Change changes a stored session by compare-and-swap: change gets the session as it is, and is called again if another process was faster. Its
// error ends the attempt and is returned. On success record is what was stored; the keys and the times of use stay. A session that ended meanwhile is ErrUnknown. What
// is sealed in cookies is changed by [Manager.Reseal].
func (m *Manager) Change(ctx context.Context, record *Record, change func(*Record) error) error {
	current := *record
	for try := 0; ; try++ {
		key, version := current.Key, current.Version
		if err := change(&current); err != nil {
			return err
		}
		current.Key, current.EndsAt = key, current.EndsAt.Truncate(time.Millisecond)
		err := m.save(ctx, &current, version)
		if err == nil {
			*record = current
			return nil
		}
		if !errors.Is(err, ErrConflict) || try == maxTries {
			return err
		}
		latest, err := m.stored(ctx, key)
		if err != nil {
			return err
		}
		current = *latest
	}
}

// Find reads a stored session by its key, without noting that it is used.
func (m *Manager) Find(ctx context.Context, key string) (*Record, error) { return m.stored(ctx, key) }

// End ends a session, and removes the cookies of the request.
func (m *Manager) End(w http.ResponseWriter, r *http.Request, record *Record) error {
	if err := m.delete(r.Context(), record.Key, record.EndsAt); err != nil {
		return err
	}
	removeChunks(w, r, m.cookie, 1)
	return nil
}

// delete ends a session by its key. One that is sealed in a cookie is remembered until it would have ended.
func (m *Manager) delete(ctx context.Context, key string, until time.Time) error {
	if !m.config.Sealed {
		until = time.Time{}
	}
	if err := m.config.Store.Delete(ctx, key, until); err != nil {
		return fmt.Errorf("session: delete: %w", err)
	}
	return nil
}

// EndBySID ends the sessions of a provider's session (OpenID Connect Back-Channel Logout 1.0 §2.7), and logins that are on their way.
func (m *Manager) EndBySID(ctx context.Context, issuer, sid string) error {
	return m.config.Store.DeleteBySID(ctx, issuer, sid, m.config.Now().Add(m.config.Absolute))
}

// EndBySubject ends the sessions of a user that were signed in until a time of the provider's clock, and logins that are on their way.
func (m *Manager) EndBySubject(ctx context.Context, issuer, subject string, at time.Time) error {
	return m.config.Store.DeleteBySubject(ctx, issuer, subject, at, m.config.Now().Add(m.config.Absolute))
}

// sweep removes what is over, now and then. Its errors wait for the next time.
func (m *Manager) sweep(ctx context.Context, now time.Time) {
	last := m.lastSweep.Load()
	if now.Sub(time.UnixMilli(last)) < sweepEvery || !m.lastSweep.CompareAndSwap(last, now.UnixMilli()) {
		return
	}
	if _, err := m.config.Store.Sweep(ctx, now, sweepLimit); err != nil {
		m.lastSweep.CompareAndSwap(now.UnixMilli(), last)
	}
}

// sealedRecord is what is in the cookies of a sealed session.
type sealedRecord struct {
	Key       string          `json:"k"`
	Issuer    string          `json:"i"`
	Subject   string          `json:"s"`
	SID       string          `json:"d,omitempty"`
	SignedIn  int64           `json:"t"`
	IdleUntil int64           `json:"u"`
	EndsAt    int64           `json:"e"`
	Data      json.RawMessage `json:"x,omitempty"`
}

func (m *Manager) sealedPurpose() string { return "session cookie\x00" + m.cookie }

func (m *Manager) loadSealed(w http.ResponseWriter, r *http.Request, value string) (*Record, error) {
	plain, current, err := m.config.Keys.OpenText(m.sealedPurpose(), value)
	if err != nil {
		return nil, ErrTampered
	}
	var in sealedRecord
	if err := json.Unmarshal(plain, &in); err != nil {
		return nil, ErrTampered
	}
	record := &Record{
		Key: in.Key, Version: 1, Issuer: in.Issuer, Subject: in.Subject, SID: in.SID, SignedInAt: time.Unix(in.SignedIn, 0),
		IdleUntil: time.UnixMilli(in.IdleUntil), EndsAt: time.UnixMilli(in.EndsAt), Data: in.Data,
	}
	now := m.config.Now()
	if err := live(record, now); err != nil {
		return nil, err
	}
	ended, err := m.config.Store.Ended(r.Context(), *record)
	if err != nil {
		return nil, fmt.Errorf("session: look for its end: %w", err)
	}
	if ended {
		return nil, ErrEnded
	}
	if m.used(record, now) || !current {
		if err := m.setSealed(w, r, record); err != nil {
			return nil, err
		}
	}
	return record, nil
}

// setSealed seals the record into cookies. Data has to be JSON.
func (m *Manager) setSealed(w http.ResponseWriter, r *http.Request, record *Record) error {
	plain, err := json.Marshal(sealedRecord{
		record.Key, record.Issuer, record.Subject, record.SID, record.SignedInAt.Unix(), record.IdleUntil.UnixMilli(),
		record.EndsAt.UnixMilli(), record.Data,
	})
	if err != nil {
		return fmt.Errorf("session: seal: %w", err)
	}
	value := m.config.Keys.SealText(m.sealedPurpose(), plain)
	return setChunks(w, r, m.cookie, value, record.EndsAt.Sub(m.config.Now()), m.config.MaxSize)
}

// Reseal sets the cookies of a sealed session that has changed. The response must not have been begun.
func (m *Manager) Reseal(w http.ResponseWriter, r *http.Request, record *Record) error {
	return m.setSealed(w, r, record)
}

// Put keeps a value that belongs to no session beside them until a time, sealed: purpose and name are what [Manager.Get] finds it by.
func (m *Manager) Put(ctx context.Context, purpose, name string, value []byte, until time.Time) error {
	until = until.Truncate(time.Millisecond)
	return m.save(ctx, &Record{Key: KeyOf(purpose + "\x00" + name), IdleUntil: until, EndsAt: until, Data: value}, 0)
}

// Get returns what Put keeps; errors are as those of [Manager.Load].
func (m *Manager) Get(ctx context.Context, purpose, name string) ([]byte, error) {
	record, err := m.stored(ctx, KeyOf(purpose+"\x00"+name))
	if err != nil {
		return nil, err
	}
	if err := live(record, m.config.Now()); err != nil {
		return nil, err
	}
	return record.Data, nil
}
