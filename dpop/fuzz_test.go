package dpop

import (
	"net/url"
	"testing"
	"time"

	"countersign/internal/jose"
)

// FuzzVerify: no input panics, errors are of this package, and what is accepted has the claims that were demanded.
func FuzzVerify(f *testing.F) {
	f.Add(rfcTokenProof)
	f.Add(rfcResourceProof)
	f.Add(proofOf(f, newKey(f, jose.EdDSA), nil))
	p := Policy{
		Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}, MaxAge: 1 << 62,
		Now: func() time.Time { return testTime },
	}
	f.Fuzz(func(t *testing.T, raw string) {
		proof, err := p.Verify(raw, Request{Method: "POST", URLs: []string{"https://server.example.com/token", tokenURL}})
		if err != nil {
			checkError(t, err)
			return
		}
		if len(proof.JKT) != 43 || proof.Key == nil || proof.ReplayKey == [32]byte{} {
			t.Fatalf("%q is accepted as %+v", raw, proof)
		}
	})
}

// FuzzNormalise: a normal form is a fixed point, has no query, and names the host that net/url sees.
func FuzzNormalise(f *testing.F) {
	f.Add("https://as.example:443/%7Etoken?a#b")
	f.Add("HTTPS://[2001:DB8::1]:8443")
	f.Fuzz(func(t *testing.T, address string) {
		normal, ok := normalise(address)
		if !ok {
			return
		}
		if again, ok := normalise(normal); !ok || again != normal {
			t.Fatalf("%q: %q becomes %q", address, normal, again)
		}
		parsed, err := url.Parse(normal)
		if err != nil || parsed.Scheme != "https" || parsed.User != nil || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "" {
			t.Fatalf("%q: %q is read as %+v, %v", address, normal, parsed, err)
		}
		if want := "https://" + parsed.Host + parsed.EscapedPath(); want != normal {
			t.Fatalf("%q: %q, and net/url sees %q", address, normal, want)
		}
	})
}
