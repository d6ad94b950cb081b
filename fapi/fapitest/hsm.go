package fapitest

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
	"countersign/store"
)

// Main is the TestMain of a package that makes a [World]. It is also the PKCS#11 worker of the tests: the backend executes
// the test binary again.
func Main(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == pkcs11.WorkerCommand {
		os.Exit(pkcs11.RunWorker())
	}
	code := database.Run(m)
	sharedToken.close()
	os.Exit(code)
}

// hsm is one SoftHSM2 token with a key for each algorithm, shared by all tests of a package.
type hsm struct {
	once    sync.Once
	folder  string
	backend *pkcs11.Backend
	Records []signer.Record
	err     error
}

var sharedToken hsm

func (h *hsm) open() {
	ctx := context.Background()
	if h.folder, h.err = os.MkdirTemp("", "countersign-fapi-"); h.err != nil {
		return
	}
	var token softhsm.Token
	if token, h.err = softhsm.Create(ctx, h.folder, "test", pkcs11.InitialiseToken); h.err != nil {
		return
	}
	h.backend, h.err = pkcs11.Open(ctx, pkcs11.Config{Module: token.Module, Token: token.URI, PINFile: token.PINFile, Environment: token.Environment})
	for _, alg := range []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA} {
		if h.err != nil {
			return
		}
		var record signer.Record
		record, h.err = h.backend.Generate(ctx, alg)
		record.State, record.Uses = signer.Active, []signer.Use{signer.UseAccessToken, signer.UseIDToken, signer.UseResponse, signer.UseIntrospection, signer.UseHTTPMessage, signer.UseEvidence, signer.UseLogin}
		if alg == signer.ES256 {
			record.Uses = append(record.Uses, signer.UsePush)
		}
		h.Records = append(h.Records, record)
	}
}

func (h *hsm) close() {
	if h.backend != nil {
		h.backend.Close()
	}
	os.RemoveAll(h.folder)
}

// SharedBackend is the backend of the token that all tests of a package share.
func SharedBackend(t *testing.T) signer.Backend {
	t.Helper()
	sharedToken.once.Do(sharedToken.open)
	if sharedToken.err != nil {
		t.Fatal(sharedToken.err)
	}
	return sharedToken.backend
}

// SharedKeys are the keys in that token: one for PS256, ES256 and EdDSA each, active for everything.
func SharedKeys(t *testing.T) []signer.Record {
	t.Helper()
	SharedBackend(t)
	return sharedToken.Records
}

// AddKey records a key in a store.
func AddKey(t *testing.T, s store.Store, record signer.Record) {
	t.Helper()
	public, err := signer.PublicJWK(record)
	if err != nil {
		t.Fatal(err)
	}
	uses := make([]string, len(record.Uses))
	for i, use := range record.Uses {
		uses[i] = string(use)
	}
	key := store.Key{ID: record.ID, Algorithm: string(record.Algorithm), Uses: uses, State: string(record.State), URIs: record.URIs, Public: public, CreatedAt: time.Now(), ActivatedAt: time.Now()}
	if err := s.AddKey(context.Background(), key); err != nil {
		t.Fatal(err)
	}
}

// Catalogue shows a store's keys to a signer.
type Catalogue struct{ Store store.Keys }

// Keys implements [signer.Catalogue].
func (c Catalogue) Keys(ctx context.Context) ([]signer.Record, error) {
	keys, err := c.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var records []signer.Record
	for _, key := range keys {
		public, err := signer.ParsePublicJWK(json.RawMessage(key.Public))
		if err != nil {
			return nil, err
		}
		record := signer.Record{ID: key.ID, Algorithm: signer.Algorithm(key.Algorithm), State: signer.State(key.State), URIs: key.URIs, Public: public}
		for _, use := range key.Uses {
			record.Uses = append(record.Uses, signer.Use(use))
		}
		records = append(records, record)
	}
	return records, nil
}

// Backend is a signing backend that can be made to fail.
type Backend struct {
	signer.Backend
	mu  sync.Mutex
	err error
	// agreements counts the calls of Agree.
	agreements atomic.Int64
}

// Agreements returns how often a key agreement was asked for.
func (b *Backend) Agreements() int { return int(b.agreements.Load()) }

// Fail makes every signature fail with an error from now on, or succeed again with nil.
func (b *Backend) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// Sign implements [signer.Backend].
func (b *Backend) Sign(ctx context.Context, key signer.Record, message []byte) ([]byte, error) {
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return b.Backend.Sign(ctx, key, message)
}

// Agree implements [signer.Decrypter].
func (b *Backend) Agree(ctx context.Context, key signer.Record, peer []byte) ([]byte, error) {
	b.agreements.Add(1)
	return b.Backend.(signer.Decrypter).Agree(ctx, key, peer)
}

// Unwrap implements [signer.Decrypter].
func (b *Backend) Unwrap(ctx context.Context, key signer.Record, wrapped []byte) ([]byte, error) {
	return b.Backend.(signer.Decrypter).Unwrap(ctx, key, wrapped)
}

// SignAsServer signs claims with a key of the server itself, as nobody outside can: a refusal is then for what the token says,
// not for its signature.
func (w *World) SignAsServer(alg, typ string, body Claims) string {
	w.T.Helper()
	records := SharedKeys(w.T)
	i := slices.IndexFunc(records, func(r signer.Record) bool { return string(r.Algorithm) == alg })
	if i < 0 {
		w.T.Fatalf("no key for %s", alg)
	}
	key := jose.SigningKey{ID: records[i].ID, Algorithm: alg, Sign: func(ctx context.Context, message []byte) ([]byte, error) {
		return w.Backend.Sign(ctx, records[i], message)
	}}
	token, err := jose.Sign(context.Background(), key, typ, body)
	if err != nil {
		w.T.Fatal(err)
	}
	return token
}
