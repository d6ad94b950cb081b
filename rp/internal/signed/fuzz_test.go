package signed

import (
	"context"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// set is a provider's keys that are at hand.
type set struct{ keys jose.KeySet }

// Verify implements [Keys].
func (s set) Verify(_ context.Context, token *jose.Token) error { return token.VerifyWith(s.keys) }

// fixture is a verifier, and what signs for it.
func fixture(t testing.TB) (*Verifier, func(typ string, claims map[string]any) string) {
	t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	v := &Verifier{
		Keys: set{jose.NewKeySet(key.Key())}, Algorithms: []string{jose.ES256}, Issuer: "https://as.example", ClientID: "app",
		Tolerance: 10 * time.Second, Now: func() time.Time { return now },
	}
	return v, func(typ string, claims map[string]any) string {
		token, err := jose.Sign(context.Background(), key.SigningKey(), typ, claims)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
}

// good are the claims of a token of any kind, for the fixture.
func good() map[string]any {
	return map[string]any{
		"iss": "https://as.example", "aud": "app", "sub": "alice", "iat": 1_800_000_000, "exp": 1_800_000_100, "nonce": "n", "jti": "j",
		"events": map[string]any{logoutEvent: map[string]any{}}, "token_introspection": map[string]any{"active": true}, "code": "c", "state": "s",
	}
}

// FuzzSigned: what was not signed by the provider passes as nothing, and what was signed by it is read without a panic, whatever its payload.
func FuzzSigned(f *testing.F) {
	v, sign := fixture(f)
	for _, typ := range []string{"", "logout+jwt", "token-introspection+jwt", "oauth-authz-resp+jwt"} {
		token := sign(typ, good())
		f.Add(token)
		f.Add(token[:len(token)-4] + "AAAA")
		f.Add(strings.Replace(token, ".", "..", 1))
	}
	f.Add("a.b.c.d.e")
	f.Fuzz(func(t *testing.T, token string) {
		parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: v.Algorithms})
		genuine := err == nil && v.Keys.Verify(t.Context(), parsed) == nil
		_, errID := v.IDToken(t.Context(), token, Expected{Nonce: "n"})
		_, errResponse := v.Response(t.Context(), token)
		_, errLogout := v.LogoutToken(t.Context(), token, false)
		_, _, errInfo := v.UserInfo(t.Context(), token)
		_, _, errIntrospection := v.Introspection(t.Context(), token)
		for kind, err := range map[string]error{"ID token": errID, "response": errResponse, "logout token": errLogout, "UserInfo": errInfo, "introspection": errIntrospection} {
			if err == nil && !genuine {
				t.Errorf("%q passed as %s", token, kind)
			}
		}
	})
}

// FuzzClaims: claims that the provider signed, of whatever shape, pass as an ID token only if the required ones are right.
func FuzzClaims(f *testing.F) {
	v, sign := fixture(f)
	f.Add("https://as.example", "app", "alice", int64(1_800_000_000), int64(1_800_000_100), "n")
	f.Add("", "", "", int64(0), int64(-1), "")
	f.Fuzz(func(t *testing.T, iss, aud, sub string, iat, exp int64, nonce string) {
		token := sign("", map[string]any{"iss": iss, "aud": aud, "sub": sub, "iat": iat, "exp": exp, "nonce": nonce})
		verified, err := v.IDToken(t.Context(), token, Expected{Nonce: "n"})
		right := iss == v.Issuer && aud == v.ClientID && sub != "" && nonce == "n" && exp > v.Now().Unix()-10 && iat <= v.Now().Unix()+10 && iat > v.Now().Unix()-700
		if err == nil && !right {
			t.Errorf("%+v passed", verified)
		}
	})
}

// TestKinds: each kind of token passes as itself and as no other that has a type of its own.
func TestKinds(t *testing.T) {
	t.Parallel()
	v, sign := fixture(t)
	verify := map[string]func(token string) error{
		"ID token":      func(token string) error { _, err := v.IDToken(t.Context(), token, Expected{Nonce: "n"}); return err },
		"response":      func(token string) error { _, err := v.Response(t.Context(), token); return err },
		"logout token":  func(token string) error { _, err := v.LogoutToken(t.Context(), token, false); return err },
		"UserInfo":      func(token string) error { _, _, err := v.UserInfo(t.Context(), token); return err },
		"introspection": func(token string) error { _, _, err := v.Introspection(t.Context(), token); return err },
	}
	for kind, typ := range map[string]string{
		"response": "oauth-authz-resp+jwt", "logout token": "logout+jwt", "UserInfo": "userinfo+jwt", "introspection": "token-introspection+jwt", "access token": "at+jwt",
		"proof": "dpop+jwt", "request": "oauth-authz-req+jwt",
	} {
		claims := good()
		if kind == "logout token" {
			delete(claims, "nonce")
		}
		token := sign(typ, claims)
		for as, check := range verify {
			err := check(token)
			if (err == nil) != (as == kind) {
				t.Errorf("%s passes as %s: %v", kind, as, err)
			}
		}
	}
	if err := verify["ID token"](sign("", good())); err != nil {
		t.Error(err)
	}
}
