package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/store"
)

const symmetric = `{"kty":"oct","kid":"mac","k":"AAAA"}`

func publicJWK(t *testing.T) string {
	t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return string(key.PublicJWK())
}

func keysOf(keys ...string) json.RawMessage {
	return json.RawMessage(`{"keys":[` + strings.Join(keys, ",") + `]}`)
}

// Covers: FD-45. What clients register for self_signed_tls_client_auth.
func TestFD45SelfSignedRegistrations(t *testing.T) {
	for _, file := range []string{"p384.json", "tls256.json"} {
		t.Run("accepts "+file, func(t *testing.T) {
			raw, err := os.ReadFile("testdata/served/" + file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse("client-1", "fapi2-security", raw)
			if err != nil {
				t.Fatal(err)
			}
			if left := c.LeftOut(c.Keys); len(left) != 0 || !c.Keys.Certifies() {
				t.Errorf("left out: %v", left)
			}
			t.Run("refuses it for private_key_jwt", func(t *testing.T) {
				signing := bytes.Replace(raw, []byte("self_signed_tls_client_auth"), []byte("private_key_jwt"), 1)
				_, err := Parse("client-1", "fapi2-security", signing)
				if err == nil || !strings.Contains(err.Error(), "jwks: missing; private_key_jwt needs") {
					t.Error(err)
				}
			})
		})
	}
}

// Covers: FD-48. A registration is refused for its keys when none of them can be used, and says why; not for one of them,
// unless that is private.
func TestFD48Registrations(t *testing.T) {
	good, other := publicJWK(t), publicJWK(t)
	private, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, 1000)
	for i := range many {
		many[i] = strings.Replace(other, `"kid":"`, fmt.Sprintf(`"kid":"%d-`, i), 1)
	}
	for name, test := range map[string]struct {
		keys  json.RawMessage
		left  int
		wrong string
	}{
		"accepts a good key":                       {keysOf(good), 0, ""},
		"accepts a good key beside a symmetric":    {keysOf(symmetric, good), 1, ""},
		"accepts a thousand keys":                  {keysOf(append(many, good)...), 0, ""},
		"accepts the padding of a mebibyte":        {json.RawMessage(`{"keys":[` + good + `],"x":"` + strings.Repeat("x", 1<<20) + `"}`), 0, ""},
		"refuses a symmetric key alone":            {keysOf(symmetric), 1, `not usable: key 1 (kid "mac"): symmetric keys are not accepted`},
		"refuses three of many in its words":       {keysOf(symmetric, symmetric, `{}`, `{}`, `{}`), 5, `key 3: the key has no kty and 2 more`},
		"refuses a private key beside a good one":  {keysOf(good, string(private.PrivateJWK())), 0, "private members"},
		"refuses no keys":                          {keysOf(), 0, "missing"},
		"refuses more keys than are looked at":     {keysOf(append(append(many, many...), good)...), 0, "more than 2000 keys"},
		"refuses a key with a member twice (JSON)": {keysOf(strings.TrimSuffix(good, "}") + `,"use":"sig"}`), 0, "repeats"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse("client-1", "fapi2-security", registration(t, func(m map[string]any) { m["jwks"] = json.RawMessage(`"KEYS"`) }))
			if c != nil || err == nil {
				t.Fatal("a string is a key set")
			}
			metadata := bytes.Replace(registration(t, func(m map[string]any) { m["jwks"] = "KEYS" }), []byte(`"KEYS"`), test.keys, 1)
			c, err = Parse("client-1", "fapi2-security", metadata)
			switch {
			case test.wrong != "":
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("%v, want %q", err, test.wrong)
				}
			case err != nil:
				t.Error(err)
			case len(c.LeftOut(c.Keys)) != test.left:
				t.Errorf("left out: %v", c.LeftOut(c.Keys))
			}
		})
	}
}

// lines collects the log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return strings.FieldsFunc(l.text.String(), func(r rune) bool { return r == '\n' })
}

type clientStore = store.Clients

// oneClient is a store of one client.
type oneClient struct {
	clientStore
	record store.Client
}

func (c *oneClient) Client(context.Context, string) (store.Client, error) { return c.record, nil }

// Covers: FD-44. Keys that are left out are logged at warning with client, kid and reason: once for each version of a
// registration, and once for each change of what is at a jwks_uri.
func TestFD44Log(t *testing.T) {
	var log lines
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	good := publicJWK(t)
	check := func(t *testing.T, want ...string) {
		t.Helper()
		got := log.take()
		if len(got) != min(len(want), 1) {
			t.Fatalf("%q, want one line with %q", got, want)
		}
		for _, part := range want {
			if !strings.Contains(got[0], part) {
				t.Errorf("%s has no %s", got[0], part)
			}
		}
	}
	t.Run("accepts keys by value, and names what is left out once", func(t *testing.T) {
		stored := &oneClient{record: store.Client{ID: "client-1", Profile: "fapi2-security", Version: 1}}
		cache := NewCache(stored, []string{"fapi2-security"}, clock, logger)
		for version, test := range []struct {
			keys json.RawMessage
			want []string
		}{
			{keysOf(good), nil},
			{keysOf(good, symmetric), []string{`"level":"WARN"`, `"msg":"client key left out"`, `"client_id":"client-1"`, `"kid":"mac"`, `"position":2`, `"reason":"symmetric`, `"count":1`}},
			{keysOf(symmetric, good), []string{`"position":1`}},
			{keysOf(good), nil},
		} {
			stored.record.Version, stored.record.Metadata = version, registration(t, func(m map[string]any) { m["jwks"] = test.keys })
			for range 3 {
				now = now.Add(time.Minute)
				for range 3 {
					if _, err := cache.Get(t.Context(), "client-1"); err != nil {
						t.Fatal(err)
					}
				}
				cache.OnChange(store.Change{Lost: true})
				cache.Invalidate("client-1")
			}
			check(t, test.want...)
		}
	})
	t.Run("refuses to fill the log", func(t *testing.T) {
		var keys []string
		for range 100 {
			keys = append(keys, symmetric)
		}
		set, err := jose.ParseKeySet(keysOf(keys...))
		if err != nil {
			t.Fatal(err)
		}
		logLeftOut(t.Context(), logger, &Client{ID: "client-1"}, set)
		if got := log.take(); len(got) != maxLoggedKeys || !strings.Contains(got[0], `"count":100`) {
			t.Errorf("%d lines", len(got))
		}
	})
	t.Run("accepts keys by address, and names what changes once", func(t *testing.T) {
		document, failure := keysOf(good), error(nil)
		done := make(chan struct{}, 100)
		remote := jose.NewRemoteKeySets(func(context.Context, string) ([]byte, time.Duration, error) { return document, 0, failure }, clock)
		keys := NewKeySets(remote, logger)
		report := remote.Report
		remote.Report = func(ctx context.Context, r jose.Report) { report(ctx, r); done <- struct{}{} }
		c := &Client{ID: "client-1", Metadata: Metadata{JWKSURI: "https://client.example/jwks"}}
		for _, test := range []struct {
			document json.RawMessage
			failure  error
			want     []string
		}{
			{keysOf(good), nil, nil},
			{keysOf(good, symmetric), nil, []string{`"msg":"client key left out"`, `"client_id":"client-1"`, `"jwks_uri":"https://client.example/jwks"`, `"kid":"mac"`}},
			{nil, fmt.Errorf("outbound: client.example: secret"), []string{`"msg":"client keys not read from jwks_uri; previous ones are kept"`, `"client_id":"client-1"`, `"error":"outbound: client.example: secret"`}},
			{json.RawMessage(`{}`), nil, []string{`"error":"malformed: the key set has no keys member"`}},
			{keysOf(good, symmetric), nil, []string{`"kid":"mac"`}},
		} {
			document, failure = test.document, test.failure
			for range 3 {
				now = now.Add(10 * time.Minute)
				for range 3 {
					if _, err := keys.Of(t.Context(), c); err != nil {
						t.Fatal(err)
					}
				}
			}
			<-done
			check(t, test.want...)
		}
	})
}
