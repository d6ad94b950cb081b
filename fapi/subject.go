package fapi

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"

	"countersign/store"
)

// seedSize is the length of what is derived from, in bytes.
const seedSize = 32

// seeds are the random values that all nodes share, read once each.
type seeds struct {
	store store.Seeds

	mu   sync.Mutex
	read map[string][]byte
}

func newSeeds(s store.Seeds) *seeds { return &seeds{store: s, read: map[string][]byte{}} }

// get returns a seed, which the first node that asks makes.
func (s *seeds) get(ctx context.Context, name string) ([]byte, error) {
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

// subjectFor is the sub that a client knows a person by. A pairwise one (OpenID Connect Core §8.1) cannot be traced to
// the person, nor to the one of another sector, without the server's seed.
func (s *Server) subjectFor(ctx context.Context, client *Client, subject string) (string, error) {
	if client.sector == "" || subject == "" {
		return subject, nil
	}
	seed, err := s.seeds.get(ctx, "pairwise")
	if err != nil {
		return "", err
	}
	code := hmac.New(sha256.New, seed)
	code.Write([]byte(client.sector + "\x00" + subject))
	return base64.RawURLEncoding.EncodeToString(code.Sum(nil)), nil
}
