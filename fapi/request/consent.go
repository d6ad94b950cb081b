package request

import (
	"encoding/json"
	"slices"
	"strings"

	"countersign/fapi/profile"
	"countersign/internal/oauth"
	"countersign/internal/strictjson"
)

// maxConsentID bounds the id of a consent, in bytes.
const maxConsentID = 256

// consentOf returns the id of the consent that a request names in the way of its profile, or "" (see [profile.ConsentRule]). Whether
// there is such a consent is for package consent to say.
func consentOf(in input, read Request) (string, error) {
	rule := in.client.Profile.Consent
	by := rule.By
	if in.at == Backchannel && rule.Backchannel != "" {
		by = rule.Backchannel
	}
	named, err := consentsNamed(by, in, read)
	if err != nil {
		return "", err
	}
	slices.Sort(named)
	named = slices.Compact(named)
	scopes := strings.Fields(in.form.Get("scope"))
	// No ecosystem that names it by a claim says how, where CIBA has no claims parameter.
	unsaid := in.at == Backchannel && by == profile.ByClaim
	needs := !unsaid && (len(rule.Scopes) == 0 || slices.ContainsFunc(rule.Scopes, func(name string) bool { return slices.Contains(scopes, name) }))
	switch {
	case len(named) > 1:
		return "", oauth.Errorf(oauth.InvalidRequest, "the request names more than one consent by %s", by)
	case len(named) == 1 && (named[0] == "" || len(named[0]) > maxConsentID || strings.ContainsFunc(named[0], unprintable)):
		return "", oauth.Errorf(oauth.InvalidRequest, "the id of a consent is 1 to %d printable ASCII characters without space", maxConsentID)
	case len(named) == 1:
		return named[0], nil
	case rule.Required && by != "" && needs:
		return "", oauth.Errorf(oauth.InvalidRequest, "the request names no consent; create one first, and name it by %s", consentAddress(by, in.client.Profile))
	}
	return "", nil
}

func unprintable(r rune) bool { return r <= 0x20 || r > 0x7e }

// consentAddress says where a request names its consent.
func consentAddress(by profile.ConsentBy, p profile.Profile) string {
	switch by {
	case profile.ByClaim:
		return "the value of " + p.Consent.Claim + " in the claims parameter"
	case profile.ByScope:
		for _, rule := range p.Scopes {
			if rule.Consent {
				return "the scope " + rule.Name + ":ID"
			}
		}
	case profile.ByAuthorizationDetails:
		return p.Consent.Claim + " in authorization_details"
	}
	return string(by)
}

// consentsNamed returns all ids that a request names.
func consentsNamed(by profile.ConsentBy, in input, read Request) ([]string, error) {
	var named []string
	switch by {
	case profile.ByClaim:
		return consentsClaimed(in.form.Get("claims"), in.client.Profile.Consent.Claim)
	case profile.ByScope:
		for name := range strings.FieldsSeq(in.form.Get("scope")) {
			for _, rule := range in.client.Profile.Scopes {
				if id, found := strings.CutPrefix(name, rule.Name+":"); found && rule.Consent && rule.Parameter != "" {
					named = append(named, id)
				}
			}
		}
	case profile.ByAuthorizationDetails:
		for _, object := range read.Details {
			if id, found := memberAt(object, strings.Split(in.client.Profile.Consent.Claim, ".")); found {
				named = append(named, id)
			}
		}
	case profile.ByLoginHint:
		if hint := in.form.Get("login_hint"); hint != "" && in.at == Backchannel {
			named = append(named, hint)
		}
	}
	return named, nil
}

// consentsClaimed returns the values of a claim in the claims parameter (OpenID Connect Core §5.5.1): for the ID token and for
// UserInfo.
func consentsClaimed(raw, name string) ([]string, error) {
	if raw == "" {
		return nil, nil
	}
	var wanted map[string]json.RawMessage
	if err := strictjson.Decode([]byte(raw), &wanted); err != nil {
		return nil, oauth.Errorf(oauth.InvalidRequest, "claims is no correct JSON object (OpenID Connect Core §5.5)").Because(err)
	}
	var named []string
	for _, place := range []string{"id_token", "userinfo"} {
		var members map[string]json.RawMessage
		if len(wanted[place]) == 0 || json.Unmarshal(wanted[place], &members) != nil {
			continue // package claims says what is wrong with it
		}
		asked, found := members[name]
		if !found {
			continue
		}
		var request struct {
			Value  *string  `json:"value"`
			Values []string `json:"values"`
		}
		if err := json.Unmarshal(asked, &request); err != nil {
			return nil, oauth.Errorf(oauth.InvalidRequest, "the value of the claim %s has to be the id of a consent", name).Because(err)
		}
		if request.Value != nil {
			named = append(named, *request.Value)
		}
		named = append(named, request.Values...)
	}
	return named, nil
}

// memberAt returns the string at a path of members of an object.
func memberAt(object json.RawMessage, path []string) (string, bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return "", false
	}
	value, found := members[path[0]]
	switch {
	case !found:
		return "", false
	case len(path) > 1:
		return memberAt(value, path[1:])
	}
	var id string
	if json.Unmarshal(value, &id) != nil {
		return "", true // what is no string is no id
	}
	return id, true
}
