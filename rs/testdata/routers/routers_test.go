package routers_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/rs"
	"countersign/rs/testdata/routers"
)

// issuer is an issuer that nobody has to reach.
type issuer struct{ key jose.PrivateKey }

// RoundTrip implements http.RoundTripper.
func (i issuer) RoundTrip(*http.Request) (*http.Response, error) {
	body := `{"keys":[` + string(i.key.PublicJWK()) + `]}`
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// TestRouters: a token with the scope passes, and others are answered by the guard, in each router.
func TestRouters(t *testing.T) {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := rs.New(context.Background(), rs.Config{
		Issuer: "https://login.example", Audience: "https://api.example", KeysURL: "https://login.example/jwks",
		HTTP: &http.Client{Transport: issuer{key}}, Weak: rs.Weak{Bearer: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	send := func(handler http.Handler, path, scope string) *httptest.ResponseRecorder {
		now := time.Now()
		token, err := jose.Sign(t.Context(), key.SigningKey(), "at+jwt", map[string]any{
			"iss": "https://login.example", "aud": "https://api.example", "sub": "alice", "client_id": "c", "jti": "j", "scope": scope,
			"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		return answer
	}
	for name, handler := range map[string]http.Handler{"chi": routers.Chi(guard), "gin": routers.Gin(guard), "echo": routers.Echo(guard)} {
		t.Run(name+"/accepts", func(t *testing.T) {
			for path, one := range map[string][2]string{"/accounts": {"accounts", "alice"}, "/consents/42": {"consent:42", "42"}} {
				if answer := send(handler, path, one[0]); answer.Code != http.StatusOK || answer.Body.String() != one[1] || answer.Header().Get("X-Fapi-Interaction-Id") == "" {
					t.Errorf("%s: answered %d %v %s", path, answer.Code, answer.Header(), answer.Body)
				}
			}
		})
		t.Run(name+"/refuses", func(t *testing.T) {
			for path, scope := range map[string]string{"/accounts": "payments", "/consents/42": "consent:43"} {
				answer := send(handler, path, scope)
				if answer.Code != http.StatusForbidden || !strings.Contains(answer.Header().Get("WWW-Authenticate"), `error="insufficient_scope"`) || strings.Contains(answer.Body.String(), "alice") {
					t.Errorf("%s: answered %d %v %s", path, answer.Code, answer.Header(), answer.Body)
				}
			}
		})
	}
}
