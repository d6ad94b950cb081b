package jose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/internal/strictjson"
)

const (
	setAddress  = "https://client.example/jwks"
	fetchSecret = "10.1.2.3: connection refused"
)

// keyServer publishes key sets; its fields are what it answers. It also is the clock.
type keyServer struct {
	mutex   sync.Mutex
	body    string
	maxAge  time.Duration
	err     error
	fetches map[string]int
	time    time.Time
	// hold, if not nil, is received from before each answer at setAddress.
	hold chan struct{}
	// deadline is how long the last fetch was given.
	deadline time.Duration
}

func newKeyServer(keys ...Key) *keyServer {
	server := &keyServer{fetches: map[string]int{}, time: time.Unix(1_800_000_000, 0)}
	server.publish(keys...)
	return server
}

func (s *keyServer) publish(keys ...Key) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	raw, err := json.Marshal(NewKeySet(keys...))
	if err != nil {
		panic(err)
	}
	s.body, s.err = string(raw), nil
}

func (s *keyServer) say(body string, maxAge time.Duration, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.body, s.maxAge, s.err = body, maxAge, err
}

func (s *keyServer) fail() { s.say("", 0, errors.New(fetchSecret)) }

func (s *keyServer) fetch(ctx context.Context, address string) ([]byte, time.Duration, error) {
	s.mutex.Lock()
	s.fetches[address]++
	if end, ok := ctx.Deadline(); ok {
		s.deadline = time.Until(end)
	}
	hold := s.hold
	s.mutex.Unlock()
	if hold != nil && address == setAddress {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return []byte(s.body), s.maxAge, s.err
}

func (s *keyServer) now() time.Time {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.time
}

func (s *keyServer) wait(d time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.time = s.time.Add(d)
}

// fetched checks how often the address was fetched so far.
func (s *keyServer) fetched(t *testing.T, want int) {
	t.Helper()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if got := s.fetches[setAddress]; got != want {
		t.Errorf("%d fetches, want %d", got, want)
	}
}

func signedBy(t testing.TB, key PrivateKey, kid string) *Token {
	t.Helper()
	signing := key.SigningKey()
	signing.ID = kid
	signed, err := Sign(context.Background(), signing, "", struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := Parse(signed, ParseOptions{Algorithms: allAlgorithms})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestAttack30: a jwks_uri that is poisoned, and unknown kids that would make the server fetch it again and again.
func TestAttack30(t *testing.T) {
	known, stranger := newKey(t, EdDSA), newKey(t, EdDSA)
	t.Run("accepts tokens by the keys at the address", func(t *testing.T) {
		server := newKeyServer(known.Key())
		remote := NewRemoteKeySets(server.fetch, server.now)
		for range 100 {
			if err := remote.Verify(t.Context(), setAddress, signedBy(t, known, known.ID())); err != nil {
				t.Fatal(err)
			}
		}
		server.fetched(t, 1)
	})
	t.Run("refuses 10,000 unknown kids with at most one more fetch in 30 s", func(t *testing.T) {
		server := newKeyServer(known.Key())
		remote := NewRemoteKeySets(server.fetch, server.now)
		if _, err := remote.Keys(t.Context(), setAddress); err != nil {
			t.Fatal(err)
		}
		token := signedBy(t, stranger, "")
		flood := func() {
			for i := range 10_000 {
				token.Header.KeyID = fmt.Sprintf("unknown-%d", i)
				if err := remote.Verify(t.Context(), setAddress, token); !errors.Is(err, ErrNoKey) {
					t.Fatal(err)
				}
				server.wait(time.Millisecond) // 10,000 in 10 s
			}
		}
		flood()
		server.fetched(t, 2)
		flood()
		flood() // the interval ends after the 30,000th
		server.fetched(t, 2)
		flood()
		server.fetched(t, 3)
		if err := remote.Verify(t.Context(), setAddress, signedBy(t, known, known.ID())); err != nil {
			t.Errorf("the known key suffers: %v", err)
		}
	})
	t.Run("refuses a flood of unknown kids while the address fails", func(t *testing.T) {
		server := newKeyServer(known.Key())
		remote := NewRemoteKeySets(server.fetch, server.now)
		if _, err := remote.Keys(t.Context(), setAddress); err != nil {
			t.Fatal(err)
		}
		server.fail()
		for range 1000 {
			if err := remote.Verify(t.Context(), setAddress, signedBy(t, stranger, "unknown")); !errors.Is(err, ErrNoKey) {
				t.Fatal(err)
			}
		}
		server.fetched(t, 2)
		if err := remote.Verify(t.Context(), setAddress, signedBy(t, known, known.ID())); err != nil {
			t.Errorf("the known key suffers: %v", err)
		}
	})
	t.Run("refuses poisoned sets and keeps the good one", refusesPoisonedSets)
	t.Run("refuses a key that left the set", func(t *testing.T) {
		server := newKeyServer(known.Key(), stranger.Key())
		remote := NewRemoteKeySets(server.fetch, server.now)
		if err := remote.Verify(t.Context(), setAddress, signedBy(t, stranger, stranger.ID())); err != nil {
			t.Fatal(err)
		}
		server.publish(known.Key())
		server.wait(defaultLifetime)
		if err := remote.Verify(t.Context(), setAddress, signedBy(t, stranger, stranger.ID())); !errors.Is(err, ErrNoKey) {
			t.Errorf("the withdrawn key: %v", err)
		}
		server.fetched(t, 2)
	})
	t.Run("refuses a withdrawn key as soon as an unknown kid caused a fetch", func(t *testing.T) {
		server := newKeyServer(stranger.Key())
		remote := NewRemoteKeySets(server.fetch, server.now)
		if err := remote.Verify(t.Context(), setAddress, signedBy(t, stranger, stranger.ID())); err != nil {
			t.Fatal(err)
		}
		server.publish(known.Key())
		if err := remote.Verify(t.Context(), setAddress, signedBy(t, known, known.ID())); err != nil {
			t.Errorf("the new key: %v", err)
		}
		if err := remote.Verify(t.Context(), setAddress, signedBy(t, stranger, stranger.ID())); !errors.Is(err, ErrNoKey) {
			t.Errorf("the withdrawn key: %v", err)
		}
		server.fetched(t, 2)
	})
	t.Run("refuses a token with the key of another address", func(t *testing.T) {
		server := newKeyServer(known.Key())
		remote := NewRemoteKeySets(server.fetch, server.now)
		if _, err := remote.Keys(t.Context(), setAddress); err != nil {
			t.Fatal(err)
		}
		server.publish(stranger.Key())
		if err := remote.Verify(t.Context(), setAddress+"2", signedBy(t, known, known.ID())); !errors.Is(err, ErrNoKey) {
			t.Error(err)
		}
		if err := remote.Verify(t.Context(), setAddress+"2", signedBy(t, stranger, stranger.ID())); err != nil {
			t.Error(err)
		}
		server.fetched(t, 1)
	})
	t.Run("accepts a new key at once, for 64 who wait together, with one fetch", newKeyForMany)
	t.Run("refuses to remember more addresses than the limit", func(t *testing.T) {
		server := newKeyServer(known.Key())
		remote := NewRemoteKeySets(server.fetch, server.now)
		for i := range 3 * maxRemoteKeySets {
			if _, err := remote.Keys(t.Context(), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			server.wait(time.Microsecond)
			if _, err := remote.Keys(t.Context(), setAddress); err != nil { // in use all the time, so it stays
				t.Fatal(err)
			}
			server.wait(time.Microsecond)
		}
		if len(remote.sets) > maxRemoteKeySets {
			t.Errorf("%d addresses are remembered", len(remote.sets))
		}
		server.fetched(t, 1)
	})
}

func refusesPoisonedSets(t *testing.T) {
	known := newKey(t, ES256)
	good := string(known.PublicJWK())
	for name, body := range map[string]string{
		"empty":              "",
		"a page":             "<html>login</html>",
		"private key":        `{"keys":[` + good + `,` + string(known.PrivateJWK()) + `]}`,
		"too many keys":      `{"keys":[` + strings.Repeat(good+",", MaxKeys) + good + `]}`,
		"too many bytes":     `{"keys":[],"x":"` + strings.Repeat("a", MaxKeySetSize) + `"}`,
		"keys twice":         `{"keys":[` + good + `],"keys":[]}`,
		"no keys":            `{"error":"temporarily"}`,
		"a single key":       good,
		"something after it": `{"keys":[` + good + `]}{}`,
		"not UTF-8":          "{\"keys\":[],\"x\":\"\xff\"}",
		"nested too deeply":  `{"keys":[],"x":` + strings.Repeat("[", strictjson.MaxDepth+1) + strings.Repeat("]", strictjson.MaxDepth+1) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			server := newKeyServer(known.Key())
			server.say(body, 0, nil)
			remote := NewRemoteKeySets(server.fetch, server.now)
			token := signedBy(t, known, known.ID())
			err := remote.Verify(t.Context(), setAddress, token)
			if failure, ok := errors.AsType[*RemoteError](err); !ok || !strings.Contains(failure.Error(), "no acceptable key set") {
				t.Errorf("first: %v", err)
			}
			server.wait(retryInterval)
			server.publish(known.Key())
			if err := remote.Verify(t.Context(), setAddress, token); err != nil {
				t.Errorf("the good set: %v", err)
			}
			server.say(body, 0, nil)
			server.wait(defaultLifetime)
			if err := remote.Verify(t.Context(), setAddress, token); err != nil {
				t.Errorf("the good set, after a poisoned one: %v", err)
			}
			server.fetched(t, 3)
		})
	}
}

func newKeyForMany(t *testing.T) {
	old, young := newKey(t, EdDSA), newKey(t, EdDSA)
	server := newKeyServer(old.Key())
	remote := NewRemoteKeySets(server.fetch, server.now)
	if _, err := remote.Keys(t.Context(), setAddress); err != nil {
		t.Fatal(err)
	}
	server.publish(young.Key())
	var running sync.WaitGroup
	for range 64 {
		token := signedBy(t, young, young.ID())
		running.Go(func() {
			if err := remote.Verify(t.Context(), setAddress, token); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	server.fetched(t, 2)
}
