package examine_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/examine"
	"countersign/fapi/fapitest"
	"countersign/fapi/request"
	"countersign/internal/finding"
	"countersign/internal/jose"
)

// find is the finding of a rule.
func find(t *testing.T, r *examine.Report, rule string) examine.Finding {
	t.Helper()
	at := slices.IndexFunc(r.Findings, func(f examine.Finding) bool { return f.Rule == rule && (!f.Accepted || f.Note) })
	if at < 0 {
		at = slices.IndexFunc(r.Findings, func(f examine.Finding) bool { return f.Rule == rule })
	}
	if at < 0 {
		t.Fatalf("nothing is said of %s: %+v", rule, r.Findings)
	}
	return r.Findings[at]
}

// TestNM143KeySets: each key of a set is named, with what it is of use for or why it is of none.
// Covers: NM-143.
func TestNM143KeySets(t *testing.T) {
	w := fapitest.NewWorld(t)
	e := examiner(t, w)
	c := w.Register("client-1", nil)
	own := w.Register("client-2", fapitest.SelfSignedTLSClientAuth)
	set := func(t *testing.T, client string, raw []byte) *examine.Report {
		t.Helper()
		r, err := e.KeySet(t.Context(), client, raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Findings {
			if f.Section == "" || !f.Accepted && f.Remedy == "" {
				t.Errorf("nothing explains %+v", f)
			}
		}
		return r
	}
	served := map[string]string{ // a key that is named, and what is said of it
		"33-keys.json":             `key 33 (kid "k32")` + "\nis the same key as key 32",
		"e-leading-zero.json":      `key 1 (kid "good")` + "\nverifies ES256",
		"key-ops-string.json":      `key 2 (kid "ko")` + "\nthe member key_ops has the wrong JSON type",
		"oct.json":                 `key 2 (kid "mac")` + "\nsymmetric keys are not accepted",
		"rsa1024-enc.json":         `key 2 (kid "old-1024")` + "\nan RSA key needs 2048 to 4096 bits",
		"rsa-leading-zero.json":    `key 1 (kid "good")` + "\nverifies ES256",
		"x5c-negative-serial.json": `key 1 (kid "good")` + "\nverifies ES256",
		"x5c-end-text.json":        `key 1 (kid "good")` + "\nverifies ES256",
		"x5c-spki.json":            `key 1 (kid "good")` + "\nverifies ES256",
	}
	for _, file := range sorted(served) {
		t.Run("accepts the right keys of "+file, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("..", "..", "internal", "jose", "testdata", "served", file))
			if err != nil {
				t.Fatal(err)
			}
			name, text, _ := strings.Cut(served[file], "\n")
			r := set(t, c.ID, raw)
			if f := find(t, r, name); !r.Accepted || !strings.Contains(f.Text, text) {
				t.Errorf("%+v, %+v", f, r)
			}
		})
	}
	t.Run("accepts keys for certificates of a client that shows one", func(t *testing.T) {
		for _, file := range []string{"p384.json", "tls256.json"} {
			raw, err := os.ReadFile(filepath.Join("..", "client", "testdata", "served", file))
			if err != nil {
				t.Fatal(err)
			}
			var registered struct {
				JWKS json.RawMessage `json:"jwks"`
			}
			if err := json.Unmarshal(raw, &registered); err != nil {
				t.Fatal(err)
			}
			if len(registered.JWKS) == 0 {
				registered.JWKS = raw
			}
			if r := set(t, own.ID, registered.JWKS); !r.Accepted {
				t.Errorf("%s: %+v", file, r)
			}
		}
	})
	t.Run("accepts a kid twice, and says so", func(t *testing.T) {
		one := fapitest.JWKWith(t, c.Key, fapitest.SetClaim("kid", "same"))
		two := fapitest.JWKWith(t, c.ProofKey, fapitest.SetClaim("kid", "same"))
		r := set(t, c.ID, fapitest.KeySet(one, two, one))
		if f := find(t, r, `key 2 (kid "same")`); !r.Accepted || !strings.Contains(f.Text, "has the kid of key 1") {
			t.Errorf("%+v", r.Findings)
		}
		if f := find(t, r, `key 3 (kid "same")`); !f.Note {
			t.Errorf("%+v", f)
		}
	})
	t.Run("accepts a certificate beside a key that has ended, and says so", func(t *testing.T) {
		expired := fapitest.Authority{}.Issue(t, "x", w.Clock.Now().Add(-24*time.Hour))
		certified, err := jose.NewKey("certified", jose.ES256, expired.Leaf.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(certified)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(raw, &members); err != nil {
			t.Fatal(err)
		}
		members["x5c"] = []string{base64.StdEncoding.EncodeToString(expired.Certificate[0])}
		if raw, err = json.Marshal(members); err != nil {
			t.Fatal(err)
		}
		r := set(t, c.ID, fapitest.KeySet(c.Key.PublicJWK(), raw))
		if f := find(t, r, `key 2 (kid "certified")`); !r.Accepted || !strings.Contains(f.Text, "its x5c is valid from ") {
			t.Errorf("%+v", r.Findings)
		}
	})
	for name, raw := range map[string]string{
		"a private key": string(fapitest.KeySet(fapitest.JWKWith(t, c.Key, fapitest.SetClaim("d", "AAAA")))),
		"no JSON":       "{", "no keys": `{"jwks":[]}`, "an empty set": `{"keys":[]}`,
		"a key of no use": `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if r := set(t, c.ID, []byte(raw)); r.Accepted || r.Text == "" {
				t.Errorf("%+v", r)
			}
		})
	}
	t.Run("refuses an unknown client", func(t *testing.T) {
		if r := set(t, "nobody", keySetOf(c.Key)); r.Accepted || find(t, r, "client").Accepted {
			t.Errorf("%+v", r)
		}
	})
}

// TestNM142Field: of certificates as banks have them it is said what is unusual, and whether that matters.
// Covers: NM-142.
func TestNM142Field(t *testing.T) {
	w := fapitest.NewWorld(t)
	e := examiner(t, w)
	c := w.Register("client-1", fapitest.TLSClientAuth)
	for file, want := range map[string]struct{ rule, text string }{
		"brainpool.crt": {finding.Form, "its key is brainpoolP256r1"}, "pss.crt": {"handshake", "does not ask for keys of the kind RSASSA-PSS"},
		"underscore.crt": {"handshake", "the handshake of this server refuses the certificate"},
		"negserial.crt":  {finding.Usage, ""}, "noeku.crt": {finding.Usage, ""},
	} {
		name := "accepts " + file
		if want.text != "" {
			name = "refuses " + file
		}
		t.Run(name, func(t *testing.T) {
			encoded, err := os.ReadFile(filepath.Join("..", "..", "mtls", "testdata", "banks", file))
			if err != nil {
				t.Fatal(err)
			}
			r, err := e.Certificate(t.Context(), c.ID, encoded, true)
			if err != nil {
				t.Fatal(err)
			}
			if f := find(t, r, want.rule); f.Accepted != (want.text == "") || !strings.Contains(f.Text, want.text) {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestNM144Explained: every rule has a section and a remedy; what is reported has how far times are off.
// Covers: NM-144.
func TestNM144Explained(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	e := examiner(t, w)
	c := w.Register("client-1", nil)
	t.Run("accepts each rule of authorization requests", func(t *testing.T) {
		for _, rule := range append(request.Rows(request.Pushed), request.Rows(request.ByValue)...) {
			if section, remedy := examine.Explain(examine.RequestObject, rule); section == "" || !strings.HasSuffix(remedy, ".") {
				t.Errorf("nothing explains %q", rule)
			}
		}
	})
	t.Run("accepts times, and says how far they are", func(t *testing.T) {
		r, err := e.Assertion(t.Context(), c.ID, c.ClientAssertion(func(body fapitest.Claims) {
			body["exp"], body["nbf"] = w.Clock.Now().Add(-43*time.Second).Unix(), w.Clock.Now().Add(31*time.Second).Unix()
		}), "/token")
		if err != nil {
			t.Fatal(err)
		}
		var facts []string
		for _, fact := range r.Facts {
			facts = append(facts, fact.Name+" "+fact.Text)
		}
		text := strings.Join(facts, "\n")
		for _, want := range []string{", 43s ago; at most ", ", 31s ahead; at most 30s ahead", "aud accepted " + w.Issuer + " as one string", "signed by "} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in %s", want, text)
			}
		}
		if find(t, r, finding.Expiry).Accepted || find(t, r, finding.NotBefore).Accepted || !find(t, r, finding.Signature).Accepted {
			t.Errorf("%+v", r.Findings) // all of it, not the first alone
		}
	})
	t.Run("refuses to take a one-time value", func(t *testing.T) {
		raw := c.ClientAssertion(nil)
		for range 3 {
			if r, err := e.Assertion(t.Context(), c.ID, raw, "/par"); err != nil || !r.Accepted {
				t.Fatalf("%+v, %v", r, err)
			}
		}
	})
	t.Run("refuses a proof for an address that is not the server's", func(t *testing.T) {
		const elsewhere = "https://elsewhere.example/token"
		r, err := e.Proof(t.Context(), "", c.Proof("POST", elsewhere, "", nil), examine.Proven{Method: "POST", URL: elsewhere})
		if err != nil || r.Accepted || find(t, r, "address").Accepted {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("refuses a proof of another key, or for another token", func(t *testing.T) {
		address := w.Issuer + "/accounts"
		raw := c.Proof("GET", address, "token", nil)
		for token, want := range map[string]bool{"token": true, "another": false} {
			r, err := e.Proof(t.Context(), c.ID, raw, examine.Proven{Method: "GET", URL: address, AccessToken: token, Thumbprint: "other"})
			if err != nil || r.Accepted || find(t, r, finding.TokenHash).Accepted != want || find(t, r, "jkt").Accepted {
				t.Errorf("%+v, %v", r, err)
			}
		}
	})
}
