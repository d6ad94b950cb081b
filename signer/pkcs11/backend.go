// Package pkcs11 keeps signing keys in an HSM, through PKCS#11.
//
// A vendor's module is foreign code that may hang, crash, or forget its login, and none of it can be mended from
// inside the process. So the module is loaded by a child process: the same binary, executed again as
// "pkcs11-worker", which talks over an inherited socket. A worker that hangs is killed; one that dies is replaced;
// the serving process stays as it is.
//
// This package is the server's side: it starts workers and asks them. internal/worker is the worker's side, internal/token
// the module and its token, internal/wire what goes over the socket between the two.
package pkcs11

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign/internal/queue"
	"countersign/signer"
	"countersign/signer/internal/inturn"
	"countersign/signer/pkcs11/internal/wire"
	"countersign/signer/pkcs11/rfc7512"
)

// Config is what a [Backend] needs.
type Config struct {
	// Module is the file name of the vendor's PKCS#11 module.
	Module string
	// Token is the RFC 7512 address of the token, such as pkcs11:token=countersign.
	Token string
	// PINFile holds the user PIN. It must belong to this user or to root, and be readable by nobody else.
	PINFile string
	// PIN is the user PIN itself, in place of PINFile.
	PIN PIN
	// Environment is what the module needs, such as SOFTHSM2_CONF. The worker gets nothing else.
	Environment map[string]string
	// ModuleParameters is handed to the module at C_Initialize (PKCS #11 v3.1 §5.4, pReserved); NSS wants one.
	ModuleParameters string
	// Executable is the binary to run as worker; by default this very one, also when its file was replaced since.
	Executable string
	// Sessions is how many signatures the module makes at once; twice the number of CPUs by default.
	Sessions int
	// Queue is how many signatures may wait or be made; 256 by default.
	Queue int
	// QueueTime bounds the time from asking for a signature to having it, 5 s by default: one that is expected to take longer,
	// or longer than its caller waits, is refused at once with ErrOverloaded.
	QueueTime time.Duration
	// StateDir is a folder in which it is remembered that the token refused a PIN, so that no later process sends it again;
	// empty: only this one does not.
	StateDir string
	// SignTimeout is how long a worker may take over a signature before its module counts as hung; 2 s by default.
	// No request waits longer than that for a worker that starts, or than twice as long as its last start took.
	SignTimeout time.Duration
	// StartTimeout is how long a worker may take to load its module and log in; 15 s by default.
	StartTimeout time.Duration
	// Now is the clock by which a hanging module and the times between starts are told; time.Now by default.
	Now    func() time.Time
	Logger *slog.Logger
}

// Backend signs in an HSM. It implements [signer.Backend] and is safe for concurrent use.
type Backend struct {
	config Config
	queue  *queue.Queue

	mu       sync.Mutex
	worker   *process
	starting *startup // nil when none is under way
	startErr error
	// late tells that the last start was overdue, and usual how long the last one took that succeeded.
	late  bool
	usual time.Duration
	// failures counts the starts that failed in a row, and retryAt is when the next may be tried.
	failures int
	retryAt  time.Time
	// started has the times of the last starts, and starts counts all.
	started []time.Time
	starts  uint64
	// held is what only an operator can mend; nil when nothing is.
	held *held
	// missed are the active keys that the worker lacks, with when they were last asked for, and usedAt is when a key was
	// last used while some were missed.
	missed map[string]time.Time
	usedAt time.Time
	// missesAny tells that a search for them runs, which is beside.
	missesAny atomic.Bool
	beside    sync.WaitGroup
	// open ends when the backend is closed, and shut ends it.
	open context.Context
	shut context.CancelFunc
}

var errClosed = fmt.Errorf("%w: it was closed", signer.ErrUnavailable)

// Open starts a worker and logs in. What is wrong with the module, the token or the PIN is said in one line.
func Open(ctx context.Context, config Config) (*Backend, error) {
	b, err := Prepare(config)
	if err != nil {
		return nil, err
	}
	if err := b.Connect(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// Prepare makes a Backend whose worker starts when it is first needed: one of several replicas may be away at the start.
func Prepare(config Config) (*Backend, error) {
	config, err := withDefaults(config)
	if err != nil {
		return nil, err
	}
	begun := min(places*config.Sessions, config.Queue)
	b := &Backend{config: config, queue: queue.New(queue.Config{
		Places: begun, Least: min(config.Sessions, begun), Waiting: config.Queue - begun, Patience: config.QueueTime, Now: config.Now,
	})}
	b.open, b.shut = context.WithCancel(context.Background())
	return b, nil
}

// places is how many signatures a worker is given at once for each of its sessions: four keep it busy without a pause. What
// waits for longer waits on this side, where waiting can end.
const places = 4

// Expected implements [signer.Expecter].
func (b *Backend) Expected() time.Duration { return b.queue.Expected() }

// Load implements [signer.Loaded].
func (b *Backend) Load() signer.Load {
	b.mu.Lock()
	starts := b.starts
	b.mu.Unlock()
	load := inturn.Load(b.queue)
	load.Started = starts
	return load
}

// Connect starts the worker, if none lives, and logs in. The error says in one line what is wrong with the module, the
// token or the PIN.
func (b *Backend) Connect(ctx context.Context) error {
	_, err := b.current(ctx, true)
	return err
}

// Holds reports whether one of a key's addresses is on this token. It does not ask the token.
func (b *Backend) Holds(record signer.Record) bool {
	token, err := rfc7512.Parse(b.config.Token)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(record.URIs, func(address string) bool {
		uri, err := rfc7512.Parse(address)
		return err == nil && uri.Token == token.Token && (uri.Serial == "" || token.Serial == "" || uri.Serial == token.Serial)
	})
}

func withDefaults(c Config) (Config, error) {
	if _, err := rfc7512.Parse(c.Token); err != nil {
		return c, err
	}
	if c.Executable == "" {
		var err error
		if c.Executable, err = ownProgram(); err != nil {
			return c, fmt.Errorf("pkcs11: find this binary: %w", err)
		}
	}
	if (c.PINFile == "") == (c.PIN.text == "") {
		return c, errors.New("pkcs11: exactly one of a PIN file and a PIN is needed")
	}
	for _, file := range []*string{&c.Module, &c.PINFile, &c.StateDir} {
		if *file == "" {
			continue
		}
		absolute, err := filepath.Abs(*file)
		if err != nil {
			return c, fmt.Errorf("pkcs11: %w", err)
		}
		*file = absolute
	}
	if c.Sessions <= 0 {
		c.Sessions = 2 * runtime.NumCPU()
	}
	if c.Queue <= 0 {
		c.Queue = 256
	}
	if c.QueueTime <= 0 {
		c.QueueTime = 5 * time.Second
	}
	if c.SignTimeout <= 0 {
		c.SignTimeout = 2 * time.Second
	}
	if c.StartTimeout <= 0 {
		c.StartTimeout = 15 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// firstQuestion names the token that a worker is to open.
func firstQuestion(c Config) wire.Hello {
	return wire.Hello{
		Module: c.Module, Parameters: c.ModuleParameters, Token: c.Token, PINFile: c.PINFile, PIN: c.PIN.text,
		StateDir: c.StateDir, Sessions: c.Sessions,
	}
}

// Sign implements [signer.Backend]. It waits no longer than ctx. When a worker dies under it, or its module is in trouble,
// it asks the next one once: to make a signature twice does no harm.
func (b *Backend) Sign(ctx context.Context, record signer.Record, message []byte) ([]byte, error) {
	input, err := wire.SigningInput(record.Algorithm, message)
	if err != nil {
		return nil, err
	}
	return b.use(ctx, wire.AskSign, record, input)
}

// use has a key sign or decrypt.
func (b *Backend) use(ctx context.Context, what wire.Kind, record signer.Record, input []byte) ([]byte, error) {
	return b.queued(ctx, record, input, func(ctx context.Context, payload []byte) ([]byte, error) {
		result, err := b.ask(ctx, what, payload)
		if mayPass(err) && ctx.Err() == nil {
			b.config.Logger.WarnContext(ctx, "PKCS#11 worker failed while using a key; trying the next worker", "kid", record.ID, "error", err.Error())
			result, err = b.ask(ctx, what, payload)
		}
		b.noteUse(record, err)
		return result, err
	})
}

// SignNow implements [signer.Impatient]. Without a living worker it has one started and returns.
func (b *Backend) SignNow(ctx context.Context, record signer.Record, message []byte) ([]byte, error) {
	input, err := wire.SigningInput(record.Algorithm, message)
	if err != nil {
		return nil, err
	}
	return b.queued(ctx, record, input, func(ctx context.Context, payload []byte) ([]byte, error) {
		w, _, err := b.living()
		switch {
		case err != nil:
			return nil, err
		case w == nil:
			return nil, fmt.Errorf("%w: a worker is being started", signer.ErrUnavailable)
		}
		signature, err := w.sign(ctx, payload)
		b.noteUse(record, err)
		return signature, err
	})
}

// queued asks for the use of a key when it is this request's turn, or refuses it.
func (b *Backend) queued(
	ctx context.Context, record signer.Record, input []byte, ask func(ctx context.Context, payload []byte) ([]byte, error),
) ([]byte, error) {
	if len(record.ID) != wire.KIDSize {
		return nil, fmt.Errorf("%w %q in the HSM", signer.ErrNoKey, record.ID)
	}
	if len(input) > wire.MaxMessage {
		return nil, fmt.Errorf("pkcs11: %d bytes are more than a key is used on; the most is %d", len(input), wire.MaxMessage)
	}
	return inturn.Use(ctx, b.queue, func(ctx context.Context) ([]byte, error) {
		return ask(ctx, wire.UsePayload(record.Algorithm, record.ID, input))
	})
}

// mayPass reports whether an error is one that a fresh worker may not have.
func mayPass(err error) bool {
	f, ok := errors.AsType[*wire.Failure](err)
	return errors.Is(err, errWorkerDied) || ok && f.Code == wire.FailModule
}

// Generate makes a key in the HSM under the strictest policy that the module takes: private, sensitive, not
// extractable, not modifiable, signing or decrypting with one mechanism only. The record's State and Uses are left to the caller.
func (b *Backend) Generate(ctx context.Context, alg signer.Algorithm) (signer.Record, error) {
	answer, err := b.ask(ctx, wire.AskGenerate, []byte{wire.AlgorithmNumber(alg)})
	if err != nil {
		return signer.Record{}, err
	}
	var made wire.Key
	if err := json.Unmarshal(answer, &made); err != nil {
		return signer.Record{}, fmt.Errorf("pkcs11: the worker's answer: %w", err)
	}
	record, err := recordOf(made)
	if err != nil || !alg.Decrypts() {
		return record, err
	}
	record.Algorithm = alg // of keys for RSA-OAEP the token does not know the hash
	// Some modules make the key and cannot use it: SoftHSM2 2.6 does not know OAEP with SHA-256, p11-kit 0.24 does not
	// pass on what ECDH needs.
	if err := signer.Prove(ctx, b, record); err != nil {
		return signer.Record{}, errors.Join(fmt.Errorf("pkcs11: the module does not decrypt with %s: %w", alg, err), b.Destroy(ctx, record.ID))
	}
	return record, nil
}

// Key is a key as the HSM shows it.
type Key struct {
	Record signer.Record
	// Refused says why the key is not used, naming the attribute; empty for a good one.
	Refused string
}

// List reads the keys of the token.
func (b *Backend) List(ctx context.Context) ([]Key, error) {
	answer, err := b.ask(ctx, wire.AskList, nil)
	if err != nil {
		return nil, err
	}
	var held []wire.Key
	if err := json.Unmarshal(answer, &held); err != nil {
		return nil, fmt.Errorf("pkcs11: the worker's answer: %w", err)
	}
	keys := make([]Key, 0, len(held))
	for _, k := range held {
		record, err := recordOf(k)
		if err != nil {
			return nil, err
		}
		keys = append(keys, Key{Record: record, Refused: k.Refused})
	}
	return keys, nil
}

// Destroy removes a key from the HSM. There is no way back.
func (b *Backend) Destroy(ctx context.Context, kid string) error {
	_, err := b.ask(ctx, wire.AskDestroy, []byte(kid))
	return err
}

// recordOf reads the public key.
func recordOf(k wire.Key) (signer.Record, error) {
	public, err := x509.ParsePKIXPublicKey(k.Public)
	if err != nil {
		return signer.Record{}, fmt.Errorf("pkcs11: key %s: %w", k.ID, err)
	}
	return signer.Record{ID: k.ID, Algorithm: k.Algorithm, Public: public, URIs: []string{k.URI}}, nil
}

// ask puts a question to the current worker, starting one if there is none.
func (b *Backend) ask(ctx context.Context, question wire.Kind, payload []byte) ([]byte, error) {
	w, err := b.current(ctx, patience(question, 0) > 0)
	if err != nil {
		return nil, err
	}
	if question == wire.AskSign {
		return w.sign(ctx, payload)
	}
	return w.ask(ctx, question, payload)
}

// Close ends the worker, also one that is being started, and waits until it is gone, but not for one that cannot be
// killed. Signatures under way fail.
func (b *Backend) Close() error {
	b.shut()
	b.mu.Lock()
	starting := b.starting
	b.mu.Unlock()
	if starting != nil {
		<-starting.done
	}
	b.beside.Wait()
	b.mu.Lock()
	w := b.worker
	b.mu.Unlock()
	if w != nil {
		w.kill(errClosed)
		<-w.gone
	}
	return nil
}

// Rest ends the living worker. The next one starts when it is needed.
func (b *Backend) Rest() {
	b.mu.Lock()
	w := b.worker
	b.mu.Unlock()
	if w != nil {
		w.retire()
	}
}

// WorkerPID is the process id of the living worker, or 0. It is for tests and for an operator's log.
func (b *Backend) WorkerPID() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.worker == nil || b.worker.dead() {
		return 0
	}
	return b.worker.command.Process.Pid
}

// InitialiseToken makes a token with a label in a free slot of a module and sets its PINs, which are read from files
// by a worker and appear in no argument list.
func InitialiseToken(ctx context.Context, module string, environment map[string]string, label, soPINFile, pinFile string) error {
	config, err := withDefaults(Config{
		Module: module, Token: rfc7512.URI{Token: label}.String(), PINFile: pinFile, Environment: environment,
	})
	if err != nil {
		return err
	}
	w, err := launchWorker(config)
	if err != nil {
		return err
	}
	defer func() {
		w.kill(errClosed)
		<-w.gone
	}()
	go w.watch()
	question, err := json.Marshal(wire.Initialisation{Module: config.Module, Label: label, SOPINFile: soPINFile, PINFile: config.PINFile})
	if err != nil {
		return err
	}
	_, err = w.ask(ctx, wire.AskInit, question)
	return err
}
