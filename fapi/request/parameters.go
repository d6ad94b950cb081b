package request

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"countersign/fapi/profile"
	"countersign/internal/oauth"
)

// maxPurpose bounds purpose where the profile does not, in characters.
const maxPurpose = 300

// profileParameters holds a request to what its client's profile says of parameters that are refused or demanded, and returns its
// purpose.
func profileParameters(in input) (purpose string, err error) {
	of := in.client.Profile
	for _, name := range of.RefusedParameters {
		if in.form.Has(name) {
			return "", oauth.Errorf(oauth.InvalidRequest, "the profile of this client has no %s; leave it out", name)
		}
	}
	if in.at == Backchannel { // its binding_message says why
		return "", nil
	}
	for _, name := range of.RequiredParameters {
		if in.form.Get(name) == "" {
			return "", oauth.Errorf(oauth.InvalidRequest, "%s is missing; the profile of this client demands it", name)
		}
	}
	return readPurpose(in.form, of.Purpose)
}

// readPurpose reads the purpose of a request (OAuth 2.0 Purpose extension: 3 to 300 characters, shown to the user). It is read only
// for profiles that have it: for others it is a parameter that is not known, and ignored.
func readPurpose(form oauth.Form, rule profile.TextRule) (string, error) {
	if rule == (profile.TextRule{}) {
		return "", nil
	}
	purpose := form.Get("purpose")
	if purpose == "" && !rule.Required && !form.Has("purpose") {
		return "", nil
	}
	if problem := TextProblem(purpose, rule, maxPurpose); problem != "" {
		return "", oauth.Errorf(oauth.InvalidRequest, "purpose %s", problem)
	}
	return purpose, nil
}

// TextProblem returns what of a text for people is not as a rule has it, or "". most bounds it, in characters, where the rule does not.
func TextProblem(text string, rule profile.TextRule, most int) string {
	if rule.Max > 0 {
		most = rule.Max
	}
	length := utf8.RuneCountInString(text)
	const nonJoiner, joiner = 0x200c, 0x200d // the spelling of some scripts has them
	hidden := func(r rune) bool {
		return r != nonJoiner && r != joiner && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r))
	}
	switch {
	case text == "" && rule.Required:
		return "is missing"
	case text == "":
		return ""
	case length < rule.Min:
		return "is shorter than " + characters(rule.Min)
	case length > most:
		return "is longer than " + characters(most)
	case !utf8.ValidString(text) || strings.TrimSpace(text) == "":
		return "is no text"
	case strings.ContainsFunc(text, hidden):
		return "holds characters that are not seen, or change how others are"
	case !profile.MatchesWhole(rule.Pattern, text):
		return "is not of the form that the profile of this client has for it"
	}
	return ""
}

func characters(n int) string { return strconv.Itoa(n) + " characters" }

// purposeAgain refuses a request without the purpose that its client's profile demands since.
func purposeAgain(_ *Checker, in input, read Request) error {
	if in.at != Backchannel && in.client.Profile.Purpose.Required && read.Purpose == "" {
		return oauth.Errorf(oauth.InvalidRequest, "purpose is missing; the profile of this client demands it")
	}
	return nil
}

// youngest returns how long ago a user may have authenticated: what a request has, and no longer than the profile has it.
func youngest(in input, asked *int64) *int64 {
	most := int64(in.client.Profile.MaxAuthenticationAge / time.Second)
	if most <= 0 || asked != nil && *asked <= most {
		return asked
	}
	return &most
}

// ageAgain refuses a request whose sign-in may be older than its client's profile has it since.
func ageAgain(_ *Checker, in input, read Request) error {
	if age := youngest(in, read.MaxAge); age != nil && (read.MaxAge == nil || *age < *read.MaxAge) {
		return oauth.Errorf(oauth.InvalidRequest, "the profile of this client demands a more recent sign-in since this request was made")
	}
	return nil
}
