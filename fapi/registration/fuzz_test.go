package registration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/client"
	"countersign/fapi/discovery"
	"countersign/fapi/profile"
	"countersign/internal/oauth"
	"countersign/signer"
)

// oneKey is a catalogue of one ES256 key that signs everything.
type oneKey struct{ record signer.Record }

// Keys implements [signer.Catalogue].
func (k oneKey) Keys(context.Context) ([]signer.Record, error) { return []signer.Record{k.record}, nil }

func newOneKey(f *testing.F) *signer.Signer {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	id, err := signer.Thumbprint(&key.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	keys, err := signer.New(f.Context(), signer.Config{Catalogue: oneKey{signer.Record{
		ID: id, Algorithm: signer.ES256, Public: &key.PublicKey, State: signer.Active,
		Uses: []signer.Use{signer.UseIDToken, signer.UseResponse, signer.UseIntrospection},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	return keys
}

// FuzzRegistrationMetadata: whatever a client sends is refused with a code of RFC 7591 §3.2.2, or registered such
// that it reads back the same and gives no privilege.
func FuzzRegistrationMetadata(f *testing.F) {
	offered := profile.FAPI2Security().Name
	documents := discovery.New(discovery.Config{Profiles: []string{offered}, Signer: newOneKey(f)})
	h, err := New(Config{Settings: Settings{Scopes: []string{"openid"}}, Profiles: []string{offered}, Scopes: []string{"openid"}, Signs: documents.Signs})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		members, err := parseMetadata(body)
		if err != nil {
			if code := oauth.AsError(err).Code; code != oauth.InvalidClientMetadata {
				t.Fatalf("%s: %s", body, code)
			}
			return
		}
		delete(members, "sector_identifier_uri") // it would be fetched
		metadata, err := h.checkMetadata(t.Context(), "a", offered, nil, members)
		if err != nil {
			codes := []string{oauth.InvalidClientMetadata, oauth.InvalidRedirectURI, oauth.InvalidSoftwareStatement, oauth.UnapprovedSoftwareStatement}
			if refusal := oauth.AsError(err); !slices.Contains(codes, refusal.Code) || len(refusal.Description) > 2*maxProblems {
				t.Fatalf("%s: %v", body, err)
			}
			return
		}
		if len(metadata.ResourceIdentifiers) > 0 || metadata.Scope != "" && len(h.checkPrivileges(metadata)) > 0 {
			t.Fatalf("%s gave a privilege: %+v", body, metadata)
		}
		encoded, err := json.Marshal(metadata)
		if err != nil {
			t.Fatal(err)
		}
		again, err := client.Parse("a", offered, encoded)
		if err != nil {
			t.Fatalf("%s was registered as %s: %v", body, encoded, err)
		}
		stored, err := json.Marshal(again.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(encoded), string(stored)); diff != "" {
			t.Fatalf("%s: %s", body, diff)
		}
	})
}
