package client

import (
	"encoding/json"
	"errors"
	"testing"

	"countersign/fapi/profile"
	"countersign/internal/jose"
)

// Covers: FD-05. What decides the sector of pairwise subjects: never a redirect URI for a client with CIBA (CIBA Core
// §4), and never a loopback address, which is every application's (OpenID Connect Core §8.1).
func TestFD05Sector(t *testing.T) {
	t.Parallel()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	inline := json.RawMessage(`{"keys":[` + string(key.PublicJWK()) + `]}`)
	type members = map[string]any
	ciba := []string{profile.CIBA}
	both := []string{profile.AuthorizationCode, profile.CIBA}
	for name, test := range map[string]struct {
		change members
		sector string
		wrong  string // the member with the problem
	}{
		"accepts one redirect host":            {members{}, "client.example", ""},
		"refuses CIBA with keys by value":      {members{"grant_types": ciba, "response_types": []string{}}, "", "sector_identifier_uri"},
		"refuses CIBA and code by redirect":    {members{"grant_types": both}, "", "sector_identifier_uri"},
		"accepts CIBA with jwks_uri":           {members{"grant_types": ciba, "response_types": []string{}, "jwks": nil, "jwks_uri": "https://Keys.example/jwks"}, "keys.example", ""},
		"accepts CIBA and code with jwks_uri":  {members{"grant_types": both, "jwks": nil, "jwks_uri": "https://keys.example/jwks"}, "keys.example", ""},
		"accepts CIBA with a sector":           {members{"grant_types": both, "sector_identifier_uri": "https://sector.example/list"}, "sector.example", ""},
		"accepts CIBA with public subjects":    {members{"grant_types": both, "subject_type": "public"}, "", ""},
		"refuses CIBA, a jwks_uri not used":    {members{"grant_types": both, "jwks": nil, "jwks_uri": "https://keys.example/jwks", "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "client.example"}, "", "sector_identifier_uri"},
		"refuses 127.0.0.1":                    {members{"redirect_uris": []string{"http://127.0.0.1:8080/cb"}}, "", "sector_identifier_uri"},
		"refuses 127.8.8.8":                    {members{"redirect_uris": []string{"http://127.8.8.8/cb"}}, "", "sector_identifier_uri"},
		"refuses [::1]":                        {members{"redirect_uris": []string{"http://[::1]:1/cb"}}, "", "sector_identifier_uri"},
		"refuses https on a loopback address":  {members{"redirect_uris": []string{"https://127.0.0.1/cb"}}, "", "sector_identifier_uri"},
		"refuses a loopback address beside":    {members{"redirect_uris": []string{"https://client.example/cb", "http://127.0.0.1/cb"}}, "", "sector_identifier_uri"},
		"accepts loopback with a sector":       {members{"redirect_uris": []string{"http://127.0.0.1/cb"}, "sector_identifier_uri": "https://sector.example/list"}, "sector.example", ""},
		"accepts loopback and public subjects": {members{"redirect_uris": []string{"http://127.0.0.1/cb"}, "subject_type": "public"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metadata := members{
				"client_name": "Example", "redirect_uris": []string{"https://client.example/cb"}, "scope": "openid",
				"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true, "jwks": inline, "subject_type": "pairwise",
			}
			for member, value := range test.change {
				if metadata[member] = value; value == nil {
					delete(metadata, member)
				}
			}
			if grants, ok := metadata["grant_types"].([]string); ok && len(grants) > 0 {
				metadata["backchannel_token_delivery_mode"] = "poll"
			}
			raw, err := json.Marshal(metadata)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := Parse("client-1", "fapi2-security", raw)
			problem, refused := errors.AsType[*MemberError](err)
			switch {
			case test.wrong != "" && (!refused || problem.Member != test.wrong):
				t.Errorf("the problem is %v", err)
			case test.wrong == "" && err != nil:
				t.Error(err)
			case test.wrong == "" && parsed.Sector != test.sector:
				t.Errorf("the sector is %q", parsed.Sector)
			}
		})
	}
}
