package decrypt_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign/fapi/decrypt"
	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/signer"
	"countersign/signer/soft"
)

// catalogue are keys that are not in a store.
type catalogue []signer.Record

// Keys implements [signer.Catalogue].
func (c catalogue) Keys(context.Context) ([]signer.Record, error) { return c, nil }

// newKeys makes a signer with keys that request objects are encrypted to, and the public halves: the RSA key, which is for ofRSA,
// as one for alg.
func newKeys(t *testing.T, ofRSA signer.Algorithm) (keys *signer.Signer, published func(alg string) jose.KeySet) {
	t.Helper()
	passphrase := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(passphrase, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	backend, err := soft.Prepare(soft.Config{File: filepath.Join(t.TempDir(), "keys"), PassphraseFile: passphrase})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() }) // the test is over
	if err := backend.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	var records catalogue
	for _, alg := range []signer.Algorithm{ofRSA, signer.ECDHES, signer.PS256} {
		record, err := backend.Generate(t.Context(), alg)
		if err != nil {
			t.Fatal(err)
		}
		record.State, record.Uses = signer.Active, []signer.Use{signer.UseRequestObject}
		if !alg.Decrypts() {
			record.Uses = []signer.Use{signer.UseAccessToken}
		}
		records = append(records, record)
	}
	keys, err = signer.New(t.Context(), signer.Config{Catalogue: records, Replicas: []signer.Replica{{Backend: backend}}})
	if err != nil {
		t.Fatal(err)
	}
	return keys, func(alg string) jose.KeySet {
		t.Helper()
		record := records[0]
		if strings.HasPrefix(alg, "ECDH") {
			record = records[1]
		}
		public, err := jose.NewKey(record.ID, alg, record.Public)
		if err != nil {
			t.Fatal(err)
		}
		public.Use = "enc"
		raw, err := public.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		set, err := jose.ParseKeySet([]byte(`{"keys":[` + string(raw) + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
}

// Covers: LR-09, LR-40. What request objects may be encrypted with is the profile's: RSA-OAEP only where it is named.
func TestLR40Algorithms(t *testing.T) {
	t.Parallel()
	in, published := newKeys(t, signer.RSAOAEP256)
	keys, err := decrypt.Keys(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	brazil, ok := profile.Lookup("brazil-openfinance")
	if !ok {
		t.Fatal("there is no profile of Brazil")
	}
	for _, test := range []struct {
		name, alg, enc string
		of             profile.Profile
	}{
		{"accepts what Brazil names", jose.RSAOAEP, jose.A256GCM, brazil},
		{"refuses another hash there", jose.RSAOAEP256, jose.A256GCM, brazil},
		{"refuses another content encryption there", jose.RSAOAEP, jose.A128GCM, brazil},
		{"refuses elliptic curves there", jose.ECDHES, jose.A256GCM, brazil},
		{"accepts RSA-OAEP-256 of a base", jose.RSAOAEP256, jose.A128CBCHS256, profile.FAPI1Advanced()},
		{"accepts elliptic curves of a base", jose.ECDHESA256KW, jose.A128GCM, profile.FAPI2MessageSigning()},
		{"refuses RSA-OAEP where nobody names it", jose.RSAOAEP, jose.A256GCM, profile.FAPI1Advanced()},
	} {
		t.Run(test.name, func(t *testing.T) {
			sealed, err := published(test.alg).Encrypt([]byte("a request object"), test.alg, test.enc, "JWT")
			if err != nil {
				t.Fatal(err)
			}
			opened, err := decrypt.Open(t.Context(), sealed, keys, test.of, oauth.InvalidRequestObject)
			checked := decrypt.Check(sealed, keys, test.of, oauth.InvalidRequestObject)
			if strings.HasPrefix(test.name, "accepts") {
				if opened != "a request object" || err != nil || checked != nil {
					t.Errorf("%q, %v, %v", opened, err, checked)
				}
				return
			}
			if oauth.AsError(err).Code != oauth.InvalidRequestObject || oauth.AsError(checked).Code != oauth.InvalidRequestObject || opened != "" {
				t.Errorf("%q, %v, %v", opened, err, checked)
			}
		})
	}
	t.Run("refuses what was changed, with the same words for each way", func(t *testing.T) {
		sealed, err := published(jose.RSAOAEP).Encrypt([]byte("a request object"), jose.RSAOAEP, jose.A256GCM, "JWT")
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]bool{}
		for _, part := range []int{1, 3, 4} {
			parts := strings.Split(sealed, ".")
			parts[part] = strings.Repeat("A", len(parts[part])-len(parts[part])%4)
			if len(parts[part]) != len(strings.Split(sealed, ".")[part]) {
				parts[part] += strings.Repeat("A", len(strings.Split(sealed, ".")[part])-len(parts[part]))
			}
			_, err := decrypt.Open(t.Context(), strings.Join(parts, "."), keys, brazil, oauth.InvalidRequest)
			if oauth.AsError(err).Code != oauth.InvalidRequest {
				t.Fatalf("part %d: %v", part, err)
			}
			told[oauth.AsError(err).Description] = true
		}
		if len(told) != 1 {
			t.Errorf("%v", told)
		}
	})
}

// Covers: LX-03. A key for RSA-OAEP alone opens that, for clients whose profile names it, and nothing else.
func TestLX03SHA1Alone(t *testing.T) {
	t.Parallel()
	in, published := newKeys(t, signer.RSAOAEP)
	keys, err := decrypt.Keys(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	brazil, _ := profile.Lookup("brazil-openfinance")
	for _, test := range []struct {
		name, alg string
		of        profile.Profile
	}{
		{"accepts what Brazil names", jose.RSAOAEP, brazil},
		{"refuses it where nobody names it", jose.RSAOAEP, profile.FAPI1Advanced()},
		{"refuses RSA-OAEP-256, for which there is no key", jose.RSAOAEP256, profile.FAPI1Advanced()},
	} {
		t.Run(test.name, func(t *testing.T) {
			sealed, err := published(test.alg).Encrypt([]byte("a request object"), test.alg, jose.A256GCM, "JWT")
			if err != nil {
				t.Fatal(err)
			}
			opened, err := decrypt.Open(t.Context(), sealed, keys, test.of, oauth.InvalidRequestObject)
			if strings.HasPrefix(test.name, "accepts") {
				if opened != "a request object" || err != nil {
					t.Errorf("%q, %v", opened, err)
				}
				return
			}
			if oauth.AsError(err).Code != oauth.InvalidRequestObject || opened != "" {
				t.Errorf("%q, %v", opened, err)
			}
		})
	}
}
