package login

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/managed"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
	"countersign/internal/oauth"
	"countersign/internal/strictjson"
)

// view is an interaction as the login's backend reads it (docs/api/login-v1.yaml).
type view struct {
	Ask             []string     `json:"ask"`
	ExpiresIn       int64        `json:"expires_in"`
	Digest          string       `json:"request_digest"`
	ConsentID       string       `json:"consent_id"`
	Client          viewClient   `json:"client"`
	Profile         string       `json:"profile"`
	Language        string       `json:"language"`
	Once            bool         `json:"once,omitempty"`
	Subject         string       `json:"subject,omitempty"`
	RequiredSubject string       `json:"required_subject,omitempty"`
	Scopes          []viewScope  `json:"scopes"`
	Details         []viewDetail `json:"authorization_details"`
	// Consents are those that the client lodged before and now asks for.
	Consents  []viewDetail `json:"consents,omitempty"`
	Claims    []string     `json:"claims"`
	Resources []string     `json:"resources"`
	ACRValues []string     `json:"acr_values"`
	Essential []string     `json:"essential_acr_values"`
	Claimable []string     `json:"claimable_acr_values"`
	MaxAge    *int64       `json:"max_age,omitempty"`
	Prompt    []string     `json:"prompt"`
	LoginHint string       `json:"login_hint,omitempty"`
	Purpose   string       `json:"purpose,omitempty"`
	UILocales []string     `json:"ui_locales"`
	viewLife
	// Change is what the request does to a grant that the user allowed before.
	Change *managed.Lines `json:"grant_change,omitempty"`
}

// viewLife is how long a grant lasts: so many seconds, 0 for no bound, and until a time in seconds since 1970 at the latest.
type viewLife struct {
	GrantLifetime int64 `json:"grant_lifetime"`
	GrantUntil    int64 `json:"grant_until,omitempty"`
}

func lifeOf(lifetime time.Duration, until time.Time) viewLife {
	life := viewLife{GrantLifetime: endpoint.Seconds(lifetime)}
	if !until.IsZero() {
		life.GrantUntil = until.Unix()
	}
	return life
}

type viewClient struct {
	ID           string            `json:"client_id"`
	Name         string            `json:"client_name,omitempty"`
	Names        map[string]string `json:"client_names,omitempty"`
	Organisation string            `json:"organisation,omitempty"`
	URI          string            `json:"client_uri,omitempty"`
	LogoURI      string            `json:"logo_uri,omitempty"`
	PolicyURI    string            `json:"policy_uri,omitempty"`
	TermsURI     string            `json:"tos_uri,omitempty"`
	RedirectURI  string            `json:"redirect_uri,omitempty"`
	RedirectURIs []string          `json:"redirect_uris,omitempty"`
}

type viewScope struct {
	Name        string `json:"scope"`
	Description string `json:"description"`
}

// viewDetail is one object of authorization_details: in the words of people, in the order to read them, and as it is.
type viewDetail struct {
	Type  string       `json:"type"`
	Kind  display.Kind `json:"kind,omitempty"`
	Title string       `json:"title"`
	// Line is the question in a list; Allow and Deny are the labels of the answers.
	Line  string          `json:"line,omitempty"`
	Allow string          `json:"allow,omitempty"`
	Deny  string          `json:"deny,omitempty"`
	Lines []display.Row   `json:"lines"`
	Value json.RawMessage `json:"value"`
}

// answered is the answer to an answer.
type answered struct {
	ReturnTo  string `json:"return_to"`
	ExpiresIn int64  `json:"expires_in"`
}

func viewOf(found authorize.HandedOff) view {
	v := view{
		ExpiresIn: endpoint.Seconds(found.Left), Digest: found.Digest, ConsentID: found.ConsentID, Profile: found.Profile,
		Language: found.Language, Once: display.Once(found.Details, found.Scopes),
		Client: clientOf(found.Client), Scopes: scopesOf(found.Scopes), Details: detailsOf(found.Details[:len(found.Values)], found.Values),
		Claims: some(found.Claims), Resources: some(found.Resources),
		ACRValues: some(found.ACRs), Essential: some(found.EssentialACRs), Claimable: some(found.ClaimableACRs),
		MaxAge: found.MaxAge, Prompt: some(found.Prompt), LoginHint: found.LoginHint, Purpose: found.Purpose,
		RequiredSubject: found.RequiredSubject, UILocales: some(strings.Fields(found.UILocales)),
		viewLife: lifeOf(found.GrantLifetime, found.GrantUntil), Change: found.Change.Lines(),
	}
	v.Client.Organisation, v.Client.RedirectURI, v.Client.RedirectURIs = found.Organisation, found.RedirectURI, found.Redirects
	if len(found.ConsentValues) > 0 {
		v.Consents = detailsOf(found.Details[len(found.Values):], found.ConsentValues)
	}
	if found.Login {
		v.Ask = append(v.Ask, "login")
	}
	if found.Consent {
		v.Ask = append(v.Ask, "consent")
	}
	if found.SignedIn != nil {
		v.Subject = found.SignedIn.Subject
	}
	return v
}

func clientOf(c browser.Client) viewClient {
	return viewClient{
		ID: c.ID, Name: c.Name, Names: c.ByLanguage["client_name"], URI: c.URI, LogoURI: c.LogoURI, PolicyURI: c.PolicyURI, TermsURI: c.TermsURI,
	}
}

func scopesOf(scopes []scope.Scope) []viewScope {
	all := []viewScope{}
	for _, each := range scopes {
		all = append(all, viewScope{each.Name, each.Description})
	}
	return all
}

func detailsOf(details []display.View, values []json.RawMessage) []viewDetail {
	all := []viewDetail{}
	for i, each := range details {
		all = append(all, viewDetail{
			Type: each.Type, Kind: each.Kind, Title: each.Heading.String(), Line: each.Line.String(), Allow: each.Allow.String(),
			Deny: each.Deny.String(), Lines: each.Rows(), Value: values[i],
		})
	}
	return all
}

// some makes no list an empty one.
func some(list []string) []string { return append([]string{}, list...) }

// message is what the login's backend answers.
type message struct {
	Digest   string          `json:"request_digest"`
	Error    string          `json:"error"`
	Subject  string          `json:"subject"`
	Username string          `json:"username"`
	ACR      string          `json:"acr"`
	AMR      []string        `json:"amr"`
	AuthTime *int64          `json:"auth_time"`
	Claims   json.RawMessage `json:"claims"`
	// Accounts are those that the login offers; see [authorize.Answer].
	Accounts []display.Offered `json:"accounts"`
	Allowed  *struct {
		Scopes  []string          `json:"scopes"`
		Claims  []string          `json:"claims"`
		Details []json.RawMessage `json:"authorization_details"`
	} `json:"allowed"`
}

// maxAuthTime is the end of the year 9999: no time that could be meant is later.
const maxAuthTime = 253402300799

// readAnswer reads the one answer.
func readAnswer(w http.ResponseWriter, r *http.Request) (authorize.Answer, error) {
	var m message
	members, err := readMessage(w, r, &m, "request_digest", "error", "subject", "username", "acr", "amr", "auth_time", "claims", "allowed", "accounts")
	if err != nil {
		return authorize.Answer{}, err
	}
	answer := authorize.Answer{
		Digest: m.Digest, Error: m.Error, Subject: m.Subject, Username: m.Username, ACR: m.ACR, AMR: m.AMR, Claims: m.Claims, Accounts: m.Accounts,
	}
	if err := checkClaims(m.Claims); err != nil {
		return authorize.Answer{}, err
	}
	if answer.AuthTime, err = authTime(m.AuthTime); err != nil {
		return authorize.Answer{}, err
	}
	if m.Allowed != nil {
		if unknown := unknownMember(members["allowed"]); unknown != "" {
			return authorize.Answer{}, oauth.Errorf(oauth.InvalidRequest, "allowed has a member that is not known here: %q", unknown)
		}
		answer.Allowed = &authorize.Allowed{Scopes: m.Allowed.Scopes, Claims: m.Allowed.Claims, Details: m.Allowed.Details}
	}
	return answer, nil
}

// readMessage reads a JSON object with known members, and returns them. What is not known is refused, so that nothing is thought
// to count that does not.
func readMessage(w http.ResponseWriter, r *http.Request, into any, known ...string) (map[string]json.RawMessage, error) {
	refuse := func(format string, arguments ...any) (map[string]json.RawMessage, error) {
		return nil, oauth.Errorf(oauth.InvalidRequest, format, arguments...)
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the body must be sent as application/json").
			WithStatus(http.StatusUnsupportedMediaType)
	}
	body, err := oauth.ReadBody(w, r)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if strictjson.Decode(body, &members) != nil || members == nil || strictjson.Decode(body, into) != nil {
		return refuse("the body is not a JSON object as docs/api/login-v1.yaml describes it")
	}
	for name, value := range members {
		if !slices.Contains(known, name) {
			return refuse("the body has a member that is not known here: %q", name)
		}
		if string(value) == "null" {
			return refuse("%s is null; leave out what there is nothing to say about", name)
		}
	}
	return members, nil
}

// unknownMember returns a member of allowed that is not known, or "".
func unknownMember(allowed json.RawMessage) string {
	var members map[string]json.RawMessage
	if strictjson.Decode(allowed, &members) != nil {
		return ""
	}
	for name := range members {
		if !slices.Contains([]string{"scopes", "claims", "authorization_details"}, name) {
			return name
		}
	}
	return ""
}
