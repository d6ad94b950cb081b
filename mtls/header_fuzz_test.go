package mtls

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"testing"

	"countersign/mtls/internal/proxyheader"
)

// golden is a leaf and an intermediate that do not change from run to run.
func golden(t testing.TB) (leaf, chain spelled) {
	t.Helper()
	encoded, err := os.ReadFile("testdata/golden.pem")
	if err != nil {
		t.Fatal(err)
	}
	var all []spelled
	for block, rest := pem.Decode(encoded); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, spelled{certificate})
	}
	return all[0], all[1]
}

// fuzzSource gives a decoder any three headers. What it takes is within the limits and is what it would be alone; and it
// reads the same from its own spelling of what it took.
func fuzzSource(f *testing.F, source string, spell func(leaf spelled) [3]string, seeds ...[3]string) {
	f.Helper()
	made, err := Header(source)
	if err != nil {
		f.Fatal(err)
	}
	leaf, _ := golden(f)
	for _, seed := range append(seeds, spell(leaf), [3]string{}) {
		f.Add(seed[0], seed[1], seed[2])
	}
	names := SourceHeaders(source)
	with := func(given [3]string) *http.Request {
		var pairs []string
		for i, name := range names {
			if i < len(given) && given[i] != "" {
				pairs = append(pairs, name, given[i])
			}
		}
		return request(pairs...)
	}
	f.Fuzz(func(t *testing.T, one, two, three string) {
		got, err := made.Certificate(with([3]string{one, two, three}))
		if err != nil {
			if got != nil || !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v with %v", got, err)
			}
			return
		}
		if got == nil {
			return
		}
		if got.Leaf == nil || len(got.Leaf.Raw) > MaxCertificateSize || 1+len(got.Chain) > MaxCertificates {
			t.Fatalf("beyond the limits: %+v", got)
		}
		again, err := made.Certificate(with(spell(spelled{got.Leaf})))
		if err != nil || again == nil || !bytes.Equal(again.Leaf.Raw, got.Leaf.Raw) {
			t.Fatalf("its own spelling: %v, %v", again, err)
		}
	})
}

func FuzzRFC9440(f *testing.F) {
	leaf, chain := golden(f)
	fuzzSource(f, SourceRFC9440, func(s spelled) [3]string { return [3]string{s.sequence()} },
		[3]string{leaf.sequence(), chain.sequence() + ", " + chain.sequence()}, [3]string{"::", "::"})
}

func FuzzNginx(f *testing.F) {
	fuzzSource(f, SourceNginx, func(s spelled) [3]string { return [3]string{s.escaped(), "SUCCESS"} }, [3]string{"", "NONE"})
}

func FuzzIngressNginx(f *testing.F) {
	fuzzSource(f, SourceIngressNginx, func(s spelled) [3]string { return [3]string{s.escaped(), "SUCCESS"} }, [3]string{"", "NONE"})
}

func FuzzHAProxy(f *testing.F) {
	fuzzSource(f, SourceHAProxy, func(s spelled) [3]string { return [3]string{s.base64(), "", "1"} }, [3]string{"", "", "0"})
}

func FuzzEnvoy(f *testing.F) {
	leaf, chain := golden(f)
	plain := func(s spelled) [3]string { return [3]string{"Hash=" + s.digest() + `;Cert="` + s.escaped() + `"`} }
	fuzzSource(f, SourceEnvoy, plain,
		[3]string{plain(leaf)[0] + `;Chain="` + leaf.escaped() + chain.escaped() + `";Subject="CN=\"x\""`},
		[3]string{plain(leaf)[0] + ";URI=spiffe://a," + plain(chain)[0]}, [3]string{plain(leaf)[0] + "," + plain(chain)[0]})
}

func FuzzApache(f *testing.F) {
	leaf, chain := golden(f)
	fuzzSource(f, SourceApache, func(s spelled) [3]string { return [3]string{s.spaced()} },
		[3]string{leaf.spaced(), chain.spaced(), "(null)"}, [3]string{"(null)", "(null)", "(null)"})
}

func FuzzCaddy(f *testing.F) {
	fuzzSource(f, SourceCaddy, func(s spelled) [3]string { return [3]string{s.sequence()} }, [3]string{"::"})
}

func FuzzTraefik(f *testing.F) {
	leaf, chain := golden(f)
	fuzzSource(f, SourceTraefik, func(s spelled) [3]string { return [3]string{s.base64()} }, [3]string{leaf.base64() + "," + chain.base64()})
}

func FuzzALB(f *testing.F) {
	fuzzSource(f, SourceALB, func(s spelled) [3]string { return [3]string{s.safe()} })
}

func FuzzALBPassthrough(f *testing.F) {
	leaf, chain := golden(f)
	fuzzSource(f, SourceALBPassthrough, func(s spelled) [3]string { return [3]string{s.safe()} }, [3]string{leaf.safe() + chain.safe()})
}

func FuzzGCP(f *testing.F) {
	fuzzSource(f, SourceGCP, func(s spelled) [3]string { return [3]string{"true", s.sequence()} }, [3]string{"false"})
}

func FuzzAzure(f *testing.F) {
	leaf, _ := golden(f)
	fuzzSource(f, SourceAzure, func(s spelled) [3]string { return [3]string{s.escaped(), "SUCCESS"} }, [3]string{leaf.spaced(), "SUCCESS"}, [3]string{"", "NONE"})
}

func FuzzAppService(f *testing.F) {
	fuzzSource(f, SourceAppService, func(s spelled) [3]string { return [3]string{s.base64()} })
}

func FuzzCloudflare(f *testing.F) {
	fuzzSource(f, SourceCloudflare, func(s spelled) [3]string { return [3]string{s.base64(), s.digest(), "true"} }, [3]string{"", "", "false"})
}

// FuzzProxyProtocol: no header panics, and what is taken is within the limits.
func FuzzProxyProtocol(f *testing.F) {
	leaf, _ := golden(f)
	f.Add(proxyHeader(0x21, 0x11, sslTLV(0x07, 0, leaf.certificate.Raw)))
	f.Add(proxyHeader(0x20, 0x00, nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		block, err := proxyheader.Read(bytes.NewReader(raw))
		if err != nil {
			return
		}
		got, err := presentedIn(block)
		if err != nil && (got != nil || !errors.Is(err, ErrMalformed)) || got != nil && len(got.Leaf.Raw) > MaxCertificateSize {
			t.Fatalf("%v, %v", got, err)
		}
	})
}
