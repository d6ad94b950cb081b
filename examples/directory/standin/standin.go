// Package standin is a directory of participants to try registration with (docs/directory.md): it signs software statements,
// publishes its keys and those of the software, lists who takes part in the way of the United Kingdom's, Brazil's or Australia's
// directory, suspends participants and software, rotates its key, and goes away. It trusts everybody who reaches it, so it
// belongs on the machine of a developer. It needs nothing but the standard library.
package standin

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The kinds of directories.
const (
	UK     = "uk"
	Brazil = "brazil"
	CDR    = "cdr"
)

// Software is an application of a participant.
type Software struct {
	ID           string   `json:"id"`
	Organisation string   `json:"organisation"`
	Name         string   `json:"name"`
	RedirectURIs []string `json:"redirect_uris"`
	// Roles are what the participant may do: AISP, PISP; DADOS, PAGTO. Scope is what Australia's register says in their place.
	Roles []string `json:"roles"`
	Scope string   `json:"scope"`
	// JWKS are its public keys, which the directory publishes.
	JWKS json.RawMessage `json:"jwks"`
	// Revoked are those that were revoked, which the United Kingdom's directory publishes too.
	Revoked json.RawMessage `json:"revoked"`
	// Status is Active, or Inactive or Removed.
	Status string `json:"status"`
}

// Directory is one. Make it with [New]; it is an [http.Handler].
type Directory struct {
	// Kind, Issuer and Address are set before it is used: Address is where it is reached, as others see it.
	Kind, Issuer, Address string
	// Now is the clock.
	Now func() time.Time

	mutex         sync.Mutex
	key           *rsa.PrivateKey
	keyID         string
	organisations map[string]string // status by identifier
	roles         map[string]map[string]string
	software      map[string]*Software
	away          bool
	requests      map[string]int
	serial        int
}

// New makes a directory with a key and no participants.
func New(kind, issuer string, now func() time.Time) (*Directory, error) {
	if !slices.Contains([]string{UK, Brazil, CDR}, kind) {
		return nil, fmt.Errorf("there is no kind %q of directories; there are %s, %s and %s", kind, UK, Brazil, CDR)
	}
	d := &Directory{
		Kind: kind, Issuer: issuer, Now: now, organisations: map[string]string{}, roles: map[string]map[string]string{}, software: map[string]*Software{}, requests: map[string]int{},
	}
	return d, d.Rotate()
}

// Rotate replaces the key.
func (d *Directory) Rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.serial++
	d.key, d.keyID = key, fmt.Sprint("directory-", d.serial)
	return nil
}

// SetOrganisation adds a participant, or changes its status; an empty status removes it from the list.
func (d *Directory) SetOrganisation(id, status string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if status == "" {
		delete(d.organisations, id)
		return
	}
	d.organisations[id] = status
}

// SetRoles sets the roles of a participant, each with its status, as Brazil's list of participants has them.
func (d *Directory) SetRoles(organisation string, statuses map[string]string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.roles[organisation] = statuses
}

// SetSoftware adds software, or replaces it.
func (d *Directory) SetSoftware(s Software) {
	if s.Status == "" {
		s.Status = "Active"
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.software[s.ID] = &s
}

// SetSoftwareStatus changes the status of software.
func (d *Directory) SetSoftwareStatus(id, status string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if s := d.software[id]; s != nil {
		s.Status = status
	}
}

// SetAway has all requests answered with 503, or with what they ask for again.
func (d *Directory) SetAway(away bool) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.away = away
}

// Requests counts the requests for a path.
func (d *Directory) Requests(path string) int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.requests[path]
}

// Statement signs a statement about software; change, if it is not nil, alters it first.
func (d *Directory) Statement(softwareID string, change func(map[string]any)) (string, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	s := d.software[softwareID]
	if s == nil {
		return "", fmt.Errorf("there is no software %s", softwareID)
	}
	claims := d.claims(s)
	if change != nil {
		change(claims)
	}
	return sign(d.key, d.keyID, claims)
}

// claims are those of a statement, in the words of the ecosystem.
func (d *Directory) claims(s *Software) map[string]any {
	now, id := d.Now(), make([]byte, 16)
	rand.Read(id) // never fails
	jwks := d.Address + "/software/" + s.ID + "/jwks"
	claims := map[string]any{
		"iss": d.Issuer, "iat": now.Unix(), "jti": base64.RawURLEncoding.EncodeToString(id), "org_id": s.Organisation, "org_name": "Example " + s.Organisation,
		"software_id": s.ID, "software_roles": s.Roles,
	}
	if d.Kind == CDR {
		maps.Copy(claims, map[string]any{
			"exp": now.Add(10 * time.Minute).Unix(), "legal_entity_id": s.Organisation, "legal_entity_name": "Example " + s.Organisation,
			"client_name": s.Name, "client_description": s.Name, "client_uri": "https://client.example", "redirect_uris": s.RedirectURIs,
			"jwks_uri": jwks, "logo_uri": "https://client.example/logo.png", "revocation_uri": "https://client.example/revocation",
			"recipient_base_uri": "https://client.example", "software_roles": "data-recipient-software-product", "scope": s.Scope,
		})
		return claims
	}
	maps.Copy(claims, map[string]any{
		"org_status": d.organisations[s.Organisation], "software_client_name": s.Name, "software_client_uri": "https://client.example",
		"software_redirect_uris": s.RedirectURIs, "software_version": "1.0", "software_mode": "Live", "software_environment": "sandbox",
	})
	if d.Kind == UK {
		claims["software_jwks_endpoint"], claims["software_jwks_revoked_endpoint"] = jwks, strings.TrimSuffix(jwks, "jwks")+"revoked"
		return claims
	}
	var roles []map[string]string
	for _, role := range s.Roles {
		roles = append(roles, map[string]string{"role": role, "authorisation_domain": "Open Banking", "status": "Active"})
	}
	claims["software_jwks_uri"], claims["software_statement_roles"] = jwks, roles
	return claims
}

// sign makes a JWT (RFC 7515) with PS256 (RFC 7518 §3.5).
func sign(key *rsa.PrivateKey, keyID string, claims map[string]any) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": "PS256", "kid": keyID, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		return "", err
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// jwks is the directory's key set (RFC 7517 §5).
func (d *Directory) jwks() any {
	exponent := binary.BigEndian.AppendUint32(nil, uint32(d.key.E))
	for exponent[0] == 0 {
		exponent = exponent[1:]
	}
	return map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "use": "sig", "alg": "PS256", "kid": d.keyID,
		"n": base64.RawURLEncoding.EncodeToString(d.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(exponent),
	}}}
}

// list has who takes part, as the kind of directory publishes it; nil for a path that it has not.
func (d *Directory) list(path string) any {
	ids := slices.Sorted(maps.Keys(d.organisations))
	entries := func(entry func(id, status string) any) []any {
		all := []any{}
		for _, id := range ids {
			all = append(all, entry(id, d.organisations[id]))
		}
		return all
	}
	switch d.Kind + path {
	case Brazil + "/participants":
		return entries(func(id, status string) any {
			roles := []any{}
			for _, role := range slices.Sorted(maps.Keys(d.roles[id])) {
				roles = append(roles, map[string]string{"Role": role, "Status": d.roles[id][role], "AuthorizationDomain": "Open Banking"})
			}
			return map[string]any{"OrganisationId": id, "Status": status, "OrgDomainRoleClaims": roles}
		})
	case UK + "/OBThirdPartyProviders":
		return map[string]any{"totalResults": len(ids), "Resources": entries(func(id, status string) any {
			return map[string]any{"id": id, "urn:openbanking:organisation:1.0": map[string]any{"OBOrganisationId": id, "status": status}}
		})}
	case CDR + "/data-recipients/status":
		return map[string]any{"data": entries(func(id, status string) any {
			return map[string]any{"legalEntityId": id, "status": strings.ToUpper(status)}
		})}
	case CDR + "/data-recipients/brands/software-products/status":
		all := []any{}
		for _, id := range slices.Sorted(maps.Keys(d.software)) {
			all = append(all, map[string]any{"softwareProductId": id, "status": strings.ToUpper(d.software[id].Status)})
		}
		return map[string]any{"data": all}
	}
	return nil
}

// ServeHTTP answers at /jwks, at the lists of the kind, and at /software/{id}/jwks and /software/{id}/revoked; for newcomers, at /software/{id}/statement.
// PUT sets /organisations/{id}/{status}, /software/{id} and /away/{true or false}.
func (d *Directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		d.change(w, r)
		return
	}
	d.mutex.Lock()
	d.requests[r.URL.Path]++
	away, keys, list := d.away, d.jwks(), d.list(r.URL.Path)
	id, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/software/"), "/")
	known := d.software[id]
	d.mutex.Unlock()
	switch {
	case away:
		fail(w, http.StatusServiceUnavailable, "away")
	case r.URL.Path == "/jwks":
		answer(w, keys)
	case list != nil:
		answer(w, list)
	case known != nil && what == "jwks":
		answer(w, known.JWKS)
	case known != nil && what == "revoked":
		if known.Revoked == nil {
			answer(w, map[string]any{"keys": []any{}})
			return
		}
		answer(w, known.Revoked)
	case known != nil && what == "statement":
		statement, err := d.Statement(id, nil)
		if err != nil {
			fail(w, http.StatusNotFound, err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/jwt")
		fmt.Fprint(w, statement)
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document) // whoever asked has gone
}

func fail(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	fmt.Fprintln(w, why)
}

// change does what a newcomer asks for.
func (d *Directory) change(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) == 3 && parts[0] == "organisations":
		d.SetOrganisation(parts[1], parts[2])
	case len(parts) == 2 && parts[0] == "away":
		d.SetAway(parts[1] == "true")
	case len(parts) == 2 && parts[0] == "software":
		s := Software{}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&s); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
		s.ID = parts[1]
		d.SetSoftware(s)
	case len(parts) == 3 && parts[0] == "software":
		d.SetSoftwareStatus(parts[1], parts[2])
	default:
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
