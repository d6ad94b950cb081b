// Package signer chooses the key for each signature and makes sure that nothing leaves that the published key does
// not verify. It knows keys by their public half only; the private half is used by a [Backend], in production an HSM
// (signer/pkcs11).
//
// The caller provides a [Catalogue], which lists the keys and is the same on all nodes, and one [Replica] or more that hold
// the private halves. [New] reads the catalogue and gives a [Signer]:
//
//	s, err := signer.New(ctx, signer.Config{Catalogue: catalogue, Replicas: []signer.Replica{{Backend: hsm}}, Now: time.Now})
//	...
//	key, err := s.Active(ctx, signer.UseIDToken, signer.PS256) // pinned: ID, Algorithm and Sign belong together
//	...
//	signature, err := key.Sign(ctx, signingInput) // in JWS form (RFC 7515 §5.1, RFC 7518 §3)
//
// A key's life is published → active → retiring → destroyed. It is published before its first signature, so that
// verifiers with a cached key set know it, and stays published until its last token has died. [Signer.Published] is what
// the key set has to list ([PublicJWK], RFC 7517), and [Schedule.Due] says which change is due when.
//
// Signatures are asked of the healthy replicas in turn; one that fails is left alone and probed until it signs again. Keys
// with a JWE algorithm (RFC 7518 §4) decrypt instead of signing: [Signer.Agree], [Signer.Unwrap].
//
// Errors wrap [ErrNoKey], [ErrUnavailable], [ErrOverloaded], [ErrWrongSignature] or [ErrCiphertext]. Algorithms are those
// of FAPI 2.0 Security Profile §5.4.1: PS256, ES256, EdDSA with Ed25519.
//
// The package makes no tokens, keeps no private keys, and changes no key's state.
package signer

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"countersign/internal/queue"
)

// Algorithm is what a key is for: a JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1) or a JWE key management algorithm
// (RFC 7518 §4.1). A key has one and serves no other.
type Algorithm string

// The algorithms that FAPI allows.
const (
	PS256 Algorithm = "PS256"
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA" // Ed25519

	// ECDHES keys decrypt on P-256, for ECDH-ES+A256KW as well.
	ECDHES     Algorithm = "ECDH-ES"
	RSAOAEP256 Algorithm = "RSA-OAEP-256"
	// RSAOAEP is RSA-OAEP with SHA-1, which some ecosystems name and some HSMs have alone. A key for RSA-OAEP-256 does it too
	// ([Signer.UnwrapSHA1]).
	RSAOAEP Algorithm = "RSA-OAEP"
)

// Decrypts reports whether keys of this algorithm decrypt. The others sign.
func (a Algorithm) Decrypts() bool { return a == ECDHES || a.Unwraps() }

// Unwraps reports whether keys of this algorithm are RSA keys that decrypt.
func (a Algorithm) Unwraps() bool { return a == RSAOAEP256 || a == RSAOAEP }

// Does reports whether a key of this algorithm can do what another asks for: what it is for itself, and RSA-OAEP with one for
// RSA-OAEP-256.
func (a Algorithm) Does(other Algorithm) bool {
	return a == other || a == RSAOAEP256 && other == RSAOAEP
}

// Use is what a key signs or decrypts. A key serves only the uses that it was made for.
type Use string

// The uses so far.
const (
	UseAccessToken Use = "access_token"
	UseIDToken     Use = "id_token"
	// UseRequestObject is for keys that request objects are encrypted to.
	UseRequestObject Use = "request_object"
	// UseResponse is for authorization responses (JARM), and UseIntrospection for what introspection answers (RFC 9701).
	UseResponse      Use = "authorization_response"
	UseIntrospection Use = "introspection"
	// UseHTTPMessage is for what resources answer, signed as HTTP messages (RFC 9421).
	UseHTTPMessage Use = "http_message"
	// UseEvidence is for the checkpoints of the audit log.
	UseEvidence Use = "evidence"
	// UsePush is for what this server shows to push services (RFC 8292), which take ES256 only.
	UsePush Use = "web_push"
	// UseLogin is for what this server shows to an upstream provider that signs users in: client assertions (RFC 7523) and DPoP
	// proofs (RFC 9449).
	UseLogin Use = "login"
)

// State is a place in a key's life.
type State string

// The states, in their order.
const (
	Published State = "published"
	Active    State = "active"
	Retiring  State = "retiring"
	Destroyed State = "destroyed"
)

// Errors, matched with errors.Is.
var (
	// ErrNoKey: no active key has this use and algorithm, or the backend does not hold it.
	ErrNoKey = errors.New("signer: no key")
	// ErrUnavailable: the HSM did not answer in time, or not at all. Trying again later may help.
	ErrUnavailable = errors.New("signer: the HSM is not available")
	// ErrOverloaded: too many signatures are waiting. Trying again later helps.
	ErrOverloaded = errors.New("signer: too many signatures are waiting")
	// ErrWrongSignature: the backend made a signature that the published key does not verify. It was not released.
	ErrWrongSignature = errors.New("signer: the signature does not fit the published key")
	// ErrCiphertext: what is to be decrypted was not encrypted to this key, or is damaged. Trying again does not help.
	ErrCiphertext = errors.New("signer: it was not encrypted to this key")
)

// Record is what is known about a key outside its HSM.
type Record struct {
	// ID is the kid: the RFC 7638 thumbprint of Public.
	ID        string
	Algorithm Algorithm
	Uses      []Use
	State     State
	// URIs are RFC 7512 addresses of the key.
	URIs        []string
	Public      crypto.PublicKey
	CreatedAt   time.Time
	ActivatedAt time.Time
	RetiredAt   time.Time
}

// Catalogue lists the keys that are not destroyed, oldest first, the same on all nodes.
type Catalogue interface {
	Keys(ctx context.Context) ([]Record, error)
}

// Backend signs with private keys.
type Backend interface {
	// Sign signs a message with the private half of key and returns the signature in JWS form: RSASSA-PSS with
	// a salt of 32 bytes, r‖s in 64 bytes, or Ed25519. Its errors match the errors of this package. It returns
	// when ctx ends, whatever the HSM does.
	Sign(ctx context.Context, key Record, message []byte) ([]byte, error)
	// Close ends the backend.
	Close() error
}

// Config is what a [Signer] needs.
type Config struct {
	Catalogue Catalogue
	// Replicas are the HSMs that hold the keys, at least one.
	Replicas []Replica
	// Patience is how long one replica may take over a signature while there is another to ask, 500 ms by default.
	Patience time.Duration
	// RefreshInterval is how often the keys' states are read, 5 s by default. A change is noticed within twice that.
	RefreshInterval time.Duration
	Now             func() time.Time
	Logger          *slog.Logger
	TracerProvider  trace.TracerProvider
	// Meter is told of each use of a key; nil is told nothing.
	Meter Meter
}

// Signer gives out keys to sign with. It is safe for concurrent use.
type Signer struct {
	catalogue Catalogue
	replicas  *replicas
	interval  time.Duration
	now       func() time.Time
	log       *slog.Logger
	tracer    trace.Tracer

	mu      sync.Mutex
	records []Record
	readAt  time.Time
	// refreshing is closed when the reading under way has ended; nil when there is none. stale tells that what is known
	// is too old to go on with until then.
	refreshing chan struct{}
	stale      bool
	// changes counts what was told of changes.
	changes int
}

// refreshTimeout is how long the catalogue may take.
const refreshTimeout = 2 * time.Second

// New reads the catalogue and makes a Signer. A catalogue without an active key is an error.
func New(ctx context.Context, config Config) (*Signer, error) {
	s := &Signer{
		catalogue: config.Catalogue, interval: config.RefreshInterval,
		now: config.Now, log: config.Logger,
	}
	if s.interval <= 0 {
		s.interval = 5 * time.Second
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.replicas = newReplicas(config.Replicas, config.Patience, s.now, s.log)
	for _, one := range s.replicas.all {
		one.meter = config.Meter
	}
	provider := config.TracerProvider
	if provider == nil {
		provider = noop.NewTracerProvider()
	}
	s.tracer = provider.Tracer("countersign/signer")
	records, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(records, func(r Record) bool { return r.State == Active && !r.Algorithm.Decrypts() }) {
		return nil, fmt.Errorf("%w is active; make one with: countersign keys generate --alg PS256 --activate", ErrNoKey)
	}
	s.records, s.readAt = records, s.now()
	return s, nil
}

// read gets the catalogue and refuses records whose kid is not the thumbprint of their key, or whose key does not fit
// their algorithm.
func (s *Signer) read(ctx context.Context) ([]Record, error) {
	records, err := s.catalogue.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("signer: read the keys: %w", err)
	}
	for _, record := range records {
		thumbprint, err := Thumbprint(record.Public)
		if err != nil {
			return nil, fmt.Errorf("signer: key %s: %w", record.ID, err)
		}
		if thumbprint != record.ID {
			return nil, fmt.Errorf("signer: key %s: its public key has the thumbprint %s", record.ID, thumbprint)
		}
		if !Fits(record.Public, record.Algorithm) {
			return nil, fmt.Errorf("signer: key %s: its public key is not one for %q", record.ID, record.Algorithm)
		}
	}
	return records, nil
}

// current gives the records, and reads them again when they are older than the interval: in the background while they
// are fresh enough, and before it answers after a time without calls. A catalogue that cannot be read leaves the known
// keys in use.
func (s *Signer) current(ctx context.Context) ([]Record, error) {
	s.mu.Lock()
	age := s.now().Sub(s.readAt)
	if s.refreshing == nil && (age >= s.interval || age < 0) {
		s.refreshing, s.stale = make(chan struct{}), age >= 2*s.interval || age < 0
		go s.refresh(s.refreshing)
	}
	if s.refreshing == nil || !s.stale {
		defer s.mu.Unlock()
		return s.records, nil
	}
	refreshed := s.refreshing
	s.mu.Unlock()
	select {
	case <-refreshed:
	case <-ctx.Done():
		return nil, fmt.Errorf("signer: read the keys: %w", context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records, nil
}

// Changed says that a key's state was changed: the keys are read before the next use of one.
func (s *Signer) Changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	s.readAt = time.Time{}
}

func (s *Signer) refresh(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	s.mu.Lock()
	changes := s.changes
	s.mu.Unlock()
	records, err := s.read(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refreshing = nil
	if s.readAt = s.now(); s.changes != changes {
		s.readAt = time.Time{} // it may have been read before the change
	}
	defer close(done)
	if err != nil {
		s.log.Error("signing key reload failed; keeping previous keys", "error", err.Error())
		return
	}
	s.records = records
}

// Key is a pinned key: whatever happens to its state, ID, Algorithm and Sign belong together.
type Key struct {
	ID        string
	Algorithm Algorithm
	Public    crypto.PublicKey

	signer *Signer
	record Record
	use    Use
}

// Active returns the active key for a use and an algorithm, the one activated last. The error is ErrNoKey, or that of ctx
// when it ends before the keys' states are known.
func (s *Signer) Active(ctx context.Context, use Use, alg Algorithm) (Key, error) {
	records, err := s.current(ctx)
	if err != nil {
		return Key{}, err
	}
	var found *Record
	for i, record := range records {
		if record.State == Active && record.Algorithm == alg && slices.Contains(record.Uses, use) &&
			(found == nil || record.ActivatedAt.After(found.ActivatedAt)) {
			found = &records[i]
		}
	}
	if found == nil {
		return Key{}, fmt.Errorf("%w for %s with %s is active; make one with: countersign keys generate --alg %[3]s --activate", ErrNoKey, use, alg)
	}
	return Key{ID: found.ID, Algorithm: alg, Public: found.Public, signer: s, record: *found, use: use}, nil
}

// ActiveKeys returns the active key of each algorithm for a use, the one activated last first. The errors are those of
// [Signer.Active].
func (s *Signer) ActiveKeys(ctx context.Context, use Use) ([]Key, error) {
	var found []Key
	for _, alg := range []Algorithm{ES256, PS256, EdDSA} {
		switch key, err := s.Active(ctx, use, alg); {
		case err == nil:
			found = append(found, key)
		case !errors.Is(err, ErrNoKey):
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w for %s", ErrNoKey, use)
	}
	slices.SortStableFunc(found, func(a, b Key) int { return b.record.ActivatedAt.Compare(a.record.ActivatedAt) })
	return found, nil
}

// ActiveFor returns the active key for a use, whatever its algorithm, the one activated last. The errors are those of
// [Signer.Active].
func (s *Signer) ActiveFor(ctx context.Context, use Use) (Key, error) {
	found, err := s.ActiveKeys(ctx, use)
	if err != nil {
		return Key{}, err
	}
	return found[0], nil
}

// Algorithms are those for which there is an active key for a use, in no order. The error is that of ctx.
func (s *Signer) Algorithms(ctx context.Context, use Use) ([]Algorithm, error) {
	records, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	var found []Algorithm
	for _, record := range records {
		if record.State == Active && slices.Contains(record.Uses, use) && !slices.Contains(found, record.Algorithm) {
			found = append(found, record.Algorithm)
		}
	}
	return found, nil
}

// Published returns the key set: every key that tokens may be verified with, which are the published, active and
// retiring ones, and the keys to encrypt to, without the retiring ones. The error is that of ctx.
func (s *Signer) Published(ctx context.Context) ([]Record, error) {
	records, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	gone := func(r Record) bool { return r.Algorithm.Decrypts() && r.State == Retiring }
	if !slices.ContainsFunc(records, gone) {
		return slices.Clone(records), nil
	}
	return slices.DeleteFunc(slices.Clone(records), gone), nil
}

// Sign signs a message in JWS form and verifies the signature with the published key before it is released
// (a fault in the HSM, or another key under the same name, is then an error and never a token).
func (k Key) Sign(ctx context.Context, message []byte) ([]byte, error) {
	ctx, span := k.signer.tracer.Start(ctx, "signer.Sign", trace.WithAttributes(
		attribute.String("signer.kid", k.ID), attribute.String("signer.alg", string(k.Algorithm)), attribute.String("signer.use", string(k.use))))
	defer span.End()
	if k.use == UseEvidence {
		ctx = queue.Urgent(ctx) // clients, however many, must not keep the log from being sealed
	}
	work := signing(k.record, message)
	work.use = k.use
	signature, err := k.signer.replicas.do(ctx, work)
	if err != nil {
		span.SetStatus(codes.Error, "")
		return nil, err
	}
	return signature, nil
}

// Ready signs with every active key and verifies what comes, and has those that decrypt prove it. It joins the errors.
func (s *Signer) Ready(ctx context.Context) error {
	records, err := s.current(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, record := range records {
		if record.State != Active {
			continue
		}
		if err := s.prove(ctx, record); err != nil {
			problems = append(problems, fmt.Errorf("key %s (%s): %w", record.ID, record.Algorithm, err))
		}
	}
	return errors.Join(problems...)
}

// prove has one of the HSMs use a key.
func (s *Signer) prove(ctx context.Context, record Record) error {
	try, err := trial(record)
	if err != nil {
		return err
	}
	_, err = s.replicas.do(queue.Urgent(ctx), try)
	return err
}
