package ceremony_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"countersign/internal/ceremony"
	"countersign/internal/config"
	"countersign/internal/hsm"
	"countersign/signer"
	"countersign/store"
	"countersign/store/sqlite"
)

// world has a store, a development key file, and a clock that stands still unless it is moved.
type world struct {
	t      *testing.T
	folder string
	store  store.Store
	signer config.Signer

	mu     sync.Mutex
	now    time.Time
	events []ceremony.Event
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), now: time.Now()}
	passphrase := filepath.Join(w.folder, "passphrase")
	w.must(os.WriteFile(passphrase, []byte("a passphrase of a test, long enough\n"), 0o600))
	w.signer = config.Signer{DevelopmentKeyFile: config.File(filepath.Join(w.folder, "keys.pem")), PINFile: config.Secret(passphrase)}
	settings := sqlite.Config{File: filepath.Join(w.folder, "test.db"), Now: w.clock}
	_, err := sqlite.Migrate(t.Context(), settings)
	w.must(err)
	w.store, err = sqlite.Open(t.Context(), settings)
	w.must(err)
	t.Cleanup(func() { w.must(w.store.Close()) })
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// ceremony begins one, whose events are those of the world.
func (w *world) ceremony(operators ...string) *ceremony.Ceremony {
	w.events = nil
	return &ceremony.Ceremony{
		Keys: w.store, Clients: w.store, AccessTokens: signer.PS256, Signer: w.signer, Schedule: signer.Schedule{TokenLifetime: 10 * time.Minute}, Now: w.clock,
		Report: func(e ceremony.Event) { w.events = append(w.events, e) }, Operators: operators, Program: "test",
	}
}

// steps are those that were reported since the ceremony began.
func (w *world) steps() []ceremony.Step {
	var steps []ceremony.Step
	for _, e := range w.events {
		steps = append(steps, e.Step)
	}
	return steps
}

// key is the only key of an algorithm in a state.
func (w *world) key(alg string, state signer.State) store.Key {
	w.t.Helper()
	keys, err := w.store.Keys(w.t.Context())
	w.must(err)
	var found []store.Key
	for _, k := range keys {
		if k.Algorithm == alg && k.State == string(state) {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		w.t.Fatalf("%d %s keys are %s, want one", len(found), alg, state)
	}
	return found[0]
}

func (w *world) holder() hsm.Holder {
	w.t.Helper()
	holder, err := hsm.OpenFirst(w.t.Context(), w.signer, nil)
	w.must(err)
	w.t.Cleanup(func() { w.must(holder.Close()) })
	return holder
}
