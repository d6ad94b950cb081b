package registration

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"countersign/fapi/client"
	"countersign/fapi/directories"
	"countersign/fapi/endpoint"
	"countersign/fapi/profile"
	"countersign/fapi/statement"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/strictjson"
	"countersign/mtls"
	"countersign/mtls/dn"
	"countersign/store"
)

// statementMember is the member of client metadata that has the software statement (RFC 7591 §2.3).
const statementMember = "software_statement"

// vouched is a registration request with a software statement that was approved; nil is one without.
type vouched struct {
	directories.Approved
	// subject is that of the verified certificate of the connection, or empty.
	subject string
	// oneTimes are consumed with the registration.
	oneTimes []store.OneTime
}

// entry is what the directory knows the client by.
func (v *vouched) entry() store.DirectoryEntry {
	if v == nil {
		return store.DirectoryEntry{}
	}
	return v.Entry(v.subject)
}

// registrar is who registers with the statement alone.
func (v *vouched) registrar() registrar {
	return registrar{v.OrganisationName(), v.Profile, v.consumedBy(store.Registrar{Quota: v.Directory.Quota})}
}

// consumedBy adds to what a registration consumes.
func (v *vouched) consumedBy(by store.Registrar) store.Registrar {
	by.OneTimes = slices.Concat(v.OneTimes(v.Rule), v.oneTimes)
	by.OnePerSoftware = v.Rule.OnePerSoftware
	return by
}

// vouch approves the statement of a request and holds the request to it: the certificate, the signature of a request that is a
// JWT, and the metadata, which it changes. The client's profile is profileName, or that of the directory when it is empty. It
// returns nil where there is no statement and none is needed.
func (h *Handler) vouch(r *http.Request, at endpoint.At, profileName string, asked *sent) (*vouched, error) {
	raw, there := asked.members[statementMember]
	if !there {
		return nil, withoutStatement(profileName, asked)
	}
	var text string
	if err := strictjson.Decode(raw, &text); err != nil {
		return nil, oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement must be a string").Because(err)
	}
	approved, err := h.config.Directories.Approve(r.Context(), text, profileName)
	if err != nil {
		return nil, err
	}
	v := &vouched{Approved: approved}
	if v.subject, err = h.provesItself(r, at, approved); err != nil {
		return nil, err
	}
	if err := h.checkSigned(r.Context(), v, asked); err != nil {
		return nil, err
	}
	return v, nil
}

// vouchAgain is vouch for the replacement of a registration: the statement has to be of the same software. It may be the one
// that the client registered with.
func (h *Handler) vouchAgain(r *http.Request, at endpoint.At, record store.Client, asked *sent) (*vouched, error) {
	by, err := h.vouch(r, at, record.Profile, asked)
	switch {
	case err != nil:
		return nil, err
	case by == nil && record.Directory.Directory != "":
		return nil, missingStatement("the client registered with one")
	case by == nil:
		return nil, nil
	}
	was, is := record.Directory, by.entry()
	if is.Directory != was.Directory || is.Organisation != was.Organisation || is.Software != was.Software {
		return nil, statement.Unapproved("it is of other software than the client's")
	}
	return by, nil
}

// withoutStatement refuses what needs a statement and has none.
func withoutStatement(profileName string, asked *sent) error {
	if asked.signed != nil {
		return missingStatement("a registration request that is a JWT needs one, by which its keys are known")
	}
	if full, ok := profile.Lookup(profileName); ok && full.Registration.SoftwareStatement == profile.SoftwareStatementRequired {
		return missingStatement("get one from the directory")
	}
	return nil
}

func missingStatement(why string) error {
	return oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement is missing; %s", why)
}

// provesItself demands, where the profile does, the certificate that belongs to the statement, and returns its subject.
func (h *Handler) provesItself(r *http.Request, at endpoint.At, a directories.Approved) (subject string, err error) {
	if !at.MTLS {
		if a.Rule.NeedsCertificate() {
			return "", unauthorized("registrations with this statement need a client certificate, on the mTLS address of this endpoint", nil)
		}
		return "", nil
	}
	presented, err := h.directoryCertificate(r, a.Directory)
	if err != nil {
		return "", err
	}
	if presented == nil {
		if a.Rule.NeedsCertificate() {
			return "", unauthorized("registrations with this statement need a client certificate", nil)
		}
		return "", nil
	}
	if err := a.BindCertificate(a.Rule, presented.Leaf); err != nil {
		return "", statement.Unapproved("it is not of the client with this certificate: %v", err).Because(err)
	}
	subject, err = subjectText(presented.Leaf)
	if err != nil {
		return "", unauthorized("the subject of the client certificate names no organisation", err)
	}
	return subject, nil
}

// directoryCertificate returns the certificate of the connection, verified as those of a directory's participants are; nil if
// there is none.
func (h *Handler) directoryCertificate(r *http.Request, d *directories.Directory) (*mtls.Presented, error) {
	trust := h.settings.CertificateTrust
	if d != nil && d.TrustStore != "" {
		named, ok := h.config.TrustStores[d.TrustStore]
		if !ok {
			return nil, errors.New("fapi: the directory's trust store is not known")
		}
		trust = &named
	}
	presented, err := h.verifiedCertificate(r, trust)
	if err != nil {
		return nil, untrusted(err)
	}
	return presented, nil
}

// checkSigned verifies a request that is a JWT, with the keys that the statement names.
func (h *Handler) checkSigned(ctx context.Context, v *vouched, asked *sent) error {
	if asked.signed == nil {
		if v.Rule.JWTBody {
			return oauth.Errorf(oauth.InvalidRequest, "registrations with this statement are JWTs: the Content-Type must be application/jwt").
				WithStatus(http.StatusUnsupportedMediaType)
		}
		return nil
	}
	address := v.Text(statement.KeysMember(v.Rule))
	if address == "" {
		return oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement: it does not say where the keys are that signed the registration request")
	}
	caller := &client.Client{
		Metadata: client.Metadata{JWKSURI: address}, Organisation: v.OrganisationName(), Directory: v.Directory.Name,
		RevokedKeys: v.Text(v.Rule.RevokedKeysMember),
	}
	err := h.config.Keys.Verify(ctx, caller, asked.signed.Token)
	if busy := endpoint.KeysBusy(err); busy != nil {
		return busy
	}
	if remote, ok := errors.AsType[*jose.RemoteError](err); ok {
		return oauth.Errorf(oauth.InvalidClientMetadata, "the registration request: the keys at %s cannot be read: %v", address, remote).Because(err)
	}
	if err != nil {
		return oauth.Errorf(oauth.InvalidClientMetadata, "the registration request: %v", err).Because(err)
	}
	audiences := slices.Concat([]string{h.config.Addresses.Issuer}, v.Directory.Audiences)
	full, _ := profile.Lookup(v.Profile)
	if err := asked.signed.Check(v.Software(), audiences, h.config.Now(), full.MaxAhead); err != nil {
		return err
	}
	v.oneTimes = append(v.oneTimes, asked.signed.OneTime())
	return nil
}

// bind holds metadata to the statement, and fills in what the profile leaves no choice of.
func (h *Handler) bind(v *vouched, members map[string]json.RawMessage) []error {
	problems := v.Bind(v.Rule, members, h.settings.Scopes)
	if name := v.Directory.TrustStore; name != "" && string(members["token_endpoint_auth_method"]) == `"`+profile.TLSClientAuth+`"` {
		members["tls_client_auth_trust_store"] = json.RawMessage(`"` + name + `"`)
	}
	_, byProof := members["dpop_bound_access_tokens"]
	_, byCertificate := members["tls_client_certificate_bound_access_tokens"]
	full, _ := profile.Lookup(v.Profile)
	if !byProof && !byCertificate && slices.Equal(full.SenderConstraints, []profile.SenderConstraint{profile.ByCertificate}) {
		members["tls_client_certificate_bound_access_tokens"] = json.RawMessage("true")
	}
	encrypt(full, members)
	var subject string
	if raw, ok := members["tls_client_auth_subject_dn"]; ok && strictjson.Decode(raw, &subject) == nil {
		if name, err := dn.Parse(subject); err == nil { // otherwise it is reported as it is
			if err := v.BindName(v.Rule, name); err != nil {
				problems = append(problems, problem("tls_client_auth_subject_dn", "%v", err))
			}
		}
	}
	return problems
}

// encrypt fills in how ID tokens are encrypted, for a client that says nothing of it and has to have them encrypted (Open Finance
// Brasil DCR 1.0, clause 7.1.1-1).
func encrypt(full profile.Profile, members map[string]json.RawMessage) {
	_, chosen := members["id_token_encrypted_response_alg"]
	front := strings.Contains(string(members["response_types"]), "id_token")
	needed := full.EncryptIDToken == profile.EncryptIDTokenAlways || full.EncryptIDToken == profile.EncryptIDTokenFront && front
	if chosen || !needed || len(full.KeyEncryption) == 0 || len(full.ContentEncryption) == 0 {
		return
	}
	members["id_token_encrypted_response_alg"] = json.RawMessage(`"` + full.KeyEncryption[0] + `"`)
	members["id_token_encrypted_response_enc"] = json.RawMessage(`"` + full.ContentEncryption[0] + `"`)
}

// isOrganisation demands the certificate of the organisation whose software the client is.
func (h *Handler) isOrganisation(r *http.Request, record store.Client, at endpoint.At) error {
	full, ok := profile.Lookup(record.Profile)
	if !ok {
		return errors.New("fapi: the client's profile is not known")
	}
	if record.Directory.Subject == "" && !full.Registration.MTLS {
		return nil
	}
	if !at.MTLS {
		return errors.New("fapi: the request came in on the listener without certificates")
	}
	presented, err := h.directoryCertificate(r, h.config.Directories.Named(record.Directory.Directory))
	if err != nil {
		return err
	}
	if presented == nil {
		return errors.New("fapi: the connection has no client certificate")
	}
	if len(full.Registration.CertificateFields) == 0 {
		return sameOrganisation(record.Directory.Subject, presented)
	}
	var metadata client.Metadata
	if err := strictjson.Decode(record.Metadata, &metadata); err != nil {
		return err
	}
	registered, err := statement.Parse(metadata.SoftwareStatement, profile.Algorithms())
	if err != nil {
		return err
	}
	return registered.BindCertificate(full.Registration, presented.Leaf)
}

// sameOrganisation compares the subject of a certificate with the one that a client registered with: who it is, not what else
// differs from one certificate to the next.
func sameOrganisation(registered string, presented *mtls.Presented) error {
	subject, err := subjectText(presented.Leaf)
	if err != nil {
		return err
	}
	if client.OrganisationOf("", CertificateOrganisation+subject) != client.OrganisationOf("", CertificateOrganisation+registered) {
		return errors.New("fapi: the certificate is of another organisation")
	}
	return nil
}
