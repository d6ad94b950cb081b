package fapitest

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"countersign/internal/postgrestest"
	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
	"countersign/store"
)

// Main is the TestMain of the packages that make a [World]. It is also the PKCS#11 worker of the tests: the backend executes
// this binary again.
func Main(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == pkcs11.WorkerCommand {
		os.Exit(pkcs11.RunWorker())
	}
	code := database.Run(m)
	sharedToken.close()
	os.Exit(code)
}

// database is a PostgreSQL server for the tests that need one.
var database postgrestest.Cluster

// hsm is one SoftHSM2 token with a key for each algorithm, shared by all tests of the package.
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
		record.State, record.Uses = signer.Active, []signer.Use{signer.UseAccessToken, signer.UseIDToken, signer.UseResponse, signer.UseIntrospection, signer.UseHTTPMessage, signer.UseEvidence}
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

func SharedBackend(t *testing.T) signer.Backend {
	t.Helper()
	sharedToken.once.Do(sharedToken.open)
	if sharedToken.err != nil {
		t.Fatal(sharedToken.err)
	}
	return sharedToken.backend
}

func SharedKeys(t *testing.T) []signer.Record {
	t.Helper()
	SharedBackend(t)
	return sharedToken.Records
}

// addKey records a key in the store.
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

// catalogue shows the store's keys to the signer.
type Catalogue struct{ Store store.Keys }

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

// switchableBackend can be made to fail.
type Backend struct {
	signer.Backend
	mu  sync.Mutex
	err error
}

func (b *Backend) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *Backend) Sign(ctx context.Context, key signer.Record, message []byte) ([]byte, error) {
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return b.Backend.Sign(ctx, key, message)
}

func loopbacks() []net.IP { return []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} }
