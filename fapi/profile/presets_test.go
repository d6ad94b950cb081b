package profile_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"countersign/fapi/profile"
)

// Covers: LP-01. Each name that is listed is found, and each preset by its name with its base, too.
func TestLP01Lookup(t *testing.T) {
	for _, name := range profile.Names() {
		if found, ok := profile.Lookup(name); !ok || found.Name != name {
			t.Errorf("%s: got %q, %t", name, found.Name, ok)
		}
	}
	for _, preset := range profile.Presets() {
		for _, base := range preset.Bases {
			if _, ok := profile.Lookup(preset.Name + "/" + base); !ok {
				t.Errorf("%s/%s is not found", preset.Name, base)
			}
		}
	}
	for _, name := range []string{"", "uk", "uk-openbanking/", "uk-openbanking/fapi9", "/fapi1-advanced", "fapi1-advanced/uk-openbanking"} {
		if _, ok := profile.Lookup(name); ok || slices.Contains(profile.Names(), name) {
			t.Errorf("%q is found", name)
		}
	}
}

// Covers: LP-04. What each ecosystem asks of its own, on each base.
func TestLP04Ecosystems(t *testing.T) {
	want := map[string]map[string]string{
		"uk-openbanking": {
			"client_auth_methods": "private_key_jwt tls_client_auth", "response_types": "code id_token code", "consent.by": "claim",
			"consent.claim": "openbanking_intent_id", "consent.api": "uk", "registration.software_statement": "required",
		},
		"uk-openbanking/fapi2-message-signing": {"response_types": "code", "mtls_everywhere": "true"},
		"brazil-openfinance": {
			"algorithms": "PS256", "min_access_token_lifetime": "5m", "max_access_token_lifetime": "15m", "encrypt_id_token": "always",
			"refused_parameters": "id_token_hint", "min_request_uri_lifetime": "1m", "consent.by": "scope", "consent.backchannel": "login_hint",
			"backchannel.delivery_modes": "ping", "backchannel.min_id_token_lifetime": "4320h", "registration.max_age": "5m",
			"refused_metadata": "jwks", "require_interaction_id": "true", "key_encryption": "RSA-OAEP", "content_encryption": "A256GCM",
		},
		"brazil-openfinance/fapi2-security": {"algorithms": "PS256", "encrypt_id_token": "", "request_objects": "refused"},
		"brazil-openinsurance":              {"algorithms": "PS256", "consent.api": "openinsurance", "encrypt_id_token": "always"},
		"au-cdr": {
			"client_auth_methods": "private_key_jwt", "response_types": "code", "pkce": "always", "require_pushed": "true", "pairwise": "true",
			"min_access_token_lifetime": "2m", "max_access_token_lifetime": "10m", "max_request_uri_lifetime": "1m30s",
			"duration_claim": "sharing_duration", "max_refresh_lifetime": "8760h", "registration.jwt_body": "true",
		},
		"au-cdr/fapi2-message-signing": {"encrypt_id_token": "always", "algorithms": "PS256 ES256", "assertion_audience": "issuer string"},
		"au-connectid": {
			"algorithms": "PS256", "request_objects": "required", "response_modes": "code: query", "max_request_object_lifetime": "10m",
			"purpose.required": "true", "purpose.min": "3", "purpose.max": "300", "verified_claims.trust_frameworks": "au_connectid",
			"backchannel.delivery_modes": "poll", "backchannel.omitted_claims": "acr", "backchannel.binding_message.max": "300", "pairwise": "true",
		},
		"ksa-sama":                {"algorithms": "PS256", "consent.by": "scope", "consent.api": "ksa", "max_access_token_lifetime": "10m", "response_modes": "code: query"},
		"ksa-sama/fapi1-advanced": {"consent.api": "ksa-json", "require_pushed": "true", "max_request_object_age": "10m"},
		"uae-cbuae":               {"required_parameters": "authorization_details", "client_auth_methods": "private_key_jwt", "sender_constraints": "mtls"},
		"sg-singpass":             {"sender_constraints": "dpop", "encrypt_id_token": "always", "key_encryption": "ECDH-ES+A256KW", "algorithms": "ES256"},
		"nz":                      {"consent.claim": "ConsentId", "sender_constraints": "mtls"},
		"chile":                   {"grant_types": "authorization_code refresh_token client_credentials"},
		"fdx":                     {"require_pushed": "true", "required_parameters": "authorization_details"},
		"helseid":                 {"sender_constraints": "dpop", "request_objects": "required"},
		"helseid/fapi2-security":  {"request_objects": "refused"},
		"berlin-group":            {"sender_constraints": "mtls", "consent.by": "scope"},
		"fapi1-advanced":          {"consent.by": "", "scopes": "", "max_access_token_lifetime": "15m"},
	}
	for name, rules := range want {
		t.Run("accepts "+name, func(t *testing.T) {
			known, ok := profile.Lookup(name)
			if !ok {
				t.Fatal("it does not exist")
			}
			for rule, text := range rules {
				if got, ok := known.Value(rule); !ok || got != text {
					t.Errorf("%s is %q, want %q", rule, got, text)
				}
			}
		})
	}
	for _, preset := range profile.Presets() {
		if want[preset.Name] == nil {
			t.Errorf("%s is not among them", preset.Name)
		}
	}
	for _, name := range []string{"sg-singpass/fapi1-advanced", "uae-cbuae/fapi2-security", "au-connectid/fapi2-security", "fapi1-baseline"} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, ok := profile.Lookup(name); ok {
				t.Error("it exists")
			}
		})
	}
}

// Covers: LP-13. Pages have six languages; one name says one thing, whoever names it.
func TestLP13Descriptions(t *testing.T) {
	said := map[string]map[string]string{}
	for _, preset := range profile.Presets() {
		t.Run("accepts the sentences of "+preset.Name, func(t *testing.T) {
			known, _ := profile.Lookup(preset.Name)
			for _, rule := range known.Scopes {
				for _, language := range []string{"en", "de", "es", "fr", "pt-BR", "ar"} {
					text := rule.Descriptions[language]
					if text == "" || len([]rune(text)) > 200 || strings.ContainsFunc(text, unicode.IsControl) {
						t.Errorf("%s has no sentence in %s", rule.Name, language)
					}
				}
				if before := said[rule.Name]; rule.Parameter == "" && before != nil && !maps.Equal(before, rule.Descriptions) {
					t.Errorf("%s is something else than in another preset", rule.Name)
				}
				if rule.Parameter == "" {
					said[rule.Name] = rule.Descriptions
				}
			}
		})
	}
}

// Covers: LP-01. A preset on its default base is the same by both of its names.
func TestLP01Offers(t *testing.T) {
	offered := []string{"uk-openbanking", "ksa-sama/fapi2-message-signing", "fapi2-security"}
	for _, name := range []string{"uk-openbanking", "uk-openbanking/fapi1-advanced", "ksa-sama", "ksa-sama/fapi2-message-signing", "fapi2-security"} {
		t.Run("accepts "+name, func(t *testing.T) {
			if !profile.Offers(offered, name) {
				t.Error("not offered")
			}
		})
	}
	for _, name := range []string{"fapi1-advanced", "uk-openbanking/fapi2-security", "ksa-sama/fapi1-advanced", "lax", ""} {
		t.Run("refuses "+name, func(t *testing.T) {
			if profile.Offers(offered, name) {
				t.Error("offered")
			}
		})
	}
}

// Covers: LP-06. The whole parameter has to match, and nothing but a colon parts it from the name.
func TestLP06ScopeRuleMatches(t *testing.T) {
	rule := profile.ScopeRule{Name: "consent", Parameter: "[a-z]+|x[0-9]"}
	for _, value := range []string{"consent:abc", "consent:x1"} {
		t.Run("accepts "+value, func(t *testing.T) {
			if !rule.Matches(value) {
				t.Error("no match")
			}
		})
	}
	for _, value := range []string{"consent", "consent:", "consent:ABC", "consent:abc1", "consent:x1x", "consent:abc\n", "consents:abc", "xconsent:abc", "CONSENT:abc"} {
		t.Run("refuses "+value, func(t *testing.T) {
			if rule.Matches(value) {
				t.Error("a match")
			}
		})
	}
	if (profile.ScopeRule{Name: "accounts"}).Matches("accounts:") || (profile.ScopeRule{Name: "a", Parameter: "("}).Matches("a:(") {
		t.Error("a plain value, or a pattern that is none, matches")
	}
}
