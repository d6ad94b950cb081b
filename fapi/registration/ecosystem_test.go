package registration_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"countersign/examples/directory/standin"
	"countersign/fapi/directories"
	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/internal/outbound"
	"countersign/mtls"
)

// ecosystem is a world with a directory of participants, one participant and its software.
type ecosystem struct {
	*fapitest.World
	directory *standin.Directory
	// software is that of the participant, and key the one that it signs with.
	software standin.Software
	key      jose.PrivateKey
	// applicant is the participant with its certificate.
	applicant *fapitest.Client
}

const (
	participant = "67c57882-043b-11ec-9a03-0242ac130003"
	application = "25556d5a-b9dd-4e27-aa1a-cce732fe74de"
	callback    = "https://client.example/callback"
)

// outage and refresh are those of the directory.
const (
	outage  = time.Hour
	refresh = 2 * time.Minute
)

// newEcosystem starts a world whose clients are of a preset, with the directory that it stands for; options change it.
func newEcosystem(t *testing.T, kind, profile string, options ...fapitest.Option) *ecosystem {
	t.Helper()
	return newEcosystemOn(t, func(options ...fapitest.Option) *fapitest.World { return fapitest.NewWorld(t, options...) }, kind, profile, options...)
}

// newEcosystemOn is newEcosystem for a world of another kind.
func newEcosystemOn(
	t *testing.T, newWorld func(...fapitest.Option) *fapitest.World, kind, profile string, options ...fapitest.Option,
) *ecosystem {
	t.Helper()
	e := &ecosystem{key: fapitest.NewKey(t, jose.PS256)}
	e.World = newWorld(append([]fapitest.Option{fapitest.WithRegistration, func(c *fapitest.Config) {
		var err error
		if e.directory, err = standin.New(kind, "Example directory", c.Now); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(e.directory)
		certificate, roots := fapitest.ServerCertificate(t)
		server.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
		server.StartTLS()
		t.Cleanup(server.Close)
		e.directory.Address = server.URL
		c.OutboundRoots, c.Profiles, c.Registration.Scopes = roots, []string{profile}, nil
		c.Registration.CertificateQuota = 0
		c.Directories = []directories.Settings{{
			Name: "example", Issuer: "Example directory", KeysAddress: server.URL + "/jwks", Kind: kind, ParticipantsAddress: server.URL,
			Profile: profile, Quota: 2, Refresh: refresh, Outage: outage, Audiences: []string{"bank-1"},
			Policy: outbound.Policy{AllowLoopback: true, Roots: roots, Now: c.Now},
		}}
	}}, options...)...)
	e.software = standin.Software{
		ID: application, Organisation: participant, Name: "Example accounting", Roles: []string{"DADOS", "AISP"},
		RedirectURIs: []string{callback, "https://client.example/other"}, Scope: "openid profile bank:accounts.basic:read cdr:registration",
		JWKS: json.RawMessage(`{"keys":[` + string(e.key.PublicJWK()) + `]}`),
	}
	e.directory.SetOrganisation(participant, "Active")
	e.directory.SetSoftware(e.software)
	e.applicant = e.Applicant(e.certificate(application, "OFBBR-"+participant))
	e.Server.RefreshDirectories(t.Context())
	return e
}

// certificate issues one with the subject that Open Finance Brasil has certificates have.
func (e *ecosystem) certificate(software, organisation string) *tls.Certificate {
	e.T.Helper()
	return e.certificateOf(e.ClientCA, software, organisation)
}

// certificateOf issues it by another authority.
func (e *ecosystem) certificateOf(authority fapitest.Authority, software, organisation string) *tls.Certificate {
	e.T.Helper()
	issued := authority.IssueAs(e.T, e.Clock.Now(), func(c *x509.Certificate) {
		c.Subject = pkix.Name{
			Country: []string{"BR"}, Organization: []string{"Example " + organisation}, CommonName: "client.example",
			ExtraNames: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: software},
				{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: organisation},
			},
		}
	})
	return &issued
}

// statement signs a new statement about the software.
func (e *ecosystem) statement(change func(map[string]any)) string {
	e.T.Helper()
	signed, err := e.directory.Statement(e.software.ID, change)
	if err != nil {
		e.T.Fatal(err)
	}
	return signed
}

// brazilian is what the conformance suite sends to register a client, with a new statement.
func (e *ecosystem) brazilian(change func(map[string]any)) map[string]any {
	body := map[string]any{
		"grant_types": []string{"authorization_code", "implicit", "refresh_token", "client_credentials"}, "response_types": []string{"code id_token"},
		"token_endpoint_auth_method": "private_key_jwt", "redirect_uris": []string{callback},
		"jwks_uri": e.directory.Address + "/software/" + application + "/jwks", "software_statement": e.statement(nil),
	}
	if change != nil {
		change(body)
	}
	return body
}

// signedRequest is a registration request that is a JWT of the software's (UK Open Banking, Consumer Data Right).
func (e *ecosystem) signedRequest(change func(map[string]any)) string {
	e.T.Helper()
	now, response := e.Clock.Now(), "code id_token"
	if e.directory.Kind == standin.CDR {
		response = "code"
	}
	claims := map[string]any{
		"iss": application, "aud": e.Issuer, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": fapitest.RandomString(),
		"grant_types":                []string{"authorization_code", "refresh_token", "client_credentials"},
		"token_endpoint_auth_method": "private_key_jwt", "response_types": []string{response}, "application_type": "web",
		"id_token_signed_response_alg": "PS256", "request_object_signing_alg": "PS256", "token_endpoint_auth_signing_alg": "PS256",
		"software_statement": e.statement(nil),
	}
	if change != nil {
		change(claims)
	}
	return e.applicant.Sign(e.key, "JWT", claims)
}

// as sends a body with a media type.
func as(kind string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Content-Type", kind) }
}

// register sends a request that is a JWT.
func (e *ecosystem) register(c *fapitest.Client, signed string) fapitest.Reply {
	e.T.Helper()
	return c.SendJSON(http.MethodPost, c.Base()+"/register", "", signed, as("application/jwt"))
}

// registered is the client application behind a registration.
func (e *ecosystem) registered(r fapitest.Reply) *fapitest.Client {
	e.T.Helper()
	if r.Status != http.StatusCreated {
		e.T.Fatalf("register: %d %s", r.Status, r.Raw)
	}
	c := &fapitest.Client{
		World: e.World, ID: r.Text("client_id"), RedirectURI: callback, Scope: r.Text("scope"), Key: e.key,
		ProofKey: e.key, Assertion: true, Certificate: e.applicant.Certificate,
	}
	c.HTTP = e.Transport(c)
	return c
}

// clients counts all that are stored.
func (e *ecosystem) clients() int {
	e.T.Helper()
	all, err := e.Store.Clients(e.T.Context())
	if err != nil {
		e.T.Fatal(err)
	}
	return len(all)
}

// refuses sends a request that must be refused with a code, and demands that nothing is kept of it.
func (e *ecosystem) refuses(t *testing.T, c *fapitest.Client, body any, status int, code string) {
	t.Helper()
	before := e.clients()
	fapitest.WantError(t, c.RegisterSelf("", body), status, code)
	if after := e.clients(); after != before {
		t.Errorf("%d clients were kept", after-before)
	}
}

// with sets members of a request.
func with(members map[string]any) func(map[string]any) {
	return func(body map[string]any) { maps.Copy(body, members) }
}
