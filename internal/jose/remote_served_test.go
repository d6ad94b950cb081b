package jose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reports collects what a RemoteKeySets reports.
type reports struct {
	mutex sync.Mutex
	texts []string
}

func (r *reports) add(_ context.Context, report Report) {
	text := fmt.Sprint(report.Keys.LeftOut(false))
	if report.Failure != nil {
		text = report.Failure.Error()
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.texts = append(r.texts, text)
}

// take waits until something was reported, which is after the set is there, and takes it.
func (r *reports) take() []string {
	for range 5000 {
		r.mutex.Lock()
		taken := r.texts
		r.texts = nil
		r.mutex.Unlock()
		if taken != nil {
			return taken
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// told is a failure with a part that may be told.
type told struct{ secret, open string }

func (t told) Error() string { return t.secret }
func (t told) Told() string  { return t.open }

// Covers: FD-43. A document with a key that is wrong is used for the others at once; one that is refused whole keeps the keys
// from before, and the client that wants a newer one is told why there is none.
func TestFD43Rotation(t *testing.T) {
	first, second := newKey(t, ES256), newKey(t, ES256)
	java, err := os.ReadFile("testdata/served/rotation.json")
	if err != nil {
		t.Fatal(err)
	}
	bad := string(java)[strings.Index(string(java), `{"e":`) : len(strings.TrimSpace(string(java)))-2]
	document := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	one, two := string(first.PublicJWK()), string(second.PublicJWK())
	for name, beside := range map[string]string{
		"written by Java": bad, "symmetric": `{"kty":"oct","k":"AAAA"}`, "of 1024 bits": strings.Replace(bad, `"n":"A`, `"n":"AAAA","z":"`, 1), "of a kind to come": `{"kty":"AKP"}`,
	} {
		t.Run("accepts a new key beside one that is "+name, func(t *testing.T) {
			server := newKeyServer(first.Key())
			remote := NewRemoteKeySets(server.fetch, server.now)
			if err := remote.Verify(t.Context(), setAddress, signedBy(t, first, first.ID())); err != nil {
				t.Fatal(err)
			}
			server.say(document(one, two, beside), 0, nil)
			for _, key := range []PrivateKey{second, first} {
				if err := remote.Verify(t.Context(), setAddress, signedBy(t, key, key.ID())); err != nil {
					t.Error(err)
				}
			}
			server.fetched(t, 2)
		})
	}
	for name, test := range map[string]struct {
		body   string
		err    error
		reason string
	}{
		"a private key":  {document(one, string(second.PrivateJWK())), nil, "private members"},
		"no JSON":        {"<html>", nil, "not a JSON object"},
		"keys twice":     {`{"keys":[` + two + `],"keys":[]}`, nil, "repeats"},
		"what it tells":  {"", told{fetchSecret, "it answered with status 503, not 200"}, "status 503"},
		"what it hides":  {"", errors.New(fetchSecret), "could not be fetched"},
		"what is hidden": {"", told{fetchSecret, ""}, "could not be fetched"},
	} {
		t.Run("refuses a document with "+name+", says so and keeps the keys", func(t *testing.T) {
			server := newKeyServer(first.Key())
			remote := NewRemoteKeySets(server.fetch, server.now)
			if _, err := remote.Keys(t.Context(), setAddress); err != nil {
				t.Fatal(err)
			}
			server.say(test.body, 0, test.err)
			for range 3 {
				err := remote.Verify(t.Context(), setAddress, signedBy(t, second, second.ID()))
				stale, ok := errors.AsType[*StaleError](err)
				if !ok || !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "the client's keys cannot be read: ") || !strings.Contains(stale.Failure.Error(), test.reason) {
					t.Errorf("%v, want %q", err, test.reason)
				}
				if _, counted := errors.AsType[*RemoteError](err); counted || strings.Contains(err.Error(), "10.1.2.3") {
					t.Errorf("a stranger learns %v", err)
				}
				if err := remote.Verify(t.Context(), setAddress, signedBy(t, first, first.ID())); err != nil {
					t.Error(err)
				}
				if err := remote.Verify(t.Context(), setAddress, signedBy(t, second, first.ID())); !errors.Is(err, ErrSignature) {
					t.Error(err)
				}
			}
			server.fetched(t, 2)
			server.publish(first.Key(), second.Key())
			server.wait(refetchInterval)
			if err := remote.Verify(t.Context(), setAddress, signedBy(t, second, second.ID())); err != nil {
				t.Error(err)
			}
		})
		t.Run("refuses with the reason when there are no keys, for "+name, func(t *testing.T) {
			server := newKeyServer()
			server.say(test.body, 0, test.err)
			err := NewRemoteKeySets(server.fetch, server.now).Verify(t.Context(), setAddress, signedBy(t, first, first.ID()))
			if failure, ok := errors.AsType[*RemoteError](err); !ok || !strings.Contains(failure.Error(), test.reason) {
				t.Errorf("%v, want %q", err, test.reason)
			}
		})
	}
}

// Covers: FD-44. What comes from an address is reported once for each change, not for each fetch or request.
func TestFD44Reports(t *testing.T) {
	key := newKey(t, EdDSA)
	server := newKeyServer(key.Key())
	good := server.body
	bad := `{"keys":[` + string(key.PublicJWK()) + `,{"kid":"x","kty":"oct","k":"AA"}]}`
	private := `{"keys":[` + string(key.PrivateJWK()) + `]}`
	remote := NewRemoteKeySets(server.fetch, server.now)
	var got reports
	remote.Report = got.add
	for _, step := range []struct{ name, body, want string }{
		{"accepts a good one, with nothing left out", good, "[]"},
		{"accepts one with a key that is left out", bad, `kid "x"`},
		{"refuses one with a private key", private, "private members"},
		{"accepts the one from before again", bad, `kid "x"`},
		{"refuses one that is no JSON", "x", "not a JSON object"},
	} {
		t.Run(step.name, func(t *testing.T) {
			server.say(step.body, 0, nil)
			for range 5 {
				server.wait(maxLifetime)
				for range 3 {
					if _, err := remote.Keys(t.Context(), setAddress); err != nil && step.body == good {
						t.Error(err)
					}
				}
				landed(remote, setAddress)
			}
			if texts := got.take(); len(texts) != 1 || !strings.Contains(texts[0], step.want) {
				t.Errorf("reported %q, want %q once", texts, step.want)
			}
		})
	}
}

// Covers: FD-42. A large document is fetched and read beside the requests: they are answered by the keys from before until
// it is there, and it is read once.
func TestFD42RefreshBesideRequests(t *testing.T) {
	t.Run("accepts by the keys at hand while the next are fetched", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			old, young := newKey(t, EdDSA), newKey(t, EdDSA)
			server := newKeyServer(old.Key())
			remote := NewRemoteKeySets(server.fetch, server.now)
			if _, err := remote.Keys(t.Context(), setAddress); err != nil {
				t.Fatal(err)
			}
			server.publish(old.Key(), young.Key())
			server.hold = make(chan struct{})
			server.wait(defaultLifetime - 1)
			for range 100 { // none waits for the fetch, which does not end
				if err := remote.Verify(t.Context(), setAddress, signedBy(t, old, old.ID())); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			server.fetched(t, 2)
			close(server.hold)
			synctest.Wait()
			if err := remote.Verify(t.Context(), setAddress, signedBy(t, young, young.ID())); err != nil {
				t.Error(err)
			}
			server.fetched(t, 2)
		})
	})
	t.Run("accepts the same document without reading it again", func(t *testing.T) {
		key := newKey(t, ES256)
		server := newKeyServer()
		server.say(string(manyKeys(t, 1000, key)), 0, nil)
		remote := NewRemoteKeySets(server.fetch, server.now)
		var before []Key
		for i := range 3 {
			set, err := remote.Keys(t.Context(), setAddress)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 && &set.keys[0] != &before[0] {
				t.Error("the document was read again")
			}
			before = set.keys
			server.wait(defaultLifetime)
		}
		server.fetched(t, 3)
	})
	t.Run("refuses to remember more keys than the limit", func(t *testing.T) {
		server := newKeyServer()
		server.say(string(manyKeys(t, MaxKeys, newKey(t, ES256))), 0, nil)
		remote := NewRemoteKeySets(server.fetch, server.now)
		raw, err := ParseKeySet([]byte(server.body))
		if err != nil {
			t.Fatal(err)
		}
		fill := func(address string) { // as land does, without reading the document each time
			remote.mutex.Lock()
			entry := remote.entry(address)
			entry.flight = make(chan struct{})
			remote.mutex.Unlock()
			remote.settle(address, entry, remoteDocument{set: raw}, time.Minute, nil)
			server.wait(time.Microsecond)
		}
		var addresses []string
		for i := range 2 * maxRemoteKeys / MaxKeys {
			addresses = append(addresses, fmt.Sprint(i))
			fill(addresses[i])
			fill(addresses[i])
			fill(setAddress)
		}
		if remote.keys > maxRemoteKeys || len(remote.sets)*MaxKeys != remote.keys || remote.sets[setAddress] == nil {
			t.Errorf("%d keys of %d addresses", remote.keys, len(remote.sets))
		}
		if !slices.ContainsFunc(addresses, func(a string) bool { return remote.sets[a] == nil }) {
			t.Error("all are remembered")
		}
	})
}
