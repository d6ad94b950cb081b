package discovery

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/signer"
)

// Covers: LR-40. A key that RSA-OAEP is encrypted to is published so that libraries take it for that; others are as they are.
func TestLR40PublishedKey(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	record := signer.Record{ID: "key", Algorithm: signer.RSAOAEP256, Public: &private.PublicKey}
	for _, test := range []struct {
		name      string
		alg       signer.Algorithm
		namesOAEP bool
		receives  []string
	}{
		{"accepts both where an ecosystem names RSA-OAEP", signer.RSAOAEP256, true, []string{jose.RSAOAEP256, jose.RSAOAEP}},
		{"refuses RSA-OAEP elsewhere", signer.RSAOAEP256, false, []string{jose.RSAOAEP256}},
		{"refuses both of a key that signs", signer.PS256, true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			record := record
			record.Algorithm = test.alg
			raw, err := publicJWK(record, test.namesOAEP)
			if err != nil {
				t.Fatal(err)
			}
			set, err := jose.ParseKeySet(json.RawMessage(`{"keys":[` + string(raw) + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			received := slices.DeleteFunc(jose.EncryptionAlgorithms(), func(alg string) bool { return !set.Receive(alg) })
			if diff := cmp.Diff(append([]string{}, test.receives...), append([]string{}, received...)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, want := range map[string]bool{"brazil-openfinance": true, "fapi1-advanced": false} {
		h := New(Config{Profiles: []string{"fapi2-security", name}})
		if _, known := profile.Lookup(name); !known || h.namesOAEP() != want {
			t.Errorf("%s names RSA-OAEP: %v", name, h.namesOAEP())
		}
	}
}
