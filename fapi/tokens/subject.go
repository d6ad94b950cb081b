package tokens

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"

	"countersign/fapi/client"
	"countersign/store"
)

// seedSize is the length of a seed, in bytes.
const seedSize = 32

// Seeds caches the random values that all nodes share.
type Seeds struct {
	store store.Seeds

	mu   sync.Mutex
	read map[string][]byte
}

// NewSeeds makes the seeds of a store.
func NewSeeds(s store.Seeds) *Seeds { return &Seeds{store: s, read: map[string][]byte{}} }

// Get returns a seed of 32 bytes. The first call of any node makes it.
func (s *Seeds) Get(ctx context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seed, ok := s.read[name]; ok {
		return seed, nil
	}
	fresh := make([]byte, seedSize)
	rand.Read(fresh)
	seed, err := s.store.Seed(ctx, name, fresh)
	if err != nil {
		return nil, err
	}
	s.read[name] = seed
	return seed, nil
}

// Subjects maps users to the subject identifiers for a client.
type Subjects struct{ Seeds *Seeds }

// For returns the sub of a user for a client. A pairwise one (OpenID Connect Core §8.1) cannot be linked to the user,
// or to the sub of another sector, without the server's seed.
func (s *Subjects) For(ctx context.Context, c *client.Client, subject string) (string, error) {
	if c.Sector == "" || subject == "" {
		return subject, nil
	}
	seed, err := s.Seeds.Get(ctx, "pairwise")
	if err != nil {
		return "", err
	}
	code := hmac.New(sha256.New, seed)
	code.Write([]byte(c.Sector + "\x00" + subject))
	return base64.RawURLEncoding.EncodeToString(code.Sum(nil)), nil
}

// PairwiseOf lists the subject identifiers by which the clients of a store may know a user: one for each host that a client can be of the
// sector of, whatever it is registered for now. There are none for an empty subject, and none of clients that were removed.
func PairwiseOf(ctx context.Context, s interface {
	store.Seeds
	Clients(ctx context.Context) ([]store.Client, error)
}, subject string) (all []string, err error) {
	if subject == "" {
		return nil, nil
	}
	registered, err := s.Clients(ctx)
	if err != nil {
		return nil, err
	}
	subjects, seen := Subjects{NewSeeds(s)}, map[string]bool{}
	for _, one := range registered {
		for _, host := range client.Sectors(one.Metadata) {
			if seen[host] {
				continue
			}
			seen[host] = true
			sub, err := subjects.For(ctx, &client.Client{Sector: host}, subject)
			if err != nil {
				return nil, err
			}
			all = append(all, sub)
		}
	}
	return all, nil
}
