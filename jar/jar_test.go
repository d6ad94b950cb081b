package jar

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/jose"
	"countersign/internal/requestobject"
)

// noon is the time of these tests.
func noon() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

func newKey(t *testing.T, alg string) jose.PrivateKey {
	t.Helper()
	key, err := jose.NewPrivateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t *testing.T, key jose.PrivateKey, typ string, claims map[string]any) string {
	t.Helper()
	token, err := jose.Sign(t.Context(), key.SigningKey(), typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// rules accept what client-1 signs with a key.
func rules(t *testing.T, key jose.PrivateKey) Rules {
	t.Helper()
	keys, err := ParseKeySet([]byte(`{"keys":[` + string(key.PublicJWK()) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return Rules{
		Audience: "https://issuer.example", ClientID: "client-1", Algorithms: []string{jose.ES256},
		MaxAge: time.Hour, MaxLifetime: time.Hour, MaxAhead: 30 * time.Second, Now: noon(),
		Verify: keys.Verify,
	}
}

func algorithms() []string { return []string{jose.PS256, jose.ES256} }

// right are the claims of an object that stands.
func right() map[string]any {
	return map[string]any{"iss": "client-1", "aud": "https://issuer.example", "nbf": noon().Unix(), "exp": noon().Add(time.Minute).Unix(), "scope": "openid"}
}

// TestParameters: what is inside becomes parameters, each as it would stand in a form.
func TestParameters(t *testing.T) {
	key := newKey(t, jose.ES256)
	body := right()
	body["max_age"], body["claims"], body["state"], body["jti"] = 60, map[string]any{"id_token": map[string]any{"acr": nil}}, "a&b=c", "1"
	body["resource"], body["authorization_details"], body["nothing"] = []string{"https://a.example", "https://b.example"}, []any{map[string]any{"type": "x"}}, nil
	object, err := Parse(signed(t, key, Type, body), algorithms())
	if err != nil {
		t.Fatal(err)
	}
	got, err := rules(t, key).Check(t.Context(), object)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"scope": {"openid"}, "max_age": {"60"}, "claims": {`{"id_token":{"acr":null}}`}, "state": {"a&b=c"}, "client_id": {"client-1"},
		"resource": {"https://a.example", "https://b.example"}, "authorization_details": {`[{"type":"x"}]`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCheckAtTheBounds: each bound is good, and one second beyond it is not.
func TestCheckAtTheBounds(t *testing.T) {
	key := newKey(t, jose.ES256)
	for name, times := range map[string]struct {
		notBefore, expires time.Duration
		good               bool
	}{
		"lives an hour": {0, time.Hour, true}, "lives longer": {0, time.Hour + time.Second, false},
		"an hour old": {-time.Hour, 0, false}, "nearly an hour old": {-time.Hour + time.Second, time.Second, true},
		"too old": {-time.Hour - time.Second, -time.Second, false}, "expires next": {0, time.Second, true}, "expired": {-time.Minute, 0, false},
		"ahead": {30 * time.Second, time.Minute, true}, "too far ahead": {31 * time.Second, time.Minute, false},
		"ends before it begins": {20 * time.Second, 10 * time.Second, true}, // harmless: both lie within their bounds
	} {
		t.Run(name, func(t *testing.T) {
			body := right()
			body["nbf"], body["exp"] = noon().Add(times.notBefore).Unix(), noon().Add(times.expires).Unix()
			object, err := Parse(signed(t, key, "", body), algorithms())
			if err != nil {
				t.Fatal(err)
			}
			_, err = rules(t, key).Check(t.Context(), object)
			if (err == nil) != times.good || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestRefused: what cannot stand is refused as such, with what would be right.
func TestRefused(t *testing.T) {
	key := newKey(t, jose.ES256)
	for name, test := range map[string]struct {
		typ   string
		alter func(map[string]any)
		says  string
	}{
		"another typ":       {"at+jwt", func(map[string]any) {}, Type},
		"nested":            {Type, func(c map[string]any) { c["request"] = "x" }, "RFC 9101"},
		"an address":        {Type, func(c map[string]any) { c["request_uri"] = nil }, "RFC 9101"},
		"another client":    {Type, func(c map[string]any) { c["iss"] = "client-2" }, "client_id"},
		"an assertion":      {Type, func(c map[string]any) { c["sub"] = "client-1" }, "assertion"},
		"another server":    {Type, func(c map[string]any) { c["aud"] = "https://other.example" }, "https://issuer.example"},
		"no times":          {Type, func(c map[string]any) { delete(c, "nbf") }, "nbf"},
		"no strings":        {Type, func(c map[string]any) { c["resource"] = []int{1} }, "resource"},
		"another client_id": {Type, func(c map[string]any) { c["client_id"] = "client-2" }, "another client"},
	} {
		t.Run(name, func(t *testing.T) {
			body := right()
			test.alter(body)
			object, err := Parse(signed(t, key, test.typ, body), algorithms())
			if err == nil {
				_, err = rules(t, key).Check(t.Context(), object)
			}
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v does not say %q", err, test.says)
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		object, err := Parse(signed(t, newKey(t, jose.ES256), Type, right()), algorithms())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rules(t, key).Check(t.Context(), object); !errors.Is(err, jose.ErrNoKey) || !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
	})
	t.Run("an algorithm that the client did not register", func(t *testing.T) {
		other := newKey(t, jose.PS256)
		object, err := Parse(signed(t, other, Type, right()), algorithms())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rules(t, other).Check(t.Context(), object); !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
	})
}

// TestResponse: whatever the parameters are called, issuer, audience and end are the server's.
func TestResponse(t *testing.T) {
	key := newKey(t, jose.ES256)
	made, err := Response{
		Issuer: "https://issuer.example", ClientID: "client-1", Expires: noon(),
		Parameters: url.Values{"code": {"secret"}, "state": {"\"</script>"}, "iss": {"https://attacker.example"}, "exp": {"9999999999"}},
	}.Sign(t.Context(), SigningKey(key.SigningKey()))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jose.ParseKeySet([]byte(`{"keys":[` + string(key.PublicJWK()) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Parse(made, jose.ParseOptions{Algorithms: algorithms()})
	if err != nil || !token.Header.HasType(ResponseType) || token.VerifyWith(keys) != nil {
		t.Fatalf("%s: %v", made, err)
	}
	var got map[string]any
	if err := token.Claims(&got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"iss": "https://issuer.example", "aud": "client-1", "exp": float64(noon().Unix()), "code": "secret", "state": "\"</script>"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzParse: whatever is sent, it is taken apart or refused, and nothing that is about the object itself, or names another,
// becomes a parameter.
func FuzzParse(f *testing.F) {
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, raw string) {
		object, err := Parse(raw, algorithms())
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Fatalf("%v is not a refusal", err)
			}
			return
		}
		for _, name := range append(requestobject.About(), "request", "request_uri") {
			if object.object.Parameters.Has(name) {
				t.Fatalf("%s became a parameter", name)
			}
		}
		for name, values := range object.object.Parameters {
			if len(values) > 1 && name != "resource" {
				t.Fatalf("%s came more than once", name)
			}
		}
	})
}
