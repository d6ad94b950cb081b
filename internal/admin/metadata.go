package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"countersign/fapi/client"
	"countersign/fapi/device"
	"countersign/fapi/profile"
	"countersign/fapi/registration"
	"countersign/internal/admin/fault"
	"countersign/internal/strictjson"
	"countersign/internal/suggest"
)

// What this package needs of the server is in this file.

// DefaultProfile is that of a client whose metadata name none.
const DefaultProfile = "fapi2-security"

// Offers reports whether a profile is among those that a server offers.
func Offers(offered []string, name string) bool { return profile.Offers(offered, name) }

func knownProfile(name string) bool {
	_, ok := profile.Lookup(name)
	return ok
}

// unknownProfile is the error for a name that names none.
func unknownProfile(name string) error { return profile.Unknown(name) }

// CheckMetadata compares a client's metadata with its profile. The error has one line for each problem.
func CheckMetadata(id, profile string, metadata []byte) error {
	var named struct {
		ClientID string `json:"client_id"`
	}
	if err := strictjson.Decode(metadata, &named); err == nil && named.ClientID != "" && named.ClientID != id {
		return fmt.Errorf("client_id: %q is not the client that is named (%q)", named.ClientID, id)
	}
	_, err := client.Parse(id, profile, metadata)
	return err
}

// checkHabits finds what a client may register itself but an operator writes by mistake: members that are misspelt, and
// scopes that do not exist. It also refuses redirect_uris of the server's own.
func checkHabits(wanted NewClient) error {
	var members map[string]json.RawMessage
	var metadata client.Metadata
	if err := errors.Join(strictjson.Decode(wanted.Metadata, &members), strictjson.Decode(wanted.Metadata, &metadata)); err != nil {
		return err
	}
	var problems []error
	known := knownMembers()
	for _, member := range slices.Sorted(maps.Keys(members)) {
		if slices.Contains(known, member) {
			continue
		}
		if nearest := nearestMember(member, known); nearest != "" {
			problems = append(problems, fmt.Errorf("%s: there is no such member; did you mean %s?", member, nearest))
		}
	}
	for _, named := range []struct {
		member, kind, table string
		values, known       []string
	}{
		{"scope", "scope", "scopes", strings.Fields(metadata.Scope), wanted.Scopes},
		{"authorization_details_types", "type", "authorization_details", metadata.AuthorizationDetailsTypes, wanted.DetailTypes},
		{"default_authorization_details", "type", "authorization_details", typesIn(metadata.DefaultAuthorizationDetails), wanted.DetailTypes},
		{"resource_identifiers", "resource server", "resource_servers", metadata.ResourceIdentifiers, wanted.Resources},
	} {
		for _, name := range named.values {
			if named.known != nil && !slices.Contains(named.known, name) {
				problems = append(problems, fmt.Errorf("%s: there is no %s %q; %s", named.member, named.kind, name, meant(name, named.known, named.table)))
			}
		}
	}
	for _, each := range []struct {
		member    string
		addresses []string
	}{{"redirect_uris", metadata.RedirectURIs}, {"post_logout_redirect_uris", metadata.PostLogoutRedirectURIs}} {
		for _, address := range each.addresses {
			if slices.ContainsFunc(wanted.Origins, func(origin string) bool { return client.SameOrigin(address, origin) }) {
				problems = append(problems, fmt.Errorf("%s: %q is on this server's own origin", each.member, address))
			}
		}
	}
	return errors.Join(problems...)
}

// knownMembers are the members that metadata of an operator's file may have.
func knownMembers() []string { return append(client.Members(), "profile", "client_id") }

// nearestMember is the known member that was meant: written in another way, such as redirectUris, or misspelt.
func nearestMember(member string, known []string) string {
	letters := func(name string) string {
		return strings.ToLower(strings.Map(func(r rune) rune {
			if r == '_' || r == '-' || r == ' ' || r == '.' {
				return -1
			}
			return r
		}, name))
	}
	for _, name := range known {
		if letters(name) == letters(member) {
			return name
		}
	}
	return suggest.Nearest(member, known)
}

// UnknownMembers are the members of a client's metadata that mean nothing to this server.
func UnknownMembers(metadata []byte) []string {
	var members map[string]json.RawMessage
	if err := strictjson.Decode(metadata, &members); err != nil {
		return nil
	}
	known := knownMembers()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(members)), func(name string) bool {
		plain, _, _ := strings.Cut(name, "#") // a member in a language (RFC 7591 §2.2)
		return slices.Contains(known, plain)
	})
}

// typesIn are the types of authorization details. What else is wrong with them is reported elsewhere.
func typesIn(details json.RawMessage) []string {
	var each []struct {
		Type string `json:"type"`
	}
	if len(details) == 0 || json.Unmarshal(details, &each) != nil {
		return nil
	}
	names := make([]string, len(each))
	for i, one := range each {
		names[i] = one.Type
	}
	return names
}

// meant is the nearest of the known names, or the table of the configuration in which a new one is described.
func meant(unknown string, known []string, table string) string {
	return suggest.Hint(unknown, known, "describe it in the configuration under [["+table+"]]")
}

// Summary is what a list shows of a client.
type Summary struct {
	Name           string
	Authentication string
	// BoundBy is how access tokens are sender-constrained: "dpop" or "mtls".
	BoundBy string
}

// Summarise reads a client's metadata. An older release may have accepted what this one refuses.
func Summarise(id, profile string, metadata []byte) (Summary, error) {
	parsed, err := client.Parse(id, profile, metadata)
	if err != nil {
		return Summary{}, err
	}
	summary := Summary{Name: parsed.Metadata.ClientName, Authentication: parsed.Metadata.TokenEndpointAuthMethod, BoundBy: "dpop"}
	if parsed.Metadata.TLSClientCertificateBoundAccessTokens {
		summary.BoundBy = "mtls"
	}
	return summary, nil
}

// Hints says what of a client's metadata is well formed and yet looks wrong, one line each.
func Hints(id, profile string, metadata []byte) []string {
	parsed, err := client.Parse(id, profile, metadata)
	if err != nil {
		return nil
	}
	if hint := parsed.CertificateSubject.Hint(); hint != "" {
		return []string{hint}
	}
	return nil
}

func checkOrganisation(name string) error {
	if name == "" || len(name) > 200 || strings.ContainsFunc(name, unicode.IsControl) {
		return fault.Invalidf("the organisation must have 1 to 200 bytes without control characters")
	}
	if strings.HasPrefix(name, client.DirectoryOrganisation) {
		return fault.Invalidf("names that begin with %s belong to participants that register with a software statement", client.DirectoryOrganisation)
	}
	if strings.HasPrefix(name, registration.CertificateOrganisation) {
		return fault.Invalidf("names that begin with %s belong to organisations that register with a certificate", registration.CertificateOrganisation)
	}
	return nil
}

func checkDeviceName(name string) error { return device.CheckName(name) }
