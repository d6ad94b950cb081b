package registration

import (
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/profile"
	"countersign/fapi/statement"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/mtls/dn"
	"countersign/store"
)

// CertificateOrganisation begins the name of an organisation that registered with a certificate.
const CertificateOrganisation = client.CertificateOrganisation

// registrar is an authenticated organisation that registers a client.
type registrar struct {
	// organisation is the owner of the client.
	organisation string
	// profile is that of the client.
	profile string
	// by is the token or the quota that the registration consumes.
	by store.Registrar
}

// registrar authenticates a registration request. With an Authorization header only that is checked: a certificate
// does not replace a wrong token.
func (h *Handler) registrar(r *http.Request, at endpoint.At) (registrar, error) {
	if r.Header.Get("Authorization") == "" && at.MTLS && h.settings.CertificateQuota > 0 {
		return h.certificateRegistrar(r)
	}
	token, err := bearer(r)
	if err != nil {
		return registrar{}, err
	}
	id := store.DigestOf(token)
	// Before the token is looked for: what is sent too often costs no look into the store.
	if err := h.config.Limits.Authenticated("initial token\x00" + string(id[:])); err != nil {
		return registrar{}, err
	}
	initial, err := h.config.Store.InitialToken(r.Context(), id)
	if err != nil {
		return registrar{}, registrarError(initial.Organisation, err)
	}
	profileName := cmp.Or(initial.Profile, h.settings.Profile)
	if !profile.Offers(h.config.Profiles, profileName) {
		return registrar{}, unauthorized(
			"the initial access token is for a profile that this server does not offer; ask the operator for another", nil)
	}
	return registrar{initial.Organisation, profileName, store.Registrar{Token: id}}, nil
}

// registrarError returns the error when the store refuses a registration. Only the authenticated organisation learns
// of its quota.
func registrarError(organisation string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExpired):
		return unauthorized("the initial access token is not known here or has expired; ask the operator for another", err)
	case errors.Is(err, store.ErrConsumed):
		return oauth.Errorf(oauth.AccessDenied,
			"%s has as many clients as it may register; ask the operator for more",
			strings.TrimPrefix(organisation, client.DirectoryOrganisation)).
			WithStatus(http.StatusForbidden).Because(err)
	case errors.Is(err, store.ErrReplayed):
		return replayed(err)
	case errors.Is(err, store.ErrConflict):
		return oauth.Errorf(oauth.InvalidSoftwareStatement,
			"software_statement: its software has a client here already, and may have one only; change or delete that").Because(err)
	}
	return err
}

// replayed is the error when a statement, or a request that is a JWT, was used before.
func replayed(err error) error {
	if seen, ok := errors.AsType[*store.ReplayedError](err); ok && seen.Kind == statement.KindRequest {
		return oauth.Errorf(oauth.InvalidClientMetadata, "the registration request: its jti was used before").Because(err)
	}
	return oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement: it was used before (jti); get a new one from the directory").Because(err)
}

// certificateRegistrar takes the organisation from the certificate of the connection.
func (h *Handler) certificateRegistrar(r *http.Request) (registrar, error) {
	presented, err := h.organisationCertificate(r)
	if err != nil {
		return registrar{}, untrusted(err)
	}
	if presented == nil {
		return registrar{}, missingToken()
	}
	subject, err := subjectText(presented.Leaf)
	if err != nil {
		return registrar{}, unauthorized("the subject of the client certificate names no organisation", err)
	}
	by := store.Registrar{Quota: h.settings.CertificateQuota}
	return registrar{CertificateOrganisation + subject, h.settings.Profile, by}, nil
}

// organisationCertificate returns the verified certificate of the connection, or nil if there is none.
func (h *Handler) organisationCertificate(r *http.Request) (*mtls.Presented, error) {
	return h.verifiedCertificate(r, h.settings.CertificateTrust)
}

// verifiedCertificate returns the certificate of the connection, verified by a trust, or nil if there is none.
func (h *Handler) verifiedCertificate(r *http.Request, trust *mtls.Trust) (*mtls.Presented, error) {
	presented, err := h.config.Certificates.Certificate(r)
	if err != nil || presented == nil {
		return nil, err
	}
	return presented, trust.VerifyContext(r.Context(), presented)
}

// untrusted is the error for a certificate that cannot be verified.
func untrusted(err error) error {
	description := "the client certificate is not trusted for registration"
	if reason := mtls.Reason(err); reason != "" {
		description += ": " + reason
	}
	return unauthorized(description, err)
}

// subjectText returns a certificate's subject as an RFC 4514 string that parses to the same name. A subject without
// such a string is an error, and so is an empty one, which all certificates without a name share.
func subjectText(leaf *x509.Certificate) (string, error) {
	name, err := dn.OfSubject(leaf)
	if err != nil {
		return "", fmt.Errorf("fapi: the certificate has no readable subject: %w", err)
	}
	text := name.String()
	var names pkix.RDNSequence
	if rest, err := asn1.Unmarshal(leaf.RawSubject, &names); err == nil && len(rest) == 0 {
		text = names.String() // organisations are known by this form since the first release
	}
	if err := (mtls.Subject{DN: text}).Match(leaf); err != nil {
		return "", fmt.Errorf("fapi: the certificate's subject cannot be written as text: %w", err)
	}
	return text, nil
}

// bearer reads the one bearer token of a request (RFC 6750 §2.1).
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", missingToken()
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", unauthorized("there must be one Authorization header, of the form: Bearer <token>", nil)
	}
	return token, nil
}

// missingToken returns the error for a request without credentials; its challenge has no error code (RFC 6750 §3.1).
func missingToken() error {
	missing := oauth.Errorf(oauth.InvalidToken,
		"this endpoint needs an access token, in the header Authorization: Bearer <token>").
		WithStatus(http.StatusUnauthorized)
	missing.Challenge = "Bearer"
	return missing
}

func unauthorized(description string, cause error) error {
	return endpoint.InvalidToken("Bearer", description, cause)
}
