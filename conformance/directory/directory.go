// Package directory is a stand-in for the participant directories of Brazil, on the names that the suite's plans want: it gives
// software statements to whoever shows the certificate of the software, and publishes the keys of software and organisations.
package directory

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"countersign/internal/jose"
)

// Names are the addresses of a directory.
type Names struct {
	// Authorization issues the access tokens with which software gets its statement, API gives statements, Keys has the key
	// sets. All are names of hosts.
	Authorization, API, Keys string
	// SetFile is the name of the directory's own key set at Keys, Issuer the iss of its statements.
	SetFile, Issuer string
}

// Brazil are the sandboxes of Open Finance and of Open Insurance in Brazil, by the suite's names of the profiles.
func Brazil() map[string]Names {
	sandbox := func(domain, file, issuer string) Names {
		return Names{"auth.sandbox.directory." + domain, "matls-api.sandbox.directory." + domain, "keystore.sandbox.directory." + domain, file, issuer}
	}
	return map[string]Names{
		"openbanking_brazil":   sandbox("openbankingbrasil.org.br", "openbanking.jwks", "Open Banking Open Banking Brasil sandbox SSA issuer"),
		"openinsurance_brazil": sandbox("opinbrasil.com.br", "openinsurance.jwks", "Open Insurance Open Insurance Brasil sandbox SSA issuer"),
	}
}

// DiscoveryURL is the address of the metadata of the directory's authorization server.
func (n Names) DiscoveryURL() string {
	return "https://" + n.Authorization + "/.well-known/openid-configuration"
}

// KeysURL is the address of the directory's own key set.
func (n Names) KeysURL() string { return "https://" + n.Keys + "/" + n.SetFile }

// Software is an application in the directory.
type Software struct {
	ID, Organisation, Name string
	RedirectURIs           []string
	// Roles are those of the organisation, such as DADOS.
	Roles []string
	// Keys are the public keys of the software and OrganisationKeys those of its organisation, JWKs.
	Keys, OrganisationKeys []any
}

// Directory serves. Make one with [Start].
type Directory struct {
	names  Names
	key    jose.PrivateKey
	now    func() time.Time
	server *http.Server
	ca     []byte

	mu       sync.Mutex
	software map[string]Software
	sets     map[string][]any
}

// Start serves a directory on an address until [Directory.Stop].
func Start(listen string, names Names, now func() time.Time) (*Directory, error) {
	key, err := jose.NewPrivateKey(jose.PS256)
	if err != nil {
		return nil, err
	}
	d := &Directory{names: names, key: key, now: now, software: map[string]Software{}, sets: map[string][]any{}}
	certificate, err := d.certify()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", d.metadata)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", d.metadata)
	mux.HandleFunc("POST /token", d.token)
	mux.HandleFunc("GET /organisations/{organisation}/softwarestatements/{software}/assertion", d.statement)
	mux.HandleFunc("GET /{file}", d.own)
	mux.HandleFunc("GET /{organisation}/application.jwks", d.keys)
	mux.HandleFunc("GET /{organisation}/{software}/application.jwks", d.keys)
	d.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	go func() { _ = d.server.Serve(tls.NewListener(listener, config)) }() // it ends with Stop
	return d, nil
}

// Stop ends the directory.
func (d *Directory) Stop() { _ = d.server.Close() }

// Authority is the certificate, PEM, of the authority that vouches for the directory's names.
func (d *Directory) Authority() []byte { return d.ca }

// SoftwareKeys is the address of a software's key set.
func (d *Directory) SoftwareKeys(s Software) string {
	return "https://" + d.names.Keys + "/" + s.Organisation + "/" + s.ID + "/application.jwks"
}

// Add puts an application into the directory, or changes it.
func (d *Directory) Add(s Software) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.software[s.ID] = s
	d.sets[s.Organisation+"/"+s.ID] = s.Keys
	if s.OrganisationKeys != nil {
		d.sets[s.Organisation] = s.OrganisationKeys
	}
}

// AddOrganisation publishes the key set of an organisation without software, such as a bank.
func (d *Directory) AddOrganisation(id string, keys []any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sets[id] = keys
}

func (d *Directory) metadata(w http.ResponseWriter, _ *http.Request) {
	issuer := "https://" + d.names.Authorization
	write(w, http.StatusOK, map[string]any{
		"issuer": issuer, "token_endpoint": issuer + "/token", "jwks_uri": d.names.KeysURL(),
		"authorization_endpoint": issuer + "/auth", "response_types_supported": []string{"code"}, "grant_types_supported": []string{"client_credentials"},
		"token_endpoint_auth_methods_supported": []string{"tls_client_auth"}, "mtls_endpoint_aliases": map[string]string{"token_endpoint": issuer + "/token"},
	})
}

// token issues an access token to whoever shows a certificate; the certificate is looked at again with the token.
func (d *Directory) token(w http.ResponseWriter, r *http.Request) {
	if len(r.TLS.PeerCertificates) == 0 || r.PostFormValue("grant_type") != "client_credentials" {
		write(w, http.StatusBadRequest, map[string]any{"error": "invalid_client"})
		return
	}
	token, kind := make([]byte, 32), "Bearer"
	_, _ = rand.Read(token) // it ends the program rather than fail
	if r.Header.Get("DPoP") != "" {
		kind = "DPoP"
	}
	write(w, http.StatusOK, map[string]any{"access_token": fmt.Sprintf("%x", token), "token_type": kind, "expires_in": 600, "scope": r.PostFormValue("scope")})
}

// statement signs a software statement, for the software that the certificate names.
func (d *Directory) statement(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	s, ok := d.software[r.PathValue("software")]
	d.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") == "" || len(r.TLS.PeerCertificates) == 0:
		write(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	case !ok || s.Organisation != r.PathValue("organisation") || !shows(r.TLS.PeerCertificates[0], s):
		write(w, http.StatusForbidden, map[string]any{"error": "access_denied"})
		return
	}
	signed, err := jose.Sign(r.Context(), d.key.SigningKey(), "JWT", d.claims(s))
	if err != nil {
		write(w, http.StatusInternalServerError, map[string]any{"error": "server_error"})
		return
	}
	w.Header().Set("Content-Type", "application/jwt;charset=UTF-8")
	_, _ = io.WriteString(w, signed) // who went away needs none
}

// claims are those of a statement (Open Finance Brasil, Dynamic Client Registration 1.0 §3.1.1).
func (d *Directory) claims(s Software) map[string]any {
	at := "https://" + d.names.Keys + "/" + s.Organisation + "/" + s.ID
	var roles []map[string]string
	for _, role := range s.Roles {
		roles = append(roles, map[string]string{"role": role, "authorisation_domain": "Open Banking", "status": "Active"})
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it ends the program rather than fail
	return map[string]any{
		"iss": d.names.Issuer, "iat": d.now().Unix(), "jti": fmt.Sprintf("%x", id), "software_mode": "Live", "software_environment": "sandbox",
		"software_id": s.ID, "software_client_id": s.ID, "software_client_name": s.Name, "software_client_description": s.Name, "software_version": "1.1",
		"software_redirect_uris": s.RedirectURIs, "software_roles": s.Roles, "software_statement_roles": roles, "software_status": "Active",
		"software_client_uri": "https://client.example/", "software_logo_uri": "https://client.example/logo.svg",
		"software_policy_uri": "https://client.example/policy", "software_tos_uri": "https://client.example/tos",
		"software_jwks_uri": d.SoftwareKeys(s), "software_jwks_transport_uri": at + "/transport.jwks",
		"org_id": s.Organisation, "org_name": "Conformance", "org_number": "43142666000197", "org_status": "Active",
		"org_jwks_uri": "https://" + d.names.Keys + "/" + s.Organisation + "/application.jwks",
	}
}

// shows reports whether a certificate is of a software: its UID is the software's identifier.
func shows(certificate *x509.Certificate, s Software) bool {
	for _, name := range certificate.Subject.Names {
		if name.Type.String() == "0.9.2342.19200300.100.1.1" && name.Value == s.ID {
			return true
		}
	}
	return false
}

func (d *Directory) own(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("file") != d.names.SetFile {
		http.NotFound(w, r)
		return
	}
	write(w, http.StatusOK, map[string]any{"keys": []json.RawMessage{d.key.PublicJWK()}})
}

func (d *Directory) keys(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSuffix(r.PathValue("organisation")+"/"+r.PathValue("software"), "/")
	d.mu.Lock()
	set, ok := d.sets[name]
	d.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	write(w, http.StatusOK, map[string]any{"keys": set})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who went away needs none
}

// certify makes an authority that lives as long as this process and a certificate of the directory's names.
func (d *Directory) certify() (tls.Certificate, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return tls.Certificate{}, err
	}
	begin := d.now().Add(-time.Minute)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Stand-in directory"}, NotBefore: begin, NotAfter: begin.Add(7 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	d.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root})
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Stand-in directory"}, NotBefore: begin, NotAfter: authority.NotAfter,
		DNSNames: []string{d.names.Authorization, d.names.API, d.names.Keys}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
