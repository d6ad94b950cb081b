package device

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"countersign/fapi/backchannel"
	"countersign/fapi/managed"
	"countersign/fapi/rar/display"
)

// shownRequest is a request as devices read it: exactly what users are shown.
type shownRequest struct {
	ID    string            `json:"request_id"`
	State backchannel.State `json:"state,omitempty"`
	// Client is named as in its registration (RFC 7591 §2).
	Client struct {
		ID        string `json:"client_id"`
		Name      string `json:"client_name,omitempty"`
		URI       string `json:"client_uri,omitempty"`
		PolicyURI string `json:"policy_uri,omitempty"`
		TermsURI  string `json:"tos_uri,omitempty"`
	} `json:"client"`
	// Language is that of the details (BCP 47).
	Language string `json:"language,omitempty"`
	// Digest is that of the request itself, which the grant has if nothing is to be chosen.
	Digest  string        `json:"request_digest,omitempty"`
	Message string        `json:"binding_message,omitempty"`
	Scopes  []shownScope  `json:"scopes"`
	Details []shownDetail `json:"authorization_details,omitempty"`
	// Claims are the names of claims about the user that no scope includes.
	Claims    []string `json:"claims,omitempty"`
	Resources []string `json:"resource,omitempty"`
	// Change is what the request does to a grant that the user allowed before.
	Change *managed.Lines `json:"grant_change,omitempty"`
	// ACRs are the authentication context classes of which one, or a better one, is needed to approve.
	ACRs []string `json:"acr_values,omitempty"`
	// GrantLifetime is the lifetime of the grant, in seconds.
	GrantLifetime int64 `json:"grant_lifetime"`
	// GrantUntil is when it ends at the latest, in seconds since 1970.
	GrantUntil int64 `json:"grant_until,omitempty"`
	// Once reports that the details allow one thing at once: no lifetime is shown.
	Once bool `json:"once,omitempty"`
	// CreatedAt and ExpiresAt are in seconds since 1970.
	CreatedAt int64 `json:"created_at"`
	ExpiresAt int64 `json:"expires_at"`
	// Approve and Deny are the URLs of the decisions, while it is pending.
	Approve string `json:"approve,omitempty"`
	Deny    string `json:"deny,omitempty"`
}

type shownScope struct {
	Name        string `json:"scope"`
	Description string `json:"description,omitempty"`
}

// shownDetail is one object of authorization_details, in the words of people and in the order to read it: first Title, the
// whole question, which has the amount and the payee of a payment.
type shownDetail struct {
	Type  string       `json:"type"`
	Kind  display.Kind `json:"kind,omitempty"`
	Title string       `json:"title,omitempty"`
	// Line is the question in a list; Allow and Deny are the labels of the answers.
	Line  string        `json:"line,omitempty"`
	Allow string        `json:"allow,omitempty"`
	Deny  string        `json:"deny,omitempty"`
	Lines []display.Row `json:"lines"`
}

// shown returns a request as users are shown it, without its state.
func shown(view backchannel.View) shownRequest {
	request := shownRequest{
		ID: view.Reference, Language: view.Language, Digest: view.Digest, Once: view.Once(), Message: view.Message, Scopes: []shownScope{}, Claims: view.Claims, Resources: view.Resources, ACRs: view.ACRs,
		GrantLifetime: int64(view.GrantLifetime.Seconds()), CreatedAt: view.CreatedAt.Unix(),
		ExpiresAt: view.ExpiresAt.Unix(),
	}
	request.Change = view.Change.Lines()
	if !view.GrantUntil.IsZero() {
		request.GrantUntil = view.GrantUntil.Unix()
	}
	request.Client.ID, request.Client.Name, request.Client.URI = view.Client.ID, view.Client.Name, view.Client.URI
	request.Client.PolicyURI, request.Client.TermsURI = view.Client.PolicyURI, view.Client.TermsURI
	for _, scope := range view.Scopes {
		request.Scopes = append(request.Scopes, shownScope{scope.Name, scope.Description})
	}
	for _, detail := range view.Details {
		request.Details = append(request.Details, shownDetail{
			Type: detail.Type, Kind: detail.Kind, Title: detail.Heading.String(), Line: detail.Line.String(),
			Allow: detail.Allow.String(), Deny: detail.Deny.String(), Lines: detail.Rows(),
		})
	}
	return request
}

// digestOf returns the digest of a request as users are shown it, to which decisions are bound.
func digestOf(view backchannel.View) (string, error) {
	view.Details = display.WithoutBalances(view.Details)
	encoded, err := json.Marshal(shown(view))
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(encoded)
	return base64.RawURLEncoding.EncodeToString(digest[:]), nil
}

// versionOf returns a value that changes with a list of requests or their states.
func versionOf(requests ...backchannel.View) string {
	hash := sha256.New()
	for _, request := range requests {
		hash.Write([]byte(request.Reference + " " + string(request.State) + "\n"))
	}
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:9])
}
