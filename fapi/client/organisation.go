package client

import (
	"strings"

	"countersign/mtls/dn"
)

// CertificateOrganisation begins the name of an organisation that registered with a certificate; the subject of the
// certificate follows, as an RFC 4514 string. The holder of an initial access token must not have such a name.
const CertificateOrganisation = "x509:"

// DirectoryOrganisation begins the name of an organisation that registered with a software statement; the name of the directory
// follows, a colon, and the identifier of the participant there. The holder of an initial access token must not have such a
// name.
const DirectoryOrganisation = "directory:"

// The types of attributes that name an organisation (RFC 4519 §2.19; X.520, as ETSI EN 319 412-1 §5.1.4 uses it).
const (
	organizationName       = "2.5.4.10"
	organizationIdentifier = "2.5.4.97"
	countryName            = "2.5.4.6"
)

// OrganisationOf returns a key of who answers for a client, from who registered it: the holder of the initial access
// token, the participant of a directory, or the organisation in the subject of the certificate, whose other attributes may differ from one certificate to
// the next. A client that an operator registered answers for itself.
func OrganisationOf(id, registeredBy string) string {
	if registeredBy == "" {
		return "client " + id
	}
	if strings.HasPrefix(registeredBy, DirectoryOrganisation) {
		return registeredBy
	}
	subject, certified := strings.CutPrefix(registeredBy, CertificateOrganisation)
	if !certified {
		return "holder " + registeredBy
	}
	name, err := dn.Parse(subject)
	if err != nil {
		return registeredBy
	}
	if identifier := name.Value(organizationIdentifier); identifier != "" {
		return "organisation " + identifier
	}
	if organisation := name.Value(organizationName); organisation != "" {
		return "organisation " + name.Value(countryName) + " " + organisation
	}
	return registeredBy
}
