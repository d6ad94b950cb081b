// Package page is what the pages of authorizations are made of: the token that their forms send back, digests of what they show, and
// the page that posts a response.
package page

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/profile"
	"countersign/fapi/request"
	"countersign/fapi/scope"
	"countersign/fapi/tokens"
)

// Shown is a page of an interaction: when it was made, and a digest of what it showed.
type Shown struct {
	At      time.Time
	Content string
}

// FormToken returns the CSRF token of a page: when it was made, the digest of its content, and a digest of both with
// the browser's cookie, so that only a browser that was shown the page has it.
func FormToken(secret, handle string, page Shown) string {
	head := strconv.FormatInt(page.At.UnixMicro(), 36) + "." + page.Content
	return head + "." + browser.FormToken(secret, handle+"\x00"+head)
}

// ReadShown reads a form token of this browser and interaction, and reports whether it is one.
func ReadShown(secret, handle, token string) (Shown, bool) {
	head := token[:max(0, strings.LastIndexByte(token, '.'))]
	moment, content, _ := strings.Cut(head, ".")
	micros, err := strconv.ParseInt(moment, 36, 64)
	if err != nil {
		return Shown{}, false
	}
	page := Shown{At: time.UnixMicro(micros), Content: content}
	return page, browser.SameToken(token, FormToken(secret, handle, page))
}

// RequestDigest returns a digest of a request as it is shown elsewhere: of all that it asks for, with its client's version and
// profile and what its scopes are called, whatever the language.
func RequestDigest(scopes *scope.Catalog, caller *client.Client, of *request.Request, by *consent.Consent) (string, error) {
	raw, err := json.Marshal(struct {
		Client    string
		Version   int
		ChangedAt int64
		Profile   profile.Profile
		Scopes    []scope.Scope
		Request   *request.Request
		Consent   shownConsent
	}{caller.ID, caller.Version, caller.ChangedAt.UnixMicro(), caller.Profile, scopes.LookupAll(of.Scopes), of, shownOf(by)})
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(digest[:]), nil
}

// shownConsent is what a page has of a consent.
type shownConsent struct {
	Version int
	Shown   json.RawMessage
}

func shownOf(c *consent.Consent) shownConsent {
	if c == nil {
		return shownConsent{}
	}
	return shownConsent{c.Version, c.Shown}
}

// Granted is what a grant of a request has, with the consent that it names.
func Granted(of *request.Request, by *consent.Consent) tokens.Detail {
	detail := of.Grant()
	if by != nil {
		detail.Consent = &tokens.Consent{ID: by.ID, Kind: by.Kind}
	}
	return detail
}

// Content returns a digest of what an interaction asks the user to allow: the client with its version and profile,
// the scopes, claims, details and resources as pages show them (showing), and the request and its consent themselves, which words may
// abridge.
func Content(caller *client.Client, requested request.Request, by *consent.Consent, showing any) (string, error) {
	raw, err := json.Marshal(struct {
		Version   int
		ChangedAt int64
		Profile   profile.Profile
		Requested string
		Shown     any
		Consent   shownConsent
	}{caller.Version, caller.ChangedAt.UnixMicro(), caller.Profile, Granted(&requested, by).DigestFor(requested.Scopes), showing, shownOf(by)})
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(digest[:16]), nil
}
