package directory

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// world is a directory, and how to reach it by its names.
type world struct {
	*testing.T
	directory *Directory
	names     Names
	address   string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // for a free port
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	names := Brazil()["openbanking_brazil"]
	opened, err := Start(address, names, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Stop)
	return &world{t, opened, names, address}
}

// client shows the certificate of a software, or none.
func (w *world) client(software string) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.directory.Authority())
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, w.address)
		},
	}
	w.Cleanup(transport.CloseIdleConnections)
	if software != "" {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			w.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: software},
		}}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			w.Fatal(err)
		}
		transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	}
	return &http.Client{Transport: transport}
}

func (w *world) get(client *http.Client, address string, headers ...string) (int, string) {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), "GET", address, nil)
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// TestStatement: a software gets its statement, signed with a key that the directory publishes, and nobody else gets it.
func TestStatement(t *testing.T) {
	w := newWorld(t)
	software := Software{ID: "software-1", Organisation: "organisation-1", Name: "An application", RedirectURIs: []string{"https://client.example/cb"}, Roles: []string{"DADOS"}, Keys: []any{map[string]string{"kid": "k1"}}}
	w.directory.Add(software)
	own := w.client("software-1")
	response, err := own.PostForm("https://"+w.names.Authorization+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"directory:software"}})
	if err != nil {
		t.Fatal(err)
	}
	var issued struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
	}
	err = json.NewDecoder(response.Body).Decode(&issued)
	response.Body.Close()
	if err != nil || issued.Token == "" || issued.Type != "Bearer" {
		t.Fatalf("%+v, %v", issued, err)
	}
	at := "https://" + w.names.API + "/organisations/organisation-1/softwarestatements/software-1/assertion"
	for name, test := range map[string]struct {
		client *http.Client
		at     string
		token  string
		status int
	}{
		"accepts its own":              {own, at, issued.Token, 200},
		"refuses no token":             {own, at, "", 401},
		"refuses no certificate":       {w.client(""), at, issued.Token, 401},
		"refuses that of another":      {w.client("software-2"), at, issued.Token, 403},
		"refuses another organisation": {own, strings.Replace(at, "organisation-1", "organisation-2", 1), issued.Token, 403},
		"refuses an unknown software":  {own, strings.Replace(at, "software-1", "software-2", 1), issued.Token, 403},
	} {
		headers := []string{}
		if test.token != "" {
			headers = []string{"Authorization", "Bearer " + test.token}
		}
		if status, body := w.get(test.client, test.at, headers...); status != test.status {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	_, signed := w.get(own, at, "Authorization", "Bearer "+issued.Token)
	_, published := w.get(own, "https://"+w.names.Keys+"/"+w.names.SetFile)
	keys, err := jose.ParseKeySet([]byte(published))
	if err != nil {
		t.Fatal(err)
	}
	statement, err := jose.Parse(signed, jose.ParseOptions{Algorithms: []string{jose.PS256}})
	if err == nil {
		err = statement.VerifyWith(keys)
	}
	var claims map[string]any
	if err == nil {
		err = statement.Claims(&claims)
	}
	if err != nil || claims["software_id"] != "software-1" || claims["org_id"] != "organisation-1" || claims["software_jwks_uri"] != w.directory.SoftwareKeys(software) || claims["iss"] != w.names.Issuer {
		t.Errorf("%v, %v", claims, err)
	}
}

// TestKeys: key sets of software and of organisations are published, and no others.
func TestKeys(t *testing.T) {
	w := newWorld(t)
	w.directory.Add(Software{ID: "s", Organisation: "o", Keys: []any{map[string]string{"kid": "of the software"}}, OrganisationKeys: []any{map[string]string{"kid": "of the organisation"}}})
	w.directory.AddOrganisation("bank", []any{map[string]string{"kid": "of the bank"}})
	for path, test := range map[string]struct {
		status int
		says   string
	}{
		"/o/s/application.jwks": {200, "of the software"}, "/o/application.jwks": {200, "of the organisation"}, "/bank/application.jwks": {200, "of the bank"},
		"/x/application.jwks": {404, ""}, "/o/x/application.jwks": {404, ""}, "/x.jwks": {404, ""},
	} {
		if status, body := w.get(w.client(""), "https://"+w.names.Keys+path); status != test.status || !strings.Contains(body, test.says) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := w.get(w.client(""), w.names.DiscoveryURL()); status != 200 || !strings.Contains(body, "https://"+w.names.Authorization+"/token") {
		t.Errorf("%d %s", status, body)
	}
}
