package discovery_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// kindOf says what a member of the metadata has to be.
type kindOf int

const (
	anAddress kindOf = iota
	aList
	aBoolean
	anIssuer
	addresses
)

// metadataMembers are the members that the specifications define, and that this server has something to say to.
func metadataMembers() map[string]kindOf {
	members := map[string]kindOf{
		"issuer": anIssuer, "mtls_endpoint_aliases": addresses,
		"tls_client_certificate_bound_access_tokens": aBoolean, "require_pushed_authorization_requests": aBoolean,
		"authorization_response_iss_parameter_supported": aBoolean, "claims_parameter_supported": aBoolean,
		"request_parameter_supported": aBoolean, "request_uri_parameter_supported": aBoolean, "require_signed_request_object": aBoolean,
		"backchannel_user_code_parameter_supported": aBoolean,
		"backchannel_logout_supported":              aBoolean, "backchannel_logout_session_supported": aBoolean,
		"grant_management_action_required": aBoolean,
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "introspection_endpoint",
		"revocation_endpoint", "registration_endpoint", "pushed_authorization_request_endpoint",
		"backchannel_authentication_endpoint", "end_session_endpoint", "grant_management_endpoint"} {
		members[name] = anAddress
	}
	for _, name := range []string{"grant_management_actions_supported", "scopes_supported", "response_types_supported", "response_modes_supported", "grant_types_supported",
		"acr_values_supported", "subject_types_supported", "claims_supported", "ui_locales_supported", "code_challenge_methods_supported", "prompt_values_supported",
		"id_token_encryption_alg_values_supported", "id_token_encryption_enc_values_supported",
		"authorization_encryption_alg_values_supported", "authorization_encryption_enc_values_supported",
		"introspection_encryption_alg_values_supported", "introspection_encryption_enc_values_supported",
		"userinfo_encryption_alg_values_supported", "userinfo_encryption_enc_values_supported",
		"id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported", "dpop_signing_alg_values_supported",
		"request_object_signing_alg_values_supported", "authorization_signing_alg_values_supported", "introspection_signing_alg_values_supported",
		"authorization_details_types_supported", "protected_resources", "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
		"introspection_endpoint_auth_methods_supported", "introspection_endpoint_auth_signing_alg_values_supported",
		"backchannel_token_delivery_modes_supported", "backchannel_authentication_request_signing_alg_values_supported",
		"backchannel_endpoint_login_hint_token_types_supported",
		"revocation_endpoint_auth_methods_supported", "revocation_endpoint_auth_signing_alg_values_supported"} {
		members[name] = aList
	}
	return members
}

// checkMetadata holds a document to RFC 8414 §2, OpenID Connect Discovery §3 and the specifications that add members.
func checkMetadata(document map[string]any) (problems []string) {
	problem := func(format string, arguments ...any) { problems = append(problems, fmt.Sprintf(format, arguments...)) }
	address := func(name string, value any) {
		text, _ := value.(string)
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(text, "#") {
			problem("%s is no https address: %v", name, value)
		}
	}
	known := metadataMembers()
	for _, name := range []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"} {
		if document[name] == nil {
			problem("%s is missing", name)
		}
	}
	for name, value := range document {
		kind, ok := known[name]
		if !ok {
			problem("%s is no known member", name)
			continue
		}
		switch kind {
		case anAddress:
			address(name, value)
		case anIssuer:
			if address(name, value); strings.Contains(fmt.Sprint(value), "?") {
				problem("%s has a query", name)
			}
		case aBoolean:
			if _, ok := value.(bool); !ok {
				problem("%s is no boolean: %v", name, value)
			}
		case addresses:
			aliases, _ := value.(map[string]any)
			if len(aliases) == 0 {
				problem("%s is no object with members: %v", name, value)
			}
			for alias, value := range aliases {
				if known[alias] != anAddress || document[alias] == nil {
					problem("%s has the member %s", name, alias)
				}
				address(alias, value)
			}
		case aList:
			list, _ := value.([]any)
			if len(list) == 0 {
				problem("%s is no list with values: %v", name, value)
			}
			for i, entry := range list {
				if text, ok := entry.(string); !ok || text == "" || slices.Contains(list[:i], entry) {
					problem("%s holds %v, which is no text or there twice", name, entry)
				}
			}
		}
	}
	return problems
}

// Covers: MD-04. The document has known members only, each of its kind; the check itself is shown to notice problems.
func TestMD04Schema(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]fapitest.Option{
		"of everything": func(*fapitest.Config) {},
		"without mTLS":  func(c *fapitest.Config) { c.MTLSIssuer = "" },
		"of little": func(c *fapitest.Config) {
			c.ACRValues, c.AuthorizationDetailTypes = nil, nil
		},
	} {
		t.Run("accepts the document "+name, func(t *testing.T) {
			t.Parallel()
			w, _ := fapitest.NewFullWorld(t, more)
			for _, problem := range checkMetadata(w.Document()) {
				t.Error(problem)
			}
		})
	}
	w, _ := fapitest.NewFullWorld(t)
	for name, wrong := range map[string]map[string]any{
		"an unknown member":    {"colour": "green"},
		"a plain http address": {"token_endpoint": "http://as.example/token"},
		"text for a list":      {"scopes_supported": "openid"},
		"an empty list":        {"scopes_supported": []any{}},
		"a value twice":        {"scopes_supported": []any{"openid", "openid"}},
		"text for a boolean":   {"claims_parameter_supported": "true"},
		"an alias of nothing":  {"mtls_endpoint_aliases": map[string]any{"colour": "https://as.example"}},
		"a missing endpoint":   {"authorization_endpoint": nil},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			document := w.Document()
			for member, value := range wrong {
				document[member] = value
			}
			if len(checkMetadata(document)) == 0 {
				t.Error("the problem was not noticed")
			}
		})
	}
}

// Covers: MD-05. signed_metadata is optional (RFC 8414 §2.1), and not offered: who asks for a JWT gets the same JSON.
func TestMD05NoSignedMetadata(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	for _, accept := range []string{"application/json", "application/jwt", "*/*"} {
		t.Run("accepts a request for "+accept, func(t *testing.T) {
			response, body := w.Request(t, http.MethodGet, w.Issuer+"/.well-known/openid-configuration", http.Header{"Accept": {accept}}, "")
			var document map[string]any
			if err := json.Unmarshal([]byte(body), &document); err != nil || response.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("answered %s: %v", response.Header.Get("Content-Type"), err)
			}
			if _, there := document["signed_metadata"]; there {
				t.Error("signed_metadata is there, and nothing signs it")
			}
		})
	}
}
