package fapi

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

	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/signer"
)

// maxRegistration bounds a registration request, in bytes.
const maxRegistration = 64 << 10

// maxMistakes bounds the part of a refusal that tells what is wrong, in bytes.
const maxMistakes = 4 << 10

// memberMistake is what is wrong with one member of client metadata.
type memberMistake struct {
	member, text string
}

// Error implements error.
func (m *memberMistake) Error() string { return m.member + ": " + m.text }

// readMetadata reads the body of a registration request: one JSON object (RFC 7591 §3.1). Members that are null are
// left out: they stand for none (RFC 7592 §2.2).
func readMetadata(w http.ResponseWriter, r *http.Request) (map[string]json.RawMessage, error) {
	if r.URL.RawQuery != "" {
		return nil, oauth.Errorf(oauth.InvalidRequest, "client metadata belongs into the body of the request, not into its address")
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, hasCharset := parameters["charset"]
	if err != nil || kind != "application/json" || hasCharset && !strings.EqualFold(charset, "utf-8") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the Content-Type must be application/json").WithStatus(http.StatusUnsupportedMediaType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRegistration))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the body is larger than %d bytes", maxRegistration).WithStatus(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the body could not be read").Because(err)
	}
	return parseMetadata(body)
}

func parseMetadata(body []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := jose.DecodeStrict(body, &members); err != nil {
		return nil, oauth.Errorf(oauth.InvalidClientMetadata, "the client metadata must be one correct JSON object: %v", err).Because(err)
	}
	if members == nil {
		return nil, oauth.Errorf(oauth.InvalidClientMetadata, "the client metadata must be a JSON object")
	}
	maps.DeleteFunc(members, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	return members, nil
}

// checkMetadata holds what a client wants to register to its profile and to what clients may register by themselves.
// The result has the defaults filled in and no member that the server does not know (RFC 7591 §2). found are mistakes
// that the caller knows of; all are told at once.
func (s *Server) checkMetadata(ctx context.Context, id, profile string, members map[string]json.RawMessage, found ...error) (Metadata, error) {
	if statement, ok := members["software_statement"]; ok {
		return Metadata{}, refuseStatement(statement)
	}
	mistakes := append(found, checkTypes(members)...)
	if len(mistakes) > len(found) {
		return Metadata{}, metadataError(mistakes) // nothing more can be read
	}
	if members["scope"] == nil && members["authorization_details_types"] == nil {
		// RFC 7591 §2: a client that names none gets a default set, here all that it could register.
		var err error
		if members["scope"], err = json.Marshal(strings.Join(s.registrableScopes(), " ")); err != nil {
			return Metadata{}, err
		}
	}
	body, err := json.Marshal(members)
	if err != nil {
		return Metadata{}, err
	}
	client, err := ParseClient(id, profile, body)
	mistakes = append(mistakes, joined(err)...)
	var metadata Metadata
	if err := jose.DecodeStrict(body, &metadata); err != nil {
		return Metadata{}, err
	}
	mistakes = append(mistakes, s.checkPrivileges(metadata)...)
	unsigned, err := s.checkSigning(ctx, metadata)
	if err != nil {
		return Metadata{}, err
	}
	mistakes = append(mistakes, unsigned...)
	if len(mistakes) > 0 {
		return Metadata{}, metadataError(mistakes)
	}
	return client.Metadata, s.checkSector(ctx, client.Metadata)
}

// refuseStatement refuses a software statement (RFC 7591 §2.3). No issuer of statements is approved here yet: one that
// is well made is not approved, whoever signed it; one that is no signed JWT would be wrong anywhere (§3.2.2).
// Registering the rest of the request as if the statement were not there would let its sender believe that the
// statement's values hold.
func refuseStatement(raw json.RawMessage) error {
	var statement string
	if err := jose.DecodeStrict(raw, &statement); err != nil {
		return oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement must be a string").Because(err)
	}
	algorithms := FAPI2Security().Algorithms
	if _, err := jose.Parse(statement, jose.ParseOptions{Algorithms: algorithms}); err != nil {
		return oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement is no JWT signed with one of %s: %v", strings.Join(algorithms, ", "), err).Because(err)
	}
	return oauth.Errorf(oauth.UnapprovedSoftwareStatement, "no issuer of software statements is approved by this server; register without software_statement")
}

// checkTypes finds the members whose JSON type is not that of RFC 7591.
func checkTypes(members map[string]json.RawMessage) []error {
	var mistakes []error
	for _, name := range slices.Sorted(maps.Keys(members)) {
		single, err := json.Marshal(map[string]json.RawMessage{name: members[name]})
		var metadata Metadata
		if err != nil || jose.DecodeStrict(single, &metadata) != nil {
			mistakes = append(mistakes, &memberMistake{name, "has the wrong JSON type"})
		}
	}
	return mistakes
}

// checkPrivileges refuses what only an operator can give to a client.
func (s *Server) checkPrivileges(metadata Metadata) []error {
	var mistakes []error
	if len(metadata.DefaultAuthorizationDetails) > 0 {
		mistakes = append(mistakes, &memberMistake{"default_authorization_details", "only the operator can give a client what it did not ask for"})
	}
	if len(metadata.ResourceIdentifiers) > 0 {
		mistakes = append(mistakes, &memberMistake{"resource_identifiers", "only the operator can make a client a resource server"})
	}
	if name := metadata.TLSClientAuthTrustStore; name != "" {
		if _, ok := s.config.TrustStores[name]; !ok {
			mistakes = append(mistakes, &memberMistake{"tls_client_auth_trust_store", fmt.Sprintf("there is no trust store %q here", name)})
		}
	}
	if slices.Contains(metadata.GrantTypes, CIBA) && s.config.Backchannel == nil {
		mistakes = append(mistakes, &memberMistake{"grant_types", CIBA + " is not offered here"})
	}
	if metadata.BackchannelDeliveryMode == DeliverByPing && s.config.Backchannel != nil && s.config.Backchannel.Seals == nil {
		mistakes = append(mistakes, &memberMistake{"backchannel_token_delivery_mode", "ping is not offered here; poll is"})
	}
	allowed := s.registrableScopes()
	for _, scope := range strings.Fields(metadata.Scope) {
		if !slices.Contains(allowed, scope) {
			mistakes = append(mistakes, &memberMistake{"scope", fmt.Sprintf("%q cannot be registered here; possible are %s", scope, strings.Join(allowed, ", "))})
		}
	}
	for _, kind := range metadata.AuthorizationDetailsTypes {
		if !slices.Contains(s.config.Registration.AuthorizationDetailsTypes, kind) {
			mistakes = append(mistakes, &memberMistake{"authorization_details_types", fmt.Sprintf("%q cannot be registered here", kind)})
		}
	}
	return mistakes
}

// checkSigning refuses algorithms that nothing could be signed with, though a profile has them.
func (s *Server) checkSigning(ctx context.Context, metadata Metadata) ([]error, error) {
	var mistakes []error
	for _, each := range []struct {
		member, alg string
		use         signer.Use
	}{
		{"id_token_signed_response_alg", metadata.IDTokenSignedResponseAlg, signer.UseIDToken},
		{"userinfo_signed_response_alg", metadata.UserInfoSignedResponseAlg, signer.UseIDToken},
		{"authorization_signed_response_alg", metadata.AuthorizationSignedResponseAlg, signer.UseResponse},
		{"introspection_signed_response_alg", metadata.IntrospectionSignedResponseAlg, signer.UseIntrospection},
	} {
		if !slices.Contains(s.union().Algorithms, each.alg) {
			continue // left out, or refused by the profile
		}
		possible, err := s.signs(ctx, each.use)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(possible, each.alg) {
			mistakes = append(mistakes, &memberMistake{each.member, fmt.Sprintf("this server has no key for %s; possible are %s", each.alg, strings.Join(possible, ", "))})
		}
	}
	return mistakes, nil
}

// registrableScopes are the scope values that clients may register by themselves.
func (s *Server) registrableScopes() []string {
	allowed := slices.Clone(s.config.Registration.Scopes)
	if len(allowed) == 0 {
		for _, scope := range s.scopes {
			allowed = append(allowed, scope.Name)
		}
	}
	return allowed
}

// joined takes apart what [errors.Join] put together.
func joined(err error) []error {
	if err == nil {
		return nil
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	return []error{err}
}

// metadataError is the refusal of RFC 7591 §3.2.2: invalid_redirect_uri when nothing else is wrong than redirect_uris.
func metadataError(mistakes []error) error {
	code := oauth.InvalidRedirectURI
	var texts []string
	for _, err := range mistakes {
		if found, ok := errors.AsType[*memberMistake](err); !ok || found.member != "redirect_uris" {
			code = oauth.InvalidClientMetadata
		}
		texts = append(texts, err.Error())
	}
	description := strings.Join(texts, "; ")
	if len(description) > maxMistakes {
		description = description[:maxMistakes] + "..."
	}
	return oauth.Errorf(code, "%s", description)
}
