// Package crypto11 signs in an HSM from within this process, through github.com/ThalesGroup/crypto11. It is for small
// set-ups where a child process is not wanted; signer/pkcs11 is the one to prefer.
//
// What it cannot do: a module that hangs keeps the goroutines that called it for ever (their number is bounded, and
// [Backend.Hung] tells of it), one that crashes ends the server, and a connection, session or login that is lost comes back
// only with a restart. It has no EdDSA. It holds each key to the same policy as signer/pkcs11 before it signs with it; keys are made, listed,
// attested and destroyed, and those for decryption used, by that package's worker, which starts when it is first asked.
package crypto11

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"countersign/internal/queue"
	"countersign/signer"
	"countersign/signer/internal/inturn"
	"countersign/signer/pkcs11"
)

// kidSize is the number of bytes in a kid: a SHA-256 thumbprint (RFC 7638 §3). They are the key's CKA_ID.
const kidSize = 32

// Backend signs in this process. It implements [signer.Backend] and is safe for concurrent use.
type Backend struct {
	// Backend makes, lists, attests and destroys keys in its worker, and decrypts there.
	*pkcs11.Backend

	config pkcs11.Config
	mu     sync.Mutex
	// module is nil until it is open. opening is closed when the attempt under way has ended, and nil when there is none;
	// openedFrom is when it began.
	module     *module
	opening    chan struct{}
	openedFrom time.Time
	// openErr is what kept it from opening, and retryAt when it is tried again.
	openErr error
	retryAt time.Time
	// calls are those into the module that are under way, with their beginning.
	calls  map[uint64]time.Time
	number uint64

	closed atomic.Bool
	// queue has a place for each call into the module, also those that hang.
	queue *queue.Queue
}

// Prepare makes a Backend that loads its module when it is first needed. config is as for the worker; Executable and
// Environment are its worker's too, but the module in this process sees Environment as variables of this process.
func Prepare(config pkcs11.Config) (*Backend, error) {
	keys, err := pkcs11.Prepare(config)
	if err != nil {
		return nil, err
	}
	config = keys.Settings()
	return &Backend{
		Backend: keys, config: config, calls: map[uint64]time.Time{},
		queue: queue.New(queue.Config{Places: config.Sessions, Waiting: config.Queue, Patience: config.QueueTime, Now: config.Now}),
	}, nil
}

// retryEvery is how long after an attempt that failed the next one begins.
const retryEvery = time.Second

// Connect loads the module and logs in. A worker does so first: it knows which PIN the token refused, does not risk a last
// try, and can be killed when the module hangs.
func (b *Backend) Connect(ctx context.Context) error {
	b.mu.Lock()
	if b.module != nil || b.opening == nil && b.config.Now().Before(b.retryAt) {
		defer b.mu.Unlock()
		return b.openErr
	}
	if b.opening == nil {
		b.opening, b.openedFrom = make(chan struct{}), b.config.Now()
		go b.open(b.opening)
	}
	opening := b.opening
	b.mu.Unlock()
	select {
	case <-opening:
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.openErr
	case <-ctx.Done():
		return late(ctx)
	}
}

// open tries once to open the module.
func (b *Backend) open(done chan struct{}) {
	defer close(done)
	err := b.Backend.Connect(context.Background()) // which has its own time
	var opened *module
	if err == nil {
		opened, err = openModule(b.config)
		b.Rest()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.module, b.openErr, b.opening = opened, err, nil
	b.retryAt = b.config.Now().Add(retryEvery)
}

// Hung reports that the module hangs in this process, which nothing but a restart cures: every session is in a call that
// does not return, or opening it does not.
func (b *Backend) Hung() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, patience := b.config.Now(), max(hungAfter, hungTimes*b.config.SignTimeout)
	if b.opening != nil && now.Sub(b.openedFrom) > 2*b.config.StartTimeout+patience {
		return fmt.Errorf("crypto11: the module has not opened its token for %s", now.Sub(b.openedFrom).Round(time.Second))
	}
	stuck := 0
	for _, began := range b.calls {
		if now.Sub(began) > patience {
			stuck++
		}
	}
	if stuck < b.config.Sessions {
		return nil
	}
	return fmt.Errorf("crypto11: the module hangs in all %d sessions", stuck)
}

// A call that takes hungTimes as long as a signature may, and hungAfter at least, does not return.
const (
	hungTimes = 5
	hungAfter = 10 * time.Second
)

// enter notes a call into the module, until leave.
func (b *Backend) enter() (m *module, leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.number++
	number := b.number
	b.calls[number] = b.config.Now()
	return b.module, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.calls, number)
	}
}

// late is the error of somebody who waits no longer.
func late(ctx context.Context) error {
	return fmt.Errorf("%w: its module did not answer in time: %w", signer.ErrUnavailable, context.Cause(ctx))
}

// Sign implements [signer.Backend]. It waits no longer than ctx and the configured time for a signature; a call that
// hangs in the module is left behind, and its place is not given to another.
func (b *Backend) Sign(ctx context.Context, record signer.Record, message []byte) ([]byte, error) {
	if err := able(record.Algorithm); err != nil {
		return nil, err
	}
	id, err := base64.RawURLEncoding.Strict().DecodeString(record.ID)
	if err != nil || len(id) != kidSize {
		return nil, fmt.Errorf("%w %q in the HSM", signer.ErrNoKey, record.ID)
	}
	if b.closed.Load() {
		return nil, fmt.Errorf("%w: it was closed", signer.ErrUnavailable)
	}
	place, err := inturn.Enter(ctx, b.queue)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.config.SignTimeout)
	defer cancel()
	if err := b.Connect(ctx); err != nil {
		place.Leave(ctx, false)
		return nil, err
	}
	type outcome struct {
		signature []byte
		err       error
	}
	done := make(chan outcome, 1)
	go func() {
		_, end := inturn.Span(ctx)
		opened, leave := b.enter()
		signature, err := opened.sign(id, record, message)
		leave()
		end(err)
		place.Leave(ctx, err == nil)
		done <- outcome{signature, err}
	}()
	select {
	case o := <-done:
		return o.signature, o.err
	case <-ctx.Done():
		return nil, late(ctx)
	}
}

// SignNow implements [signer.Impatient]: it does not wait for the module to be loaded.
func (b *Backend) SignNow(ctx context.Context, record signer.Record, message []byte) ([]byte, error) {
	b.mu.Lock()
	ready := b.module != nil
	b.mu.Unlock()
	if !ready {
		return nil, fmt.Errorf("%w: its module is not loaded yet", signer.ErrUnavailable)
	}
	return b.Sign(ctx, record, message)
}

// Expected implements [signer.Expecter].
func (b *Backend) Expected() time.Duration { return b.queue.Expected() }

// Load implements [signer.Loaded]. There is no process of its own that is started.
func (b *Backend) Load() signer.Load { return inturn.Load(b.queue) }

// Generate makes a key in the HSM, if it is of a kind that can be used.
func (b *Backend) Generate(ctx context.Context, alg signer.Algorithm) (signer.Record, error) {
	if !Offers(alg) {
		return signer.Record{}, able(alg)
	}
	return b.Backend.Generate(ctx, alg)
}

// List reads the keys of the token. Those that cannot be used here are refused.
func (b *Backend) List(ctx context.Context) ([]pkcs11.Key, error) {
	keys, err := b.Backend.List(ctx)
	for i, key := range keys {
		if key.Refused == "" && !Offers(key.Record.Algorithm) {
			keys[i].Refused = "crypto11 does not know " + string(key.Record.Algorithm)
		}
	}
	return keys, err
}

// Close ends the worker. The module stays to the end of the process: to finalize it with calls under way crashes some.
func (b *Backend) Close() error {
	b.closed.Store(true)
	return b.Backend.Close()
}

// Offers reports whether keys of an algorithm can be used: for all but EdDSA. Those that decrypt are used by the worker.
func Offers(alg signer.Algorithm) bool { return alg.Decrypts() || able(alg) == nil }

// able refuses to sign with an algorithm that crypto11 does not have.
func able(alg signer.Algorithm) error {
	switch alg {
	case signer.PS256, signer.ES256:
		return nil
	case signer.EdDSA:
		return errors.New(`crypto11: there is no EdDSA: crypto11 does not know Ed25519; take PS256 or ES256, or the worker (signer.backend = "worker")`)
	}
	return fmt.Errorf("crypto11: the algorithm %q is not one of PS256 and ES256", alg)
}
