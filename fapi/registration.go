package fapi

import (
	"cmp"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/store"
)

// Registration lets clients register themselves (RFC 7591) and look after their registration (RFC 7592). Who
// registers has to show an initial access token or a certificate: nobody can register unknown.
type Registration struct {
	// Profile is the profile of clients whose initial access token names none, by default the first that is offered.
	Profile string
	// Scopes are the scope values that a client may register; empty means all that exist.
	Scopes []string
	// AuthorizationDetailsTypes are the types of authorization_details that a client may register; empty means none.
	AuthorizationDetailsTypes []string
	// CertificateQuota is how many clients an organisation may have that proves itself by a certificate on the
	// mTLS listener. With 0 no certificate is accepted for registration.
	CertificateQuota int
	// CertificateTrust verifies those certificates; nil means [Config.ClientTrust].
	CertificateTrust *mtls.Trust
}

// CertificateOrganisation begins the name of an organisation that registered with a certificate; the subject of the
// certificate follows, as an RFC 4514 string. The holder of an initial access token must not have such a name.
const CertificateOrganisation = "x509:"

// checkRegistration checks the settings and fills in defaults, in a copy of the caller's.
func (c *Config) checkRegistration() []error {
	if c.Registration == nil {
		return nil
	}
	settings := *c.Registration
	c.Registration = &settings
	setDefault(&settings.Profile, c.Profiles[0])
	var mistakes []error
	if !slices.Contains(c.Profiles, settings.Profile) {
		mistakes = append(mistakes, fmt.Errorf("fapi: Registration.Profile %q is not offered; offered are %s", settings.Profile, strings.Join(c.Profiles, ", ")))
	}
	known := knownScopes(c.Scopes)
	for _, scope := range settings.Scopes {
		if !slices.ContainsFunc(known, func(k Scope) bool { return k.Name == scope }) {
			mistakes = append(mistakes, fmt.Errorf("fapi: Registration.Scopes: there is no scope %q", scope))
		}
	}
	for _, kind := range settings.AuthorizationDetailsTypes {
		if !slices.ContainsFunc(c.AuthorizationDetailTypes, func(known DetailType) bool { return known.Type == kind }) {
			mistakes = append(mistakes, fmt.Errorf("fapi: Registration.AuthorizationDetailsTypes: there is no type %q", kind))
		}
	}
	if settings.CertificateQuota < 0 {
		mistakes = append(mistakes, errors.New("fapi: Registration.CertificateQuota must not be negative"))
	}
	if settings.CertificateQuota > 0 && c.MTLSIssuer == "" {
		mistakes = append(mistakes, errors.New("fapi: Registration.CertificateQuota needs MTLSIssuer, where certificates are shown"))
	}
	return mistakes
}

// registrar is who registers a client.
type registrar struct {
	// organisation is whom the client will belong to.
	organisation string
	// profile is that of the client.
	profile string
	// by is what the store takes the registration from.
	by store.Registrar
}

// register is the client registration endpoint (RFC 7591 §3). certificates tells whether the request came in on the
// mTLS listener.
func (s *Server) register(w http.ResponseWriter, r *http.Request, certificates bool) error {
	ctx := r.Context()
	registrar, err := s.registrar(r, certificates)
	if err != nil {
		return s.brakes.authenticationFailed(r, err)
	}
	if err := s.brakes.authenticated("organisation " + registrar.organisation); err != nil {
		return err
	}
	members, err := readMetadata(w, r)
	if err != nil {
		return err
	}
	id := newUUID() // random, so that it can equal no subject (RFC 9068 §5)
	metadata, err := s.checkMetadata(ctx, id, registrar.profile, members)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	token, now := newSecret(), s.now()
	record := store.Client{
		ID: id, Profile: registrar.profile, Metadata: encoded,
		AccessToken: store.DigestOf(token), Organisation: registrar.organisation,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if err := s.store.RegisterClient(ctx, record, registrar.by); err != nil {
		return registrarError(registrar.organisation, err)
	}
	s.noteRegistration(ctx, "client registered", record)
	return s.answerRegistered(w, http.StatusCreated, record, metadata, token)
}

// registrar finds out who wants to register. What the request carries in its Authorization header stands alone: a
// wrong token is not made good by a certificate.
func (s *Server) registrar(r *http.Request, certificates bool) (registrar, error) {
	if r.Header.Get("Authorization") == "" && certificates && s.config.Registration.CertificateQuota > 0 {
		return s.certificateRegistrar(r)
	}
	token, err := bearer(r)
	if err != nil {
		return registrar{}, err
	}
	id := store.DigestOf(token)
	initial, err := s.store.InitialToken(r.Context(), id)
	if err != nil {
		return registrar{}, registrarError(initial.Organisation, err)
	}
	profile := cmp.Or(initial.Profile, s.config.Registration.Profile)
	if !slices.Contains(s.config.Profiles, profile) {
		return registrar{}, unauthorised("the initial access token is for a profile that this server does not offer; ask the operator for another", nil)
	}
	return registrar{initial.Organisation, profile, store.Registrar{Token: id}}, nil
}

// registrarError is the answer when the store does not let somebody register. Quotas are told to nobody but those
// whose they are.
func registrarError(organisation string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExpired):
		return unauthorised("the initial access token is not known here or has expired; ask the operator for another", err)
	case errors.Is(err, store.ErrConsumed):
		return oauth.Errorf(oauth.AccessDenied, "%s has as many clients as it may register; ask the operator for more", organisation).
			WithStatus(http.StatusForbidden).Because(err)
	}
	return err
}

// certificateRegistrar takes the organisation from the certificate of the connection.
func (s *Server) certificateRegistrar(r *http.Request) (registrar, error) {
	presented, err := s.organisationCertificate(r)
	if err != nil {
		return registrar{}, unauthorised("the client certificate is not trusted for registration", err)
	}
	if presented == nil {
		return registrar{}, missingToken()
	}
	subject, err := subjectText(presented.Leaf)
	if err != nil {
		return registrar{}, unauthorised("the subject of the client certificate names no organisation", err)
	}
	return registrar{CertificateOrganisation + subject, s.config.Registration.Profile, store.Registrar{Quota: s.config.Registration.CertificateQuota}}, nil
}

// organisationCertificate is the verified certificate of the connection, or nil if there is none.
func (s *Server) organisationCertificate(r *http.Request) (*mtls.Presented, error) {
	presented, err := s.config.Certificates.Certificate(r)
	if err != nil || presented == nil {
		return nil, err
	}
	trust := s.config.ClientTrust
	if s.config.Registration.CertificateTrust != nil {
		trust = *s.config.Registration.CertificateTrust
	}
	return presented, trust.VerifyContext(r.Context(), presented)
}

// subjectText writes a certificate's subject so that it reads back as the same name (RFC 4514). One that does not,
// or an empty one, which every certificate without a name shares, is an error.
func subjectText(leaf *x509.Certificate) (string, error) {
	var names pkix.RDNSequence
	if rest, err := asn1.Unmarshal(leaf.RawSubject, &names); err != nil || len(rest) > 0 {
		return "", errors.New("fapi: the certificate has no readable subject")
	}
	text := names.String()
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
		return "", unauthorised("there must be one Authorization header, of the form: Bearer <token>", nil)
	}
	return token, nil
}

// missingToken is the answer to a request without credentials; its challenge names no error (RFC 6750 §3.1).
func missingToken() error {
	missing := oauth.Errorf(oauth.InvalidToken, "this endpoint needs an access token, in the header Authorization: Bearer <token>").WithStatus(http.StatusUnauthorized)
	missing.Challenge = "Bearer"
	return missing
}

func unauthorised(description string, cause error) error {
	return invalidToken("Bearer", description, cause)
}

// noteRegistration writes who did what to which client.
func (s *Server) noteRegistration(ctx context.Context, what string, record store.Client) {
	e := eventOf(ctx)
	e.client = record.ID
	s.log.InfoContext(ctx, what, "correlation_id", e.correlationID, "client_id", record.ID, "organisation", record.Organisation, "version", record.Version)
	s.note(ctx, record.ID, strings.ReplaceAll(what, " ", "_"), "organisation", record.Organisation, "version", strconv.Itoa(record.Version))
}

// registered is a client information response (RFC 7591 §3.2.1, RFC 7592 §3).
type registered struct {
	ID       string `json:"client_id"`
	IssuedAt int64  `json:"client_id_issued_at"`
	Token    string `json:"registration_access_token"`
	Address  string `json:"registration_client_uri"`
	Metadata
}

// answerRegistered tells a client all that is registered of it. token is the one that the client holds: only its
// digest is stored.
func (s *Server) answerRegistered(w http.ResponseWriter, status int, record store.Client, metadata Metadata, token string) error {
	base := s.config.Issuer
	if strings.HasPrefix(record.Organisation, CertificateOrganisation) {
		base = s.config.MTLSIssuer // where its certificate can be shown
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(registered{ // nobody is left to be told
		ID: record.ID, IssuedAt: record.CreatedAt.Unix(), Token: token,
		Address: base + registrationPath + "/" + record.ID, Metadata: metadata,
	})
	return nil
}

// registrationPath is the client registration endpoint; below it is one client configuration endpoint a client.
const registrationPath = "/register"
