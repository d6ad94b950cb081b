package ciba

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/jose"
	"countersign/jar"
)

func noon() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

func newKey(t *testing.T) jose.PrivateKey {
	t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rules accept what client-1 signs with a key, .
func rules(t *testing.T, key jose.PrivateKey) Rules {
	t.Helper()
	keys, err := jar.ParseKeySet([]byte(`{"keys":[` + string(key.PublicJWK()) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return Rules{
		Audience: "https://issuer.example", ClientID: "client-1", Algorithms: []string{jose.ES256},
		MaxAge: time.Hour, MaxLifetime: time.Hour, MaxAhead: 30 * time.Second, Now: noon(),
		Verify: keys.Verify,
	}
}

func right() map[string]any {
	return map[string]any{
		"iss": "client-1", "aud": "https://issuer.example", "jti": "1", "iat": noon().Unix(), "nbf": noon().Unix(),
		"exp": noon().Add(time.Minute).Unix(), "scope": "openid", "login_hint": "ann", "requested_expiry": 60,
	}
}

func check(t *testing.T, key jose.PrivateKey, r Rules, typ string, body map[string]any) (Verified, error) {
	t.Helper()
	raw, err := jose.Sign(t.Context(), key.SigningKey(), typ, body)
	if err != nil {
		t.Fatal(err)
	}
	object, err := ParseObject(url.Values{"request": {raw}}, []string{jose.ES256, jose.PS256})
	if err != nil {
		return Verified{}, err
	}
	return r.Check(t.Context(), object)
}

// wantCode fails unless err is an Error with a code; an empty code wants no error.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	refused, ok := errors.AsType[*Error](err)
	if (code == "") != (err == nil) || (code != "" && (!ok || refused.Code != code)) {
		t.Errorf("got %v; want the code %q", err, code)
	}
}

// TestObject: a valid object gives its parameters, and names its one use by client and jti.
func TestObject(t *testing.T) {
	key := newKey(t)
	r := rules(t, key)
	got, err := check(t, key, r, "JWT", right())
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"scope": {"openid"}, "login_hint": {"ann"}, "requested_expiry": {"60"}}
	if diff := cmp.Diff(want, got.Parameters); diff != "" {
		t.Error(diff)
	}
	if !got.Until.Equal(noon().Add(time.Minute)) {
		t.Errorf("to be remembered until %s", got.Until)
	}
	again, err := check(t, key, r, "JWT", right())
	if err != nil || again.ReplayKey != got.ReplayKey {
		t.Errorf("sent again: %x and %x, %v", again.ReplayKey, got.ReplayKey, err)
	}
	for member, value := range map[string]string{"jti": "2", "iss": "client-2"} {
		body, other := right(), r
		if body[member] = value; member == "iss" {
			other.ClientID = value
		}
		another, err := check(t, key, other, "JWT", body)
		if err != nil || another.ReplayKey == got.ReplayKey {
			t.Errorf("another %s has the same replay key, %v", member, err)
		}
	}
}

// TestObjectRefused: each rule refuses what breaks it alone.
func TestObjectRefused(t *testing.T) {
	key := newKey(t)
	cases := map[string]func(map[string]any){
		"no iss":                          func(c map[string]any) { delete(c, "iss") },
		"other iss":                       func(c map[string]any) { c["iss"] = "client-2" },
		"no aud":                          func(c map[string]any) { delete(c, "aud") },
		"other aud":                       func(c map[string]any) { c["aud"] = "https://other.example" },
		"no jti":                          func(c map[string]any) { delete(c, "jti") },
		"no iat":                          func(c map[string]any) { delete(c, "iat") },
		"no nbf":                          func(c map[string]any) { delete(c, "nbf") },
		"no exp":                          func(c map[string]any) { delete(c, "exp") },
		"expired":                         func(c map[string]any) { c["exp"] = noon().Unix() },
		"long-lived":                      func(c map[string]any) { c["exp"] = noon().Add(time.Hour + time.Second).Unix() },
		"old nbf":                         func(c map[string]any) { c["nbf"] = noon().Add(-time.Hour - time.Second).Unix() },
		"nbf ahead":                       func(c map[string]any) { c["nbf"] = noon().Add(31 * time.Second).Unix() },
		"iat ahead":                       func(c map[string]any) { c["iat"] = noon().Add(31 * time.Second).Unix() },
		"nested":                          func(c map[string]any) { c["request"] = "x" },
		"assertion inside":                func(c map[string]any) { c["client_assertion"] = "x" },
		"a sub like that of an assertion": func(c map[string]any) { c["sub"] = "client-1" },
		"a request for a browser":         func(c map[string]any) { c["response_type"] = "code" },
		"a redirect_uri":                  func(c map[string]any) { c["redirect_uri"] = "https://client.example/" },
		"other client_id":                 func(c map[string]any) { c["client_id"] = "client-2" },
	}
	for name, breakIt := range cases {
		t.Run(name, func(t *testing.T) {
			r := rules(t, key)
			body := right()
			breakIt(body)
			_, err := check(t, key, r, "JWT", body)
			wantCode(t, err, InvalidRequest)
			_, err = check(t, key, r, "JWT", right())
			wantCode(t, err, "")
		})
	}
	r := rules(t, key)
	_, err := check(t, newKey(t), r, "JWT", right())
	wantCode(t, err, InvalidRequest)
	_, err = check(t, key, r, "dpop+jwt", right())
	wantCode(t, err, InvalidRequest)
	r.Algorithms = []string{jose.PS256}
	_, err = check(t, key, r, "JWT", right())
	wantCode(t, err, InvalidRequest)
}

// TestBeside: only the client's authentication may be beside a signed request.
func TestBeside(t *testing.T) {
	raw, err := jose.Sign(t.Context(), newKey(t).SigningKey(), "", right())
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"request": {raw}, "client_id": {"client-1"}, "client_assertion": {"y"}, "client_assertion_type": {"z"}}
	_, err = ParseObject(form, []string{jose.ES256})
	wantCode(t, err, "")
	for _, name := range []string{"scope", "login_hint", "binding_message", "client_notification_token"} {
		_, err := ParseObject(url.Values{"request": {raw}, name: {"openid"}}, []string{jose.ES256})
		wantText(t, err, "a parameter stands beside the signed request; all but the client's authentication must be inside it")
	}
}
