package authorize

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/fapi/request"
	"countersign/fapi/scope"
)

// shown is a page of an interaction: when it was made, and a digest of what it showed.
type shown struct {
	at      time.Time
	content string
}

// formToken returns the CSRF token of a page: when it was made, the digest of its content, and a digest of both with
// the browser's cookie, so that only a browser that was shown the page has it.
func formToken(secret, handle string, page shown) string {
	head := strconv.FormatInt(page.at.UnixMicro(), 36) + "." + page.content
	return head + "." + browser.FormToken(secret, handle+"\x00"+head)
}

// readShown reads a form token of this browser and interaction, and reports whether it is one.
func readShown(secret, handle, token string) (shown, bool) {
	head := token[:max(0, strings.LastIndexByte(token, '.'))]
	moment, content, _ := strings.Cut(head, ".")
	micros, err := strconv.ParseInt(moment, 36, 64)
	if err != nil {
		return shown{}, false
	}
	page := shown{at: time.UnixMicro(micros), content: content}
	return page, browser.SameToken(token, formToken(secret, handle, page))
}

// requestDigest returns a digest of a request as it is shown elsewhere: of all that it asks for, with its client's version and
// profile and what its scopes are called, whatever the language.
func requestDigest(scopes *scope.Catalog, caller *client.Client, of *request.Request) (string, error) {
	raw, err := json.Marshal(struct {
		Client    string
		Version   int
		ChangedAt int64
		Profile   profile.Profile
		Scopes    []scope.Scope
		Request   *request.Request
	}{caller.ID, caller.Version, caller.ChangedAt.UnixMicro(), caller.Profile, scopes.LookupAll(of.Scopes), of})
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(digest[:]), nil
}

// contentOf returns a digest of what an interaction asks the user to allow: the client with its version and profile,
// the scopes, claims, details and resources as pages show them, and the request itself, which words may abridge. Who is signed in
// does not count.
func contentOf(caller *client.Client, requested request.Request, in Interaction) (string, error) {
	in.Form, in.FormToken, in.LoginHint, in.Passkey = url.Values(nil), "", "", ""
	in.SignedIn, in.SignInFailures, in.Problem, in.Changed, in.Unchosen = nil, 0, browser.Problem{}, false, false
	raw, err := json.Marshal(struct {
		Version   int
		ChangedAt int64
		Profile   profile.Profile
		Requested string
		Shown     Interaction
	}{caller.Version, caller.ChangedAt.UnixMicro(), caller.Profile, requested.Grant().DigestFor(requested.Scopes), in})
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(digest[:16]), nil
}
