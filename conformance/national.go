package main

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"io"
	"slices"
	"strings"

	"countersign/conformance/directory"
	"countersign/conformance/keys"
)

// nationalScope is what clients of a national profile ask for. The suite completes it with the consent.
func (p plan) nationalScope() string {
	scope := p.ecosystem().scope
	switch {
	case p.scopes != "":
		scope = p.scopes
	case p.profileOf() == auConnectID && p.backchannel(): // the suite wants a second one, to change their order
		scope = "profile"
	case p.statements(): // the suite registers no more than what it asks users for
		scope += " consents"
	}
	if p.openID() {
		scope = strings.TrimSpace("openid " + scope)
	}
	return scope
}

// Identifiers in the subjects of certificates of software (Open Finance Brasil, certificate standard §5.2.1).
var (
	oidUID                    = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	oidBusinessCategory       = asn1.ObjectIdentifier{2, 5, 4, 15}
	oidJurisdictionCountry    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3}
	oidOrganizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}
)

// subject is that of a client's certificate.
func (p plan) subject(c testClient) pkix.Name {
	prefix := p.ecosystem().organisation
	if prefix == "" {
		return pkix.Name{CommonName: c.id}
	}
	return pkix.Name{
		Country: []string{"BR"}, Province: []string{"SP"}, Locality: []string{"SAO PAULO"}, Organization: []string{"Conformance"},
		CommonName: c.id + ".example", SerialNumber: "43142666000197",
		ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: oidBusinessCategory, Value: "Business Entity"}, {Type: oidJurisdictionCountry, Value: "BR"},
			{Type: oidOrganizationIdentifier, Value: prefix + "-" + c.organisation}, {Type: oidUID, Value: c.software},
		},
	}
}

// newUUID makes a random UUID (RFC 9562 §5.4).
func newUUID(random io.Reader) string {
	u := make([]byte, 16)
	if _, err := io.ReadFull(random, u); err != nil {
		panic(err) // there is no run without randomness
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	h := hex.EncodeToString(u)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// registerNational completes a client's metadata.
func (p plan) registerNational(m map[string]any, s server, c testClient) {
	scopes := strings.Fields(p.nationalScope() + " " + p.ecosystem().further)
	if p.openID() && !p.backchannel() && p.profileOf() != auConnectID { // the suite asks for single claims of these
		scopes = append(scopes, "profile", "email", "phone", "address")
	}
	slices.Sort(scopes)
	m["scope"] = strings.Join(slices.Compact(scopes), " ")
	if _, ok := m["jwks"]; ok { // directories publish keys, and some allow no others
		delete(m, "jwks")
		m["jwks_uri"] = s.bank.ClientKeys(c.id)
	}
	if grants, ok := m["grant_types"].([]string); ok && p.consents() {
		m["grant_types"] = append(grants, "client_credentials")
	}
	if p.encryptsIDTokens() {
		m["id_token_encrypted_response_alg"], m["id_token_encrypted_response_enc"] = "RSA-OAEP", "A256GCM"
	}
	m["id_token_signed_response_alg"] = "PS256"
	if p.profileOf() == auConnectID {
		m["subject_type"] = "pairwise"
		if p.backchannel() {
			m["authorization_details_types"] = []string{"3ds:payment_authorisation"}
		}
	}
}

// nationalResource says where the APIs are.
func (p plan) nationalResource(s server, resource protectedResource) protectedResource {
	if s.bank == nil {
		return resource
	}
	at, ok := s.bank.Addresses(p.profileOf(), p.paying(), s.consents)
	if !ok {
		return resource // ConnectID's is UserInfo, which the suite finds
	}
	resource.URL = at.Resource
	switch p.profileOf() {
	case ukOpenBanking: // the suite adds the last part
		resource.ConsentRequests = strings.TrimSuffix(at.Consents, "account-access-consents")
		resource.Accounts = strings.TrimSuffix(at.Resource, "accounts")
		resource.URL = resource.Accounts
	case ksaFAPI1, ksaFAPI2:
		resource.ConsentRequests = at.Consents
	case brazil, brazilInsurance:
		resource.Consents, resource.CPF, resource.Organisation = at.Consents, s.cpf, s.bankOrganisation
		if p.paying() {
			resource.PaymentConsent, resource.Payment = payment()
		}
	case auCDR:
		resource.Version = "1"
	}
	return resource
}

// configureNational completes a plan's configuration.
func (p plan) configureNational(made *configuration, s server, clients []testClient) {
	if members := p.ecosystem().metadata; len(members) > 0 {
		made.Server["allow_unexpected_metadata_fields"] = members
	}
	switch p.profileOf() {
	case brazil, brazilInsurance:
		made.Consent = map[string]string{"productType": "personal"}
		for n, client := range []*clientConfiguration{&made.Client, &made.Client2} {
			client.OrganisationKeys = map[string][]keys.JWK{"keys": {clients[n].organisationKey}}
		}
		if names, ok := directory.Brazil()[p.profileOf()]; ok {
			made.Directory = map[string]string{
				"keystore": "https://" + names.Keys + "/", "apibase": "https://" + names.API + "/",
				"discoveryUrl": names.DiscoveryURL(), "client_id": clients[0].software,
			}
		}
	}
}

// payment is an order of a payment and the payment (Open Finance Brasil, payments API 4.0.0). The suite sets the date.
func payment() (consent, paid map[string]any) {
	account := map[string]any{"ispb": "12345678", "issuer": "1774", "number": "1234567890", "accountType": "CACC"}
	const amount, currency = "100.12", "BRL"
	consent = map[string]any{"data": map[string]any{
		"loggedUser": map[string]any{"document": map[string]any{"identification": "76109277673", "rel": "CPF"}},
		"creditor":   map[string]any{"personType": "PESSOA_NATURAL", "cpfCnpj": "48847377765", "name": "Marco Antonio de Brito"},
		"payment": map[string]any{
			"type": "PIX", "date": "2021-01-01", "currency": currency, "amount": amount,
			"details": map[string]any{"localInstrument": "DICT", "proxy": "12345678901", "creditorAccount": account},
		},
		"debtorAccount": map[string]any{"ispb": "12345678", "issuer": "6272", "number": "94088392", "accountType": "CACC"},
	}}
	paid = map[string]any{"data": []any{map[string]any{
		"localInstrument": "DICT", "payment": map[string]any{"amount": amount, "currency": currency}, "creditorAccount": account,
		"cnpjInitiator": "60545350000165", "remittanceInformation": "Pagamento da nota XPTO035-002.", "proxy": "12345678901",
	}}}
	return consent, paid
}
