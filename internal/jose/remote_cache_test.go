package jose

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLifetimes(t *testing.T) {
	for _, test := range []struct{ maxAge, want time.Duration }{
		{0, 5 * time.Minute},
		{time.Second, time.Minute},
		{-time.Hour, time.Minute},
		{time.Minute, time.Minute},
		{10 * time.Minute, 10 * time.Minute},
		{24 * time.Hour, 24 * time.Hour},
		{1000 * time.Hour, 24 * time.Hour},
	} {
		t.Run(test.maxAge.String(), func(t *testing.T) {
			server := newKeyServer()
			server.maxAge = test.maxAge
			remote := NewRemoteKeySets(server.fetch, server.now)
			ahead := test.want / refreshAhead
			for _, step := range []struct {
				wait    time.Duration
				fetches int
			}{{0, 1}, {test.want - ahead - 1, 1}, {ahead + 1, 2}, {test.want - ahead - 1, 2}, {ahead + 1, 3}, {test.want - ahead, 4}} {
				server.wait(step.wait)
				if _, err := remote.Keys(t.Context(), setAddress); err != nil {
					t.Fatal(err)
				}
				landed(remote, setAddress)
				server.fetched(t, step.fetches)
			}
			if server.deadline <= 0 || server.deadline > fetchTimeout {
				t.Errorf("the fetch was given %v", server.deadline)
			}
		})
	}
}

// landed waits for a fetch that nobody waits for.
func landed(remote *RemoteKeySets, address string) {
	remote.mutex.Lock()
	flight := remote.sets[address].flight
	remote.mutex.Unlock()
	if flight != nil {
		<-flight
	}
}

// TestStaleIfError: a set outlives the failure of its server by 24 hours, to the nanosecond.
func TestStaleIfError(t *testing.T) {
	key := newKey(t, EdDSA)
	server := newKeyServer(key.Key())
	remote := NewRemoteKeySets(server.fetch, server.now)
	token := signedBy(t, key, key.ID())
	verify := func() error { return remote.Verify(t.Context(), setAddress, token) }
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	server.fail()
	server.wait(defaultLifetime + maxStale - 1)
	if err := verify(); err != nil {
		t.Errorf("just before it expires: %v", err)
	}
	server.fetched(t, 2)
	server.wait(1)
	err := verify()
	if _, ok := errors.AsType[*RemoteError](err); !ok {
		t.Errorf("too late: %v", err)
	}
	server.fetched(t, 2) // it failed just now
	server.wait(retryInterval)
	server.publish(key.Key())
	if err := verify(); err != nil {
		t.Errorf("after the server came back: %v", err)
	}
	server.fetched(t, 3)
}

// TestFailureHoldsOffUnknownKids: neither way to cause a fetch bypasses the other's pause.
func TestFailureHoldsOffUnknownKids(t *testing.T) {
	known := newKey(t, EdDSA)
	server := newKeyServer(known.Key())
	remote := NewRemoteKeySets(server.fetch, server.now)
	if _, err := remote.Keys(t.Context(), setAddress); err != nil {
		t.Fatal(err)
	}
	server.fail()
	server.wait(defaultLifetime)
	if err := remote.Verify(t.Context(), setAddress, signedBy(t, known, known.ID())); err != nil {
		t.Fatal(err)
	}
	server.fetched(t, 2)
	for range 10 {
		if err := remote.Verify(t.Context(), setAddress, signedBy(t, known, "unknown")); !errors.Is(err, ErrNoKey) {
			t.Error(err)
		}
	}
	server.fetched(t, 2)
	server.wait(retryInterval)
	if err := remote.Verify(t.Context(), setAddress, signedBy(t, known, "unknown")); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	server.fetched(t, 3) // by the end of the lifetime; the unknown kid adds none
}

func TestFailureIsNotRetriedAtOnce(t *testing.T) {
	key := newKey(t, EdDSA)
	server := newKeyServer()
	server.fail()
	remote := NewRemoteKeySets(server.fetch, server.now)
	token := signedBy(t, key, key.ID())
	for _, step := range []struct {
		wait    time.Duration
		fetches int
	}{{0, 1}, {retryInterval - 1, 1}, {1, 2}, {1, 2}} {
		server.wait(step.wait)
		for range 100 {
			err := remote.Verify(t.Context(), setAddress, token)
			failure, ok := errors.AsType[*RemoteError](err)
			if !ok || strings.Contains(err.Error(), "10.1.2.3") {
				t.Fatalf("%v, which is to be shown to clients", err)
			}
			if failure.Unwrap() == nil || failure.Unwrap().Error() != fetchSecret {
				t.Fatalf("the operator gets %v", failure.Unwrap())
			}
		}
		server.fetched(t, step.fetches)
	}
	server.wait(retryInterval)
	server.publish(key.Key())
	if err := remote.Verify(t.Context(), setAddress, token); err != nil {
		t.Error(err)
	}
}

// TestRefetchOnlyHelps: what a second fetch can and cannot change.
func TestRefetchOnlyHelps(t *testing.T) {
	old, young, rsaKey := newKey(t, EdDSA), newKey(t, EdDSA), newKey(t, PS256)
	for _, test := range []struct {
		name    string
		token   *Token
		want    error
		fetches int
	}{
		{"new kid", signedBy(t, young, young.ID()), nil, 2},
		{"new key without kid", signedBy(t, young, ""), nil, 2},
		{"new kind of key", signedBy(t, rsaKey, ""), nil, 2},
		{"known kid, wrong signature", signedBy(t, young, old.ID()), ErrSignature, 1},
		{"known kid, right signature", signedBy(t, old, old.ID()), nil, 1},
		{"unknown kid", signedBy(t, old, "x"), ErrNoKey, 2},
		{"kid of another kind of key", signedBy(t, newKey(t, ES256), old.ID()), ErrNoKey, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newKeyServer(old.Key())
			remote := NewRemoteKeySets(server.fetch, server.now)
			if _, err := remote.Keys(t.Context(), setAddress); err != nil {
				t.Fatal(err)
			}
			server.publish(old.Key(), young.Key(), rsaKey.Key())
			if err := remote.Verify(t.Context(), setAddress, test.token); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			server.fetched(t, test.fetches)
		})
	}
	t.Run("not what was fetched just now", func(t *testing.T) {
		server := newKeyServer(old.Key())
		remote := NewRemoteKeySets(server.fetch, server.now)
		if err := remote.Verify(t.Context(), setAddress, signedBy(t, young, young.ID())); !errors.Is(err, ErrNoKey) {
			t.Error(err)
		}
		server.fetched(t, 1)
	})
}

// TestOneFlight: all callers during a fetch wait for that one, each as long as it wants to.
func TestOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, EdDSA)
		server := newKeyServer(key.Key())
		server.hold = make(chan struct{})
		remote := NewRemoteKeySets(server.fetch, server.now)
		impatient, leave := context.WithCancel(t.Context())
		var left, served atomic.Int64
		for i := range 64 {
			if i == 1 {
				synctest.Wait() // the fetch is begun by one that will not wait for it
			}
			go func() {
				ctx := t.Context()
				if i%2 == 0 {
					ctx = impatient
				}
				set, err := remote.Keys(ctx, setAddress)
				switch {
				case i%2 == 0 && errors.Is(err, context.Canceled):
					left.Add(1)
				case i%2 == 1 && err == nil && len(set.Keys()) == 1:
					served.Add(1)
				default:
					t.Errorf("%d: %v", i, err)
				}
			}()
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		if left.Load() != 32 || served.Load() != 0 {
			t.Errorf("%d left, %d were served before the answer", left.Load(), served.Load())
		}
		// Another address does not wait for this one.
		if _, err := remote.Keys(t.Context(), setAddress+"2"); err != nil {
			t.Error(err)
		}
		close(server.hold)
		synctest.Wait()
		server.fetched(t, 1)
		if served.Load() != 32 {
			t.Errorf("%d were served", served.Load())
		}
	})
}

// TestRemoteKeySetsRace: 64 callers, eight addresses, rotating and failing sets, a clock that runs. What holds is that
// a token by a key that was never published is never accepted, and one by a key that always is always is.
func TestRemoteKeySetsRace(t *testing.T) {
	always, never := newKey(t, EdDSA), newKey(t, EdDSA)
	others := []PrivateKey{newKey(t, EdDSA), newKey(t, ES256), newKey(t, ES256)}
	server := newKeyServer(always.Key())
	remote := NewRemoteKeySets(server.fetch, server.now)
	addresses := []string{"a", "b", "c", "d", "e", "f", "g", setAddress}
	for _, address := range addresses {
		if _, err := remote.Keys(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	}
	good, forged := signedBy(t, always, always.ID()), signedBy(t, never, never.ID())
	rotated := signedBy(t, others[1], others[1].ID())
	var running sync.WaitGroup
	for worker := range 64 {
		running.Go(func() {
			for i := range 50 {
				address := addresses[(worker+i)%len(addresses)]
				switch i % 5 {
				case 0:
					if worker%8 == 0 {
						server.fail()
					} else {
						server.publish(always.Key(), others[(worker+i)%len(others)].Key())
					}
					server.wait(7 * time.Second)
				case 1, 2:
					if err := remote.Verify(t.Context(), address, good); err != nil {
						t.Errorf("the good token: %v", err)
					}
				case 3:
					if err := remote.Verify(t.Context(), address, forged); err == nil {
						t.Error("the forged token was accepted")
					}
				case 4:
					if err := remote.Verify(t.Context(), address, rotated); err != nil && !errors.Is(err, ErrNoKey) {
						t.Errorf("the rotated token: %v", err)
					}
				}
			}
		})
	}
	running.Wait()
	if len(remote.sets) != len(addresses) {
		t.Errorf("%d addresses", len(remote.sets))
	}
}
