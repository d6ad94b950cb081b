package dpop

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/jose"
)

const (
	tokenURL = "https://as.example/token"
	aliasURL = "https://mtls.as.example:8444/token"
)

var testTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type claims = map[string]any

func policy() Policy {
	return Policy{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}, Now: func() time.Time { return testTime }}
}

func tokenRequest() Request {
	return Request{Method: http.MethodPost, URLs: []string{tokenURL, aliasURL}}
}

func newKey(t testing.TB, algorithm string) jose.PrivateKey {
	t.Helper()
	key, err := jose.NewPrivateKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// proofOf signs a good proof with some claims replaced; nil removes one.
func proofOf(t testing.TB, key jose.PrivateKey, replaced claims) string {
	t.Helper()
	all := claims{"jti": "-BwC3ESc6acc2lTc", "htm": "POST", "htu": tokenURL, "iat": testTime.Unix()}
	maps.Copy(all, replaced)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	signed, err := key.SignEmbedded(context.Background(), proofType, all)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func hashOf(token string) string {
	digest := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// The proofs of RFC 9449 §4.1 and §7.1.
const (
	rfcTokenProof    = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	rfcResourceProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)

func TestVectors(t *testing.T) {
	const thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	at := func(seconds int64) Policy {
		return Policy{Algorithms: []string{jose.ES256}, Now: func() time.Time { return time.Unix(seconds, 0) }}
	}
	proof, err := at(1562262616).Verify(rfcTokenProof, Request{Method: "POST", URLs: []string{"https://server.example.com/token"}})
	if err != nil || proof.JKT != thumbprint {
		t.Errorf("RFC 9449 §4.1: %q, %v", proof.JKT, err)
	}
	proof, err = at(1562262618).Verify(rfcResourceProof, Request{
		Method: "GET", URLs: []string{"https://resource.example.org/protectedresource"}, AccessToken: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
	})
	if err != nil || proof.JKT != thumbprint {
		t.Errorf("RFC 9449 §7.1: %q, %v", proof.JKT, err)
	}
}

// Covers: DP-02, DP-03, DP-04.
func TestVerifyAccepts(t *testing.T) {
	key := newKey(t, jose.ES256)
	long := strings.Repeat("j", 256)
	for _, test := range []struct {
		name     string
		replaced claims
		request  func(*Request)
	}{
		{"plain", nil, nil},
		{"at the mTLS alias", claims{"htu": aliasURL}, nil},
		{"10 s old", claims{"iat": testTime.Unix() - 10}, nil},
		{"10 s ahead", claims{"iat": testTime.Unix() + 10}, nil},
		{"exactly as old as allowed", claims{"iat": testTime.Unix() - 60}, nil},
		{"exactly as far ahead as allowed", claims{"iat": testTime.Unix() + 30}, nil},
		{"fraction of a second", claims{"iat": float64(testTime.Unix()) - 0.5}, nil},
		{"exp and nbf, whatever they say", claims{"exp": testTime.Unix() - 3600, "nbf": testTime.Unix() + 3600}, nil},
		{"unknown claims", claims{"foo": claims{"bar": []int{1}}}, nil},
		{"htu with query and fragment", claims{"htu": tokenURL + "?a=b#c"}, nil},
		{"htu in capitals with port", claims{"htu": "HTTPS://AS.Example:443/token"}, nil},
		{"htu percent-encoded", claims{"htu": "https://as.example/%74oken"}, nil},
		{"jti of 256 bytes", claims{"jti": long}, nil},
		{"ath at an endpoint without token", claims{"ath": "anything"}, nil},
		{"nonce", claims{"nonce": "eyJ7S_zG.eyJH0-Z.HX4w-7v"}, nil},
		{"GET", claims{"htm": "GET"}, func(r *Request) { r.Method = "GET" }},
		{"access token", claims{"ath": hashOf("token")}, func(r *Request) { r.AccessToken = "token" }},
	} {
		t.Run("accepts "+test.name, func(t *testing.T) {
			request := tokenRequest()
			if test.request != nil {
				test.request(&request)
			}
			proof, err := policy().Verify(proofOf(t, key, test.replaced), request)
			if err != nil {
				t.Fatal(err)
			}
			if proof.JKT != key.Key().Thumbprint() {
				t.Errorf("thumbprint %s", proof.JKT)
			}
			if nonce, _ := test.replaced["nonce"].(string); proof.Nonce != nonce {
				t.Errorf("nonce %q", proof.Nonce)
			}
		})
	}
}

// Covers: FD-80. Claims that a deployment adds are read from what was signed.
func TestFurtherClaims(t *testing.T) {
	key := newKey(t, jose.ES256)
	var further struct {
		Digest string `json:"content_digest"`
	}
	t.Run("accepts a claim of a verified proof", func(t *testing.T) {
		proof, err := policy().Verify(proofOf(t, key, claims{"content_digest": "sha-256=:x:"}), tokenRequest())
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.Claims(&further); err != nil || further.Digest != "sha-256=:x:" {
			t.Errorf("%q, %v", further.Digest, err)
		}
	})
	t.Run("refuses a claim of another type, and what is no proof", func(t *testing.T) {
		proof, err := policy().Verify(proofOf(t, key, claims{"content_digest": 1}), tokenRequest())
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range []Proof{proof, {}} {
			if _, ok := errors.AsType[*Error](each.Claims(&further)); !ok {
				t.Error("claims were read")
			}
		}
	})
}

// Covers: DP-03, DP-04.
func TestVerifyRefusesClaims(t *testing.T) {
	key := newKey(t, jose.ES256)
	withToken := func(r *Request) { r.AccessToken = "token" }
	for _, test := range []struct {
		name     string
		replaced claims
		request  func(*Request)
	}{
		{"no jti", claims{"jti": nil}, nil},
		{"empty jti", claims{"jti": ""}, nil},
		{"jti of 257 bytes", claims{"jti": strings.Repeat("j", 257)}, nil},
		{"jti a number", claims{"jti": 1}, nil},
		{"no htm", claims{"htm": nil}, nil},
		{"htm GET", claims{"htm": "GET"}, nil},
		{"htm in small letters", claims{"htm": "post"}, nil},
		{"htm an array", claims{"htm": []string{"POST"}}, nil},
		{"no htu", claims{"htu": nil}, nil},
		{"htu of another endpoint", claims{"htu": "https://as.example/par"}, nil},
		{"htu of another host", claims{"htu": "https://rs.example/token"}, nil},
		{"htu of another port", claims{"htu": "https://as.example:444/token"}, nil},
		{"htu http", claims{"htu": "http://as.example/token"}, nil},
		{"htu with slash", claims{"htu": tokenURL + "/"}, nil},
		{"htu path in capitals", claims{"htu": "https://as.example/Token"}, nil},
		{"htu relative", claims{"htu": "/token"}, nil},
		{"no iat", claims{"iat": nil}, nil},
		{"iat null", claims{"iat": []any(nil)}, nil},
		{"iat a string", claims{"iat": "1700000000"}, nil},
		{"61 s old", claims{"iat": testTime.Unix() - 61}, nil},
		{"an hour old", claims{"iat": testTime.Unix() - 3600}, nil},
		{"31 s ahead", claims{"iat": testTime.Unix() + 31}, nil},
		{"61 s ahead", claims{"iat": testTime.Unix() + 61}, nil},
		{"an hour ahead", claims{"iat": testTime.Unix() + 3600}, nil},
		{"milliseconds", claims{"iat": testTime.UnixMilli()}, nil},
		{"nonce too long", claims{"nonce": strings.Repeat("n", 513)}, nil},
		{"no ath", nil, withToken},
		{"ath of another token", claims{"ath": hashOf("other")}, withToken},
		{"ath with padding", claims{"ath": hashOf("token") + "="}, withToken},
		{"ath is the token", claims{"ath": "token"}, withToken},
		{"no addresses", nil, func(r *Request) { r.URLs = nil }},
	} {
		t.Run("refuses "+test.name, func(t *testing.T) {
			request := tokenRequest()
			if test.request != nil {
				test.request(&request)
			}
			_, err := policy().Verify(proofOf(t, key, test.replaced), request)
			checkError(t, err)
		})
	}
}

// checkError demands an error of this package that is fit to be sent.
func checkError(t *testing.T, err error) {
	t.Helper()
	typed, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v, want an *Error", err)
	}
	if typed.Description == "" || len(typed.Description) > 200 {
		t.Errorf("description %q", typed.Description)
	}
}

// Covers: DP-02, ATTACK-14, ATTACK-20.
func TestVerifyRefusesTokens(t *testing.T) {
	key := newKey(t, jose.ES256)
	good := claims{"jti": "a", "htm": "POST", "htu": tokenURL, "iat": testTime.Unix()}
	sign := func(key jose.PrivateKey, typ string) string {
		signed, err := key.SignEmbedded(context.Background(), typ, good)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	withoutKey, err := jose.Sign(context.Background(), key.SigningKey(), proofType, good)
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(key, proofType)
	parts, other := strings.Split(signed, "."), strings.Split(sign(newKey(t, jose.ES256), proofType), ".")
	rewritten := func(header string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1] + "." + parts[2]
	}
	for name, proof := range map[string]string{
		"empty":                "",
		"no token":             "proof",
		"typ JWT":              sign(key, "JWT"),
		"no typ":               sign(key, ""),
		"typ of another kind":  sign(key, "at+jwt"),
		"kid instead of jwk":   withoutKey,
		"another's signature":  parts[0] + "." + parts[1] + "." + other[2],
		"another's key":        other[0] + "." + parts[1] + "." + parts[2],
		"no signature":         parts[0] + "." + parts[1] + ".",
		"alg none":             rewritten(`{"typ":"dpop+jwt","alg":"none"}`),
		"alg HS256":            rewritten(`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`),
		"alg RS256":            rewritten(`{"typ":"dpop+jwt","alg":"RS256","jwk":` + string(newKey(t, jose.PS256).PublicJWK()) + `}`),
		"symmetric jwk":        rewritten(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"oct","k":"AAAA"}}`),
		"private jwk":          rewritten(`{"typ":"dpop+jwt","alg":"ES256","jwk":` + string(key.PrivateJWK()) + `}`),
		"jwk of another kind":  rewritten(`{"typ":"dpop+jwt","alg":"ES256","jwk":` + string(newKey(t, jose.EdDSA).PublicJWK()) + `}`),
		"two jwk":              rewritten(`{"typ":"dpop+jwt","alg":"ES256","jwk":{},"jwk":` + string(key.PublicJWK()) + `}`),
		"jku":                  rewritten(`{"typ":"dpop+jwt","alg":"ES256","jku":"https://evil.example","jwk":` + string(key.PublicJWK()) + `}`),
		"two proofs":           signed + "," + signed,
		"larger than 16 KiB":   signed + strings.Repeat("A", jose.MaxTokenSize),
		"payload not a object": parts[0] + ".W10." + parts[2],
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			_, err := policy().Verify(proof, tokenRequest())
			checkError(t, err)
		})
	}
}

func TestVerifyAlgorithms(t *testing.T) {
	for _, algorithm := range policy().Algorithms {
		proof := proofOf(t, newKey(t, algorithm), nil)
		if _, err := policy().Verify(proof, tokenRequest()); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		for _, only := range policy().Algorithms {
			narrow := policy()
			narrow.Algorithms = []string{only}
			if _, err := narrow.Verify(proof, tokenRequest()); (err == nil) != (only == algorithm) {
				t.Errorf("%s where only %s is accepted: %v", algorithm, only, err)
			}
		}
		if _, err := (Policy{Now: policy().Now}).Verify(proof, tokenRequest()); err == nil {
			t.Errorf("%s is accepted by a policy without algorithms", algorithm)
		}
	}
}

func TestReplayKey(t *testing.T) {
	first, second := newKey(t, jose.ES256), newKey(t, jose.ES256)
	replayKeyOf := func(key jose.PrivateKey, replaced claims) [32]byte {
		proof, err := policy().Verify(proofOf(t, key, replaced), tokenRequest())
		if err != nil {
			t.Fatal(err)
		}
		return proof.ReplayKey
	}
	base := replayKeyOf(first, nil)
	for name, same := range map[string][32]byte{
		"signed again":       replayKeyOf(first, nil),
		"another iat":        replayKeyOf(first, claims{"iat": testTime.Unix() - 5}),
		"another spelling":   replayKeyOf(first, claims{"htu": "https://AS.example:443/token?x"}),
		"with another nonce": replayKeyOf(first, claims{"nonce": "n"}),
	} {
		if same != base {
			t.Errorf("%s: another replay key", name)
		}
	}
	for name, different := range map[string][32]byte{
		"another jti":      replayKeyOf(first, claims{"jti": "b"}),
		"another endpoint": replayKeyOf(first, claims{"htu": aliasURL}),
		"another key":      replayKeyOf(second, nil),
	} {
		if different == base {
			t.Errorf("%s: the same replay key", name)
		}
	}
	if replayKey("ab", "c") == replayKey("a", "bc") {
		t.Error("the parts of a replay key run together")
	}
}

// TestUntil holds that a proof is remembered for as long as any node can accept it.
func TestUntil(t *testing.T) {
	key := newKey(t, jose.EdDSA)
	p := policy()
	p.MaxAge, p.MaxAhead = 20*time.Second, 15*time.Second
	for _, offset := range []time.Duration{-20 * time.Second, 0, 15 * time.Second} {
		issuedAt := testTime.Add(offset)
		raw := proofOf(t, key, claims{"iat": issuedAt.Unix()})
		proof, err := p.Verify(raw, tokenRequest())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(issuedAt, proof.IssuedAt.UTC()); diff != "" {
			t.Error(diff)
		}
		if want := issuedAt.Add(95 * time.Second); !proof.Until.Equal(want) {
			t.Errorf("until %s, want %s", proof.Until, want)
		}
		late := p
		late.Now = func() time.Time { return proof.Until.Add(-clockSkew) } // the slowest node's clock
		if _, err := late.Verify(raw, tokenRequest()); err == nil {
			t.Errorf("iat %s ahead: the proof outlives its memory", offset)
		}
	}
}

func TestFromHeader(t *testing.T) {
	for _, test := range []struct {
		name    string
		header  http.Header
		proof   string
		present bool
		refused bool
	}{
		{"none", http.Header{}, "", false, false},
		{"one", http.Header{"Dpop": {"a.b.c"}}, "a.b.c", true, false},
		{"empty", http.Header{"Dpop": {""}}, "", false, true},
		{"two", http.Header{"Dpop": {"a.b.c", "a.b.c"}}, "", false, true},
		{"one and an empty one", http.Header{"Dpop": {"a.b.c", ""}}, "", false, true},
	} {
		proof, present, err := FromHeader(test.header)
		if proof != test.proof || present != test.present || (err != nil) != test.refused {
			t.Errorf("%s: %q, %v, %v", test.name, proof, present, err)
		}
		if test.refused {
			checkError(t, err)
		}
	}
	any := http.Header{}
	any.Set("dPoP", "a.b.c")
	if _, present, err := FromHeader(any); !present || err != nil {
		t.Errorf("the name of the header in another case: %v, %v", present, err)
	}
}
