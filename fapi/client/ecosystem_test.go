package client_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"countersign/fapi/client"
	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: LR-07, LR-08, LR-09, LR-10. What an ecosystem adds to its base is asked of each registration: members that it refuses and
// demands, algorithms by use, encrypted ID tokens, pairwise subjects.
func TestLR08Registration(t *testing.T) {
	t.Parallel()
	signing, oaep := fapitest.NewKey(t, jose.PS256), fapitest.NewRecipient(t, jose.RSAOAEP)
	set := fapitest.KeySet(signing.PublicJWK(), oaep.Public)
	base := map[string]any{
		"client_name": "Example", "redirect_uris": []string{"https://client.example/callback"}, "scope": "openid",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": "private_key_jwt", "tls_client_certificate_bound_access_tokens": true,
	}
	at := map[string]any{"jwks_uri": "https://keys.example/jwks"}
	encrypted := map[string]any{"id_token_encrypted_response_alg": "RSA-OAEP", "id_token_encrypted_response_enc": "A256GCM"}
	const brazil, cdr2, connectID = "brazil-openfinance", "au-cdr/fapi2-security", "au-connectid"
	for _, test := range []struct {
		name, profile string
		with          []map[string]any
		wrong         string
	}{
		{"accepts a whole one", brazil, []map[string]any{at, encrypted}, ""},
		{"accepts a hybrid one", brazil, []map[string]any{at, encrypted, {"response_types": []string{"code id_token"}}}, ""},
		{"accepts a resource server, which is no participant", brazil, []map[string]any{{"jwks": set, "grant_types": []string{}, "response_types": []string{}, "scope": "",
			"resource_identifiers": []string{"https://api.example"}, "redirect_uris": []string{}, "tls_client_certificate_bound_access_tokens": false}}, ""},
		{"refuses ID tokens that are not encrypted", brazil, []map[string]any{at}, "id_token_encrypted_response_alg"},
		{"refuses them through the browser too", brazil, []map[string]any{at, {"response_types": []string{"code id_token"}}}, "id_token_encrypted_response_alg"},
		{"refuses another key encryption", brazil, []map[string]any{at, encrypted, {"id_token_encrypted_response_alg": "RSA-OAEP-256"}}, "id_token_encrypted_response_alg"},
		{"refuses another content encryption", brazil, []map[string]any{at, encrypted, {"id_token_encrypted_response_enc": "A128GCM"}}, "id_token_encrypted_response_enc"},
		{"refuses the usual content encryption, which is another", brazil, []map[string]any{at, encrypted, {"id_token_encrypted_response_enc": ""}}, "id_token_encrypted_response_enc"},
		{"refuses another signature of ID tokens", brazil, []map[string]any{at, encrypted, {"id_token_signed_response_alg": "ES256"}}, "id_token_signed_response_alg"},
		{"refuses another signature of requests", brazil, []map[string]any{at, encrypted, {"request_object_signing_alg": "ES256"}}, "request_object_signing_alg"},
		{"accepts another key encryption where the rule has none", cdr2, []map[string]any{at, encrypted, {"id_token_encrypted_response_alg": "RSA-OAEP-256"}}, ""},
		{"refuses ID tokens that are not encrypted on this base", cdr2, []map[string]any{at}, "id_token_encrypted_response_alg"},
		{"accepts those on the other", "au-cdr", []map[string]any{at}, ""},
		{"accepts pairwise subjects, also unsaid", connectID, []map[string]any{{"jwks": set}}, ""},
		{"accepts pairwise subjects", connectID, []map[string]any{{"jwks": set, "subject_type": "pairwise"}}, ""},
		{"refuses public ones", connectID, []map[string]any{{"jwks": set, "subject_type": "public"}}, "subject_type"},
		{"accepts public ones of the base", "fapi2-message-signing", []map[string]any{{"jwks": set, "subject_type": "public"}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			metadata := maps.Clone(base)
			for _, with := range test.with {
				maps.Copy(metadata, with)
			}
			body, err := json.Marshal(metadata)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := client.Parse("client-1", test.profile, body)
			switch {
			case test.wrong == "" && err != nil, test.wrong != "" && (err == nil || !strings.Contains("\n"+err.Error(), "\n"+test.wrong+":")):
				t.Errorf("%v", err)
			case test.profile == connectID && err == nil && parsed.Sector != "client.example":
				t.Errorf("the sector is %q", parsed.Sector)
			}
		})
	}
}
