package fapitest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/client"
	"countersign/internal/jose"
)

// Change alters a request before it is sent.
type Change = func(form url.Values, header http.Header)

// Set gives a parameter a value; set to "" it counts as omitted.
func Set(name, value string) Change {
	return func(form url.Values, _ http.Header) { form.Set(name, value) }
}

// Unset removes a parameter.
func Unset(name string) Change { return func(form url.Values, _ http.Header) { form.Del(name) } }

// SetHeader sets a header.
func SetHeader(name, value string) Change {
	return func(_ url.Values, h http.Header) { h.Set(name, value) }
}

// Changes makes several changes.
func Changes(list ...Change) Change {
	return func(form url.Values, header http.Header) {
		for _, one := range list {
			one(form, header)
		}
	}
}

// Nothing changes nothing.
func Nothing(url.Values, http.Header) {}

// Attempt is one case of a numbered test. With a code the server must refuse it, without one it must succeed.
type Attempt struct {
	Name   string
	change Change
	Status int
	Code   string
}

// Good is an attempt that must succeed.
func Good(name string, change Change) Attempt { return Attempt{Name: name, change: change} }

// Bad is an attempt that must be refused.
func Bad(name string, change Change, status int, code string) Attempt {
	return Attempt{name, change, status, code}
}

// TryAll sends every attempt, each as a subtest, and checks the replies.
func TryAll(t *testing.T, send func(Change) Reply, attempts ...Attempt) {
	t.Helper()
	for _, one := range attempts {
		t.Run(one.title(), func(t *testing.T) { one.Check(t, send(one.change)) })
	}
}

// title is the name of the subtest, by which the checklist counts.
func (a Attempt) title() string {
	if a.Code == "" {
		return "accepts " + a.Name
	}
	return "refuses " + a.Name
}

// Check checks a reply to the attempt.
func (a Attempt) Check(t *testing.T, r Reply) {
	t.Helper()
	if a.Code != "" {
		WantError(t, r, a.Status, a.Code)
		return
	}
	if r.Status != http.StatusOK && r.Status != http.StatusCreated {
		t.Fatalf("answered %d %s", r.Status, r.Raw)
	}
}

// WantOK checks that a request succeeded.
func WantOK(t *testing.T, r Reply) {
	t.Helper()
	if r.Status != http.StatusOK {
		t.Fatalf("answered %d %s", r.Status, r.Raw)
	}
}

// WantError checks an OAuth error: its status and code, that it has a description, and the correlation id.
func WantError(t *testing.T, r Reply, status int, code string) {
	t.Helper()
	if r.Status != status || r.Text("error") != code {
		t.Fatalf("answered %d %s, want %d %s", r.Status, r.Raw, status, code)
	}
	id := r.Header.Get("X-Correlation-Id")
	if r.Text("error_description") == "" || id == "" || r.Text("correlation_id") != id && !strings.HasSuffix(r.Text("error_description"), "(correlation id "+id+")") {
		t.Errorf("the error does not help: %s", r.Raw)
	}
}

// WantInactive checks that introspection says nothing about a token (RFC 7662 §2.2).
func WantInactive(t *testing.T, r Reply) {
	t.Helper()
	if r.Status != http.StatusOK || strings.TrimSpace(r.Raw) != `{"active":false}` {
		t.Fatalf("answered %d %s, want 200 and nothing but active false", r.Status, r.Raw)
	}
}

// WantUnauthorized checks that a bearer token was not accepted (RFC 6750 §3).
func WantUnauthorized(t *testing.T, r Reply) {
	t.Helper()
	WantError(t, r, http.StatusUnauthorized, "invalid_token")
	if !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("challenged with %q", r.Header.Get("WWW-Authenticate"))
	}
}

// WantRedirectError checks the error that a browser brings back to the client.
func WantRedirectError(t *testing.T, q url.Values, code string) {
	t.Helper()
	if q.Get("error") != code || q.Has("code") || q.Get("error_description") == "" {
		t.Fatalf("the client got %v, want the error %s", q, code)
	}
}

// ClientMetadata is metadata that can be registered; alter, if it is not nil, changes it.
func ClientMetadata(t *testing.T, alter func(map[string]any)) []byte {
	t.Helper()
	metadata := map[string]any{
		"client_name": "Example", "redirect_uris": []string{"https://client.example/callback"}, "scope": "openid",
		"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true,
		"jwks": json.RawMessage(`{"keys":[` + string(NewKey(t, jose.ES256).PublicJWK()) + `]}`),
	}
	if alter != nil {
		alter(metadata)
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TryRegistration tries to register a client, as a subtest; wrong is the member that the refusal must name, or "".
func TryRegistration(t *testing.T, name string, alter func(map[string]any), wrong string) {
	t.Helper()
	title := "accepts " + name
	if wrong != "" {
		title = "refuses " + name
	}
	t.Run(title, func(t *testing.T) {
		_, err := client.Parse("client-1", "fapi2-security", ClientMetadata(t, alter))
		switch {
		case wrong == "" && err != nil:
			t.Errorf("refused: %v", err)
		case wrong != "" && err == nil:
			t.Error("accepted")
		case wrong != "" && !strings.Contains("\n"+err.Error(), "\n"+wrong+":"):
			t.Errorf("%q does not name %s", err, wrong)
		}
	})
}

// WantRegistrationRefused checks that metadata is refused for a profile, and would be accepted without the changes.
func WantRegistrationRefused(t *testing.T, profile string, changes map[string]any) {
	t.Helper()
	base := map[string]any{
		"client_name": "Example", "redirect_uris": []string{"https://client.example/callback"}, "scope": "openid",
		"jwks": KeySet(NewKey(t, "ES256").PublicJWK()), "tls_client_certificate_bound_access_tokens": true,
	}
	for _, with := range []map[string]any{nil, changes} {
		metadata := maps.Clone(base)
		maps.Copy(metadata, with)
		body, err := json.Marshal(metadata)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Parse("client-1", profile, body)
		if refused := err != nil; refused != (with != nil) {
			t.Errorf("%s with %v: %v", profile, with, err)
		}
		for name := range with {
			if err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%q does not name %s", err, name)
			}
		}
	}
}

// RandomString is 128 random bits.
func RandomString() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HalfHash is what at_hash, c_hash and s_hash are of a value, for algorithms with SHA-256 (OpenID Connect Core §3.1.3.6).
func HalfHash(value string) string {
	digest := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}

// Altered is a secret with another last but one character.
func Altered(secret string) string {
	replacement := byte('A')
	if secret[len(secret)-2] == replacement {
		replacement = 'B'
	}
	return secret[:len(secret)-2] + string(replacement) + secret[len(secret)-1:]
}

// JSON is a value as JSON.
func JSON(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// Sorted goes through a table in the order of its names.
func Sorted[V any](table map[string]V) func(func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, name := range slices.Sorted(maps.Keys(table)) {
			if !yield(name, table[name]) {
				return
			}
		}
	}
}

// MustURL parses a URL.
func MustURL(t *testing.T, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
