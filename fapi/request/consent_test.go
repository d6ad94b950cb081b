package request

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/internal/oauth"
)

// Covers: LC-18. A request names its consent in the way of its profile: by a claim, a scope, authorization_details or login_hint; once,
// and by something that can be the id of one.
func TestConsentNamed(t *testing.T) {
	t.Parallel()
	byClaim := profile.ConsentRule{By: profile.ByClaim, Claim: "openbanking_intent_id", Required: true, Scopes: []string{"accounts"}}
	byScope := profile.ConsentRule{By: profile.ByScope, Required: true, Backchannel: profile.ByLoginHint}
	byDetails := profile.ConsentRule{By: profile.ByAuthorizationDetails, Claim: "consent.ConsentId", Required: true}
	scopes := []profile.ScopeRule{{Name: "consent", Parameter: ".+", Consent: true}, {Name: "other", Parameter: ".+"}}
	for name, test := range map[string]struct {
		rule       profile.ConsentRule
		at         Endpoint
		form       url.Values
		details    string
		want, code string
	}{
		"accepts none where none is named":        {profile.ConsentRule{}, Pushed, url.Values{"scope": {"accounts consent:a"}}, "", "", ""},
		"accepts a claim of the ID token":         {byClaim, Pushed, url.Values{"claims": {`{"id_token":{"openbanking_intent_id":{"value":"a-1","essential":true}}}`}}, "", "a-1", ""},
		"accepts a claim of UserInfo":             {byClaim, ByValue, url.Values{"claims": {`{"userinfo":{"openbanking_intent_id":{"value":"a-1"}}}`}}, "", "a-1", ""},
		"accepts the same claim twice":            {byClaim, Pushed, url.Values{"claims": {`{"userinfo":{"openbanking_intent_id":{"value":"a"}},"id_token":{"openbanking_intent_id":{"values":["a"]}}}`}}, "", "a", ""},
		"accepts no claim for other scopes":       {byClaim, Pushed, url.Values{"scope": {"openid"}}, "", "", ""},
		"accepts no claim over the backchannel":   {byClaim, Backchannel, url.Values{"scope": {"accounts"}}, "", "", ""},
		"refuses no claim for its scopes":         {byClaim, Pushed, url.Values{"scope": {"openid accounts"}, "claims": {`{"id_token":{"acr":null}}`}}, "", "", "invalid_request"},
		"refuses a claim without a value":         {byClaim, Pushed, url.Values{"scope": {"accounts"}, "claims": {`{"id_token":{"openbanking_intent_id":null}}`}}, "", "", "invalid_request"},
		"refuses two claims":                      {byClaim, Pushed, url.Values{"claims": {`{"id_token":{"openbanking_intent_id":{"value":"a"}},"userinfo":{"openbanking_intent_id":{"value":"b"}}}`}}, "", "", "invalid_request"},
		"refuses a claim that is no text":         {byClaim, Pushed, url.Values{"claims": {`{"id_token":{"openbanking_intent_id":{"value":1}}}`}}, "", "", "invalid_request"},
		"refuses claims that are no JSON":         {byClaim, Pushed, url.Values{"claims": {`{`}}, "", "", "invalid_request"},
		"accepts a scope":                         {byScope, Pushed, url.Values{"scope": {"openid consent:urn:bank:1 other:2"}}, "", "urn:bank:1", ""},
		"refuses no scope":                        {byScope, Pushed, url.Values{"scope": {"openid other:2"}}, "", "", "invalid_request"},
		"refuses two scopes":                      {byScope, Pushed, url.Values{"scope": {"consent:a consent:b"}}, "", "", "invalid_request"},
		"refuses a scope without an id":           {byScope, Pushed, url.Values{"scope": {"consent:"}}, "", "", "invalid_request"},
		"refuses an id that is too long":          {byScope, Pushed, url.Values{"scope": {"consent:" + strings.Repeat("a", 257)}}, "", "", "invalid_request"},
		"accepts a login_hint":                    {byScope, Backchannel, url.Values{"login_hint": {"urn:bank:1"}}, "", "urn:bank:1", ""},
		"refuses no login_hint":                   {byScope, Backchannel, url.Values{"scope": {"consent:a"}}, "", "", "invalid_request"},
		"accepts a member of the details":         {byDetails, Pushed, nil, `{"type":"x","consent":{"ConsentId":"c-1"}}`, "c-1", ""},
		"refuses details without it":              {byDetails, Pushed, nil, `{"type":"x","consent":{}}`, "", "invalid_request"},
		"refuses details in which it is no text":  {byDetails, Pushed, nil, `{"type":"x","consent":{"ConsentId":7}}`, "", "invalid_request"},
		"refuses details in which it is no place": {byDetails, Pushed, nil, `{"type":"x","consent":"c-1"}`, "", "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			form, err := oauth.NewForm(test.form)
			if err != nil {
				t.Fatal(err)
			}
			var read Request
			if test.details != "" {
				read.Details = rar.Details{json.RawMessage(test.details)}
			}
			in := input{at: test.at, form: form, client: &client.Client{Profile: profile.Profile{Ecosystem: profile.Ecosystem{Consent: test.rule, Scopes: scopes}}}}
			got, err := consentOf(in, read)
			if code := codeOf(err); got != test.want || code != test.code {
				t.Errorf("got %q, %v; want %q, %q", got, err, test.want, test.code)
			}
		})
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return oauth.AsError(err).Code
}

// FuzzConsentClaimed: whatever the claims parameter is, what it names as a consent are texts, or the request is refused.
func FuzzConsentClaimed(f *testing.F) {
	for _, seed := range []string{
		`{"id_token":{"openbanking_intent_id":{"value":"a","essential":true}}}`, `{"userinfo":{"openbanking_intent_id":{"values":["a","b"]}}}`,
		`{"id_token":{"openbanking_intent_id":null}}`, `{"id_token":[]}`, `[]`, `{"id_token":{"openbanking_intent_id":{"value":null,"values":[null]}}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		named, err := consentsClaimed(raw, "openbanking_intent_id")
		if err != nil && (codeOf(err) != oauth.InvalidRequest || named != nil) {
			t.Errorf("%v, %v", named, err)
		}
	})
}
