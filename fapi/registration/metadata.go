package registration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/fapi/statement"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/strictjson"
	"countersign/signer"
)

const (
	// maxMetadata bounds the metadata of a client without its jwks, in bytes.
	maxMetadata = 64 << 10
	// maxRegistration bounds a registration request, in bytes.
	maxRegistration = maxMetadata + jose.MaxKeySetSize
)

// maxProblems bounds the list of problems in a refusal, in bytes.
const maxProblems = 4 << 10

// problem returns a problem with one member.
func problem(member, format string, arguments ...any) error {
	return &client.MemberError{Member: member, Text: fmt.Sprintf(format, arguments...)}
}

// sent is the body of a registration request.
type sent struct {
	// members are the client metadata. Those that are null are left out: null means none (RFC 7592 §2.2).
	members map[string]json.RawMessage
	// signed is the JWT that they came in, not verified yet; nil for JSON.
	signed *statement.Request
}

// read reads the body of a registration request: one JSON object (RFC 7591 §3.1) or, for clients of directories, a JWT of it.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (*sent, error) {
	if r.URL.RawQuery != "" {
		return nil, oauth.Errorf(oauth.InvalidRequest, "client metadata must be in the body of the request, not in its URL")
	}
	// No charset or other parameter is defined for JSON, and adding one has no effect (RFC 8259 §11).
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isJWT := h.config.Directories.Any() && (kind == "application/jwt" || kind == "application/jose")
	if err != nil || kind != "application/json" && !isJWT {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the Content-Type must be application/json").
			WithStatus(http.StatusUnsupportedMediaType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRegistration))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the body is larger than %d bytes", maxRegistration).
			WithStatus(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the body could not be read").Because(err)
	}
	if isJWT {
		signed, err := statement.ParseRequest(string(body), profile.Algorithms())
		if err != nil {
			return nil, err
		}
		return &sent{members: withoutNull(signed.Members), signed: signed}, nil
	}
	members, err := parseMetadata(body)
	if err != nil {
		return nil, err
	}
	if len(body)-len(members["jwks"]) > maxMetadata {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the metadata without jwks are larger than %d bytes", maxMetadata).WithStatus(http.StatusRequestEntityTooLarge)
	}
	return &sent{members: members}, nil
}

func withoutNull(members map[string]json.RawMessage) map[string]json.RawMessage {
	maps.DeleteFunc(members, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	return members
}

func parseMetadata(body []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := strictjson.Decode(body, &members); err != nil {
		return nil, oauth.Errorf(oauth.InvalidClientMetadata, "the client metadata must be one correct JSON object: %v", err).
			Because(err)
	}
	if members == nil {
		return nil, oauth.Errorf(oauth.InvalidClientMetadata, "the client metadata must be a JSON object")
	}
	return withoutNull(members), nil
}

// checkMetadata checks metadata against the client's profile, against what clients may register by themselves, and against
// the software statement, if there is one. The result has the defaults filled in and no unknown members (RFC 7591 §2). found are problems that the caller found;
// all are reported at once.
func (h *Handler) checkMetadata(
	ctx context.Context, id, profileName string, by *vouched, members map[string]json.RawMessage, found ...error,
) (client.Metadata, error) {
	problems := append(found, checkTypes(members)...)
	if len(problems) > len(found) {
		return client.Metadata{}, metadataError(problems) // the rest cannot be parsed
	}
	if by != nil {
		problems = append(problems, h.bind(by, members)...)
		if wrong := checkTypes(members); len(wrong) > 0 {
			return client.Metadata{}, oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement: what it says of %v", wrong[0])
		}
	}
	if members["scope"] == nil && members["authorization_details_types"] == nil {
		// RFC 7591 §2: without scope the server assigns a default set: all that the client may register.
		var err error
		if members["scope"], err = json.Marshal(strings.Join(h.settings.Scopes, " ")); err != nil {
			return client.Metadata{}, err
		}
	}
	ignored, err := h.leaveOutUnknownScopes(members)
	problems = append(problems, ignored...)
	if err != nil {
		return client.Metadata{}, err
	}
	body, err := json.Marshal(members)
	if err != nil {
		return client.Metadata{}, err
	}
	full, _ := profile.Lookup(profileName)
	problems = append(problems, client.CheckMembers(members, full)...)
	parsed, err := client.Parse(id, profileName, body)
	problems = append(problems, joined(err)...)
	var metadata client.Metadata
	if err := strictjson.Decode(body, &metadata); err != nil {
		return client.Metadata{}, err
	}
	problems = append(problems, h.checkPrivileges(metadata)...)
	unsigned, err := h.checkSigning(ctx, metadata)
	if err != nil {
		return client.Metadata{}, err
	}
	problems = append(problems, unsigned...)
	if len(problems) > 0 {
		return client.Metadata{}, metadataError(problems)
	}
	return parsed.Metadata, h.checkSector(ctx, parsed.Metadata)
}

// leaveOutUnknownScopes replaces the scope by those of its values that exist here; the answer tells them (RFC 7591 §2,
// §3.2.1). It is a problem when none of them exists.
func (h *Handler) leaveOutUnknownScopes(members map[string]json.RawMessage) (problems []error, err error) {
	var text string
	if raw := members["scope"]; raw == nil || strictjson.Decode(raw, &text) != nil {
		return nil, nil // reported already
	}
	asked := strings.Fields(text)
	known := slices.DeleteFunc(slices.Clone(asked), func(name string) bool { return !slices.Contains(h.config.Scopes, name) })
	if len(asked) > 0 && len(known) == 0 {
		problems = append(problems, problem("scope", "no value of it can be registered here; possible are %s",
			strings.Join(h.settings.Scopes, ", ")))
		known = asked // so that it is not called missing as well
	}
	members["scope"], err = json.Marshal(strings.Join(known, " "))
	return problems, err
}

// checkTypes finds the members whose JSON type is not that of RFC 7591.
func checkTypes(members map[string]json.RawMessage) []error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(members)) {
		single, err := json.Marshal(map[string]json.RawMessage{name: members[name]})
		var metadata client.Metadata
		if err != nil || strictjson.Decode(single, &metadata) != nil {
			problems = append(problems, problem(name, "has the wrong JSON type"))
		}
	}
	return problems
}

// checkPrivileges refuses what only an operator can register for a client.
func (h *Handler) checkPrivileges(metadata client.Metadata) []error {
	var problems []error
	if len(metadata.DefaultAuthorizationDetails) > 0 {
		problems = append(problems, problem("default_authorization_details",
			"only the operator can register default authorization_details"))
	}
	for _, each := range []struct {
		member    string
		addresses []string
	}{{"redirect_uris", metadata.RedirectURIs}, {"post_logout_redirect_uris", metadata.PostLogoutRedirectURIs}} {
		for _, address := range each.addresses {
			if client.SameOrigin(address, h.config.Addresses.Issuer) || client.SameOrigin(address, h.config.Addresses.MTLSIssuer) {
				problems = append(problems, problem(each.member, "%q is on this server's own origin", address))
			}
		}
	}
	if len(metadata.ResourceIdentifiers) > 0 {
		problems = append(problems, problem("resource_identifiers", "only the operator can make a client a resource server"))
	}
	if name := metadata.TLSClientAuthTrustStore; name != "" && !h.hasTrustStore(name) {
		problems = append(problems, problem("tls_client_auth_trust_store", "there is no trust store %q here", name))
	}
	if slices.Contains(metadata.GrantTypes, profile.CIBA) && !h.config.Backchannel {
		problems = append(problems, problem("grant_types", "%s is not offered here", profile.CIBA))
	}
	if metadata.BackchannelDeliveryMode == profile.DeliverByPing && h.config.Backchannel && !h.config.Ping {
		problems = append(problems, problem("backchannel_token_delivery_mode", "ping is not offered here; poll is"))
	}
	allowed := h.settings.Scopes
	for _, scope := range strings.Fields(metadata.Scope) {
		if !slices.Contains(allowed, scope) && slices.Contains(h.config.Scopes, scope) {
			problems = append(problems, problem("scope",
				"%q cannot be registered here; possible are %s", scope, strings.Join(allowed, ", ")))
		}
	}
	for _, kind := range metadata.AuthorizationDetailsTypes {
		if !slices.Contains(h.settings.AuthorizationDetailsTypes, kind) {
			problems = append(problems, problem("authorization_details_types", "%q cannot be registered here", kind))
		}
	}
	return problems
}

func (h *Handler) hasTrustStore(name string) bool {
	_, ok := h.config.TrustStores[name]
	return ok
}

// checkSigning refuses algorithms of the profile for which the server has no active key.
func (h *Handler) checkSigning(ctx context.Context, metadata client.Metadata) ([]error, error) {
	var problems []error
	for _, each := range []struct {
		member, alg string
		use         signer.Use
	}{
		{"id_token_signed_response_alg", metadata.IDTokenSignedResponseAlg, signer.UseIDToken},
		{"userinfo_signed_response_alg", metadata.UserInfoSignedResponseAlg, signer.UseIDToken},
		{"authorization_signed_response_alg", metadata.AuthorizationSignedResponseAlg, signer.UseResponse},
		{"introspection_signed_response_alg", metadata.IntrospectionSignedResponseAlg, signer.UseIntrospection},
	} {
		if !slices.Contains(h.algorithms, each.alg) {
			continue // left out, or refused by the profile
		}
		possible, err := h.config.Signs(ctx, each.use)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(possible, each.alg) {
			problems = append(problems, problem(each.member,
				"this server has no key for %s; possible are %s", each.alg, strings.Join(possible, ", ")))
		}
	}
	return problems, nil
}

// joined returns the errors that [errors.Join] joined.
func joined(err error) []error {
	if err == nil {
		return nil
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	return []error{err}
}

// metadataError returns the error of RFC 7591 §3.2.2: invalid_redirect_uri when all problems are about redirect_uris.
func metadataError(problems []error) error {
	code := oauth.InvalidRedirectURI
	var texts []string
	for _, err := range problems {
		if found, ok := errors.AsType[*client.MemberError](err); !ok || found.Member != "redirect_uris" {
			code = oauth.InvalidClientMetadata
		}
		texts = append(texts, err.Error())
	}
	description := strings.Join(texts, "; ")
	if len(description) > maxProblems {
		description = description[:maxProblems] + "..."
	}
	return oauth.Errorf(code, "%s", description)
}
