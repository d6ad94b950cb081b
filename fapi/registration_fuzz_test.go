package fapi

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/oauth"
)

// FuzzRegistrationMetadata: whatever a client sends is refused with a code of RFC 7591 §3.2.2, or registered such
// that it reads back the same and gives no privilege.
func FuzzRegistrationMetadata(f *testing.F) {
	s := &Server{config: Config{Registration: &Registration{Scopes: []string{"openid"}}}, scopes: knownScopes(nil)}
	profile := FAPI2Security().Name
	f.Fuzz(func(t *testing.T, body []byte) {
		members, err := parseMetadata(body)
		if err != nil {
			if code := oauth.AsError(err).Code; code != oauth.InvalidClientMetadata {
				t.Fatalf("%s: %s", body, code)
			}
			return
		}
		delete(members, "sector_identifier_uri") // it would be fetched
		metadata, err := s.checkMetadata(t.Context(), "a", profile, members)
		if err != nil {
			codes := []string{oauth.InvalidClientMetadata, oauth.InvalidRedirectURI, oauth.InvalidSoftwareStatement, oauth.UnapprovedSoftwareStatement}
			if refusal := oauth.AsError(err); !slices.Contains(codes, refusal.Code) || len(refusal.Description) > 2*maxMistakes {
				t.Fatalf("%s: %v", body, err)
			}
			return
		}
		if len(metadata.ResourceIdentifiers) > 0 || metadata.Scope != "" && len(s.checkPrivileges(metadata)) > 0 {
			t.Fatalf("%s gave a privilege: %+v", body, metadata)
		}
		encoded, err := json.Marshal(metadata)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseClient("a", profile, encoded)
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
