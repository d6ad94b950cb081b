package logout

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/store"
)

const (
	// handleLifetime is how long the page can be answered.
	handleLifetime = 10 * time.Minute
	// handleKind is the kind of the one-time value that a handle is.
	handleKind = "sign_out"
	// maxState and maxLocales bound what is passed on, in bytes.
	maxState, maxLocales = 2048, 256
)

// asked is what of a logout request was checked.
type asked struct {
	// ClientID is empty when nothing named the client.
	ClientID string `json:"client_id,omitempty"`
	// Redirect is a registered post_logout_redirect_uri, or empty, and State goes with it.
	Redirect string `json:"redirect,omitempty"`
	State    string `json:"state,omitempty"`
	// Proof is [proofOf] the id_token_hint; empty without one.
	Proof     string `json:"proof,omitempty"`
	UILocales string `json:"ui_locales,omitempty"`
	// Once distinguishes a handle from those of the same request, because each can be answered once.
	Once string `json:"once"`
	// Expires is when the page cannot be answered any more.
	Expires int64 `json:"exp"`
}

// back returns the address that the browser is sent to.
func (a asked) back() string {
	if a.State == "" {
		return a.Redirect
	}
	separator := "?"
	if strings.Contains(a.Redirect, "?") {
		separator = "&"
	}
	return a.Redirect + separator + url.Values{"state": {a.State}}.Encode()
}

// readRequest reads the parameters of a logout request, which may come as GET or POST and from any site
// (RP-Initiated Logout §2).
func readRequest(w http.ResponseWriter, r *http.Request) (oauth.Form, error) {
	if r.Method == http.MethodPost {
		return oauth.ReadForm(w, r)
	}
	return oauth.ReadQuery(r)
}

// check checks a logout request (RP-Initiated Logout §2, §3). logout_hint has no effect: the page shows who is signed in. Errors are
// *[oauth.Error], or those of signer and store.
func (h *Handler) check(ctx context.Context, form oauth.Form) (asked, error) {
	read := asked{
		ClientID: form.Get("client_id"), Redirect: form.Get("post_logout_redirect_uri"), State: form.Get("state"),
		UILocales: form.Get("ui_locales"), Once: random.UUID(), Expires: h.Now().Add(handleLifetime).Unix(),
	}
	if len(read.State) > maxState || len(read.UILocales) > maxLocales {
		return asked{}, oauth.Errorf(oauth.InvalidRequest, "state may have %d bytes and ui_locales %d", maxState, maxLocales)
	}
	if raw := form.Get("id_token_hint"); raw != "" {
		hint, err := h.Tokens.LogoutHint(ctx, raw)
		if err != nil {
			return asked{}, err
		}
		if read.ClientID != "" && read.ClientID != hint.ClientID {
			return asked{}, oauth.Errorf(oauth.InvalidRequest,
				"id_token_hint was issued to another client than client_id names (OpenID Connect RP-Initiated Logout 1.0 §2)")
		}
		read.ClientID, read.Proof = hint.ClientID, proofOf(hint)
	}
	if read.ClientID == "" {
		if read.Redirect != "" {
			return asked{}, oauth.Errorf(oauth.InvalidRequest,
				"post_logout_redirect_uri needs an id_token_hint or a client_id beside it (OpenID Connect RP-Initiated Logout 1.0 §2)")
		}
		read.State = ""
		return read, nil
	}
	found, err := h.Clients.Get(ctx, read.ClientID)
	if errors.Is(err, store.ErrNotFound) {
		return asked{}, oauth.Errorf(oauth.InvalidClient, "the application that sent you here is not registered").Because(err)
	}
	if err != nil {
		return asked{}, err
	}
	if read.Redirect != "" && !found.HasPostLogoutRedirectURI(read.Redirect) {
		return asked{}, oauth.Errorf(oauth.InvalidRequest,
			"post_logout_redirect_uri is not one of the client's post_logout_redirect_uris; they are compared to the byte "+
				"(OpenID Connect RP-Initiated Logout 1.0 §3)")
	}
	return read, nil
}

// proofOf is a digest of what an ID token says of its session: what is in the address of a page names nobody. That of a token
// without a sid belongs to no session; it shows which client asks.
func proofOf(hint tokens.LogoutHint) string {
	digest := sha256.Sum256([]byte(hint.ClientID + "\x00" + hint.Subject + "\x00" + hint.SID))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// seal is the key that authenticates handles. What they hold came through the browser and may be known to it.
type seal []byte

// close makes the handle of a request.
func (s seal) close(a asked) string {
	body, err := json.Marshal(a)
	if err != nil {
		panic("logout: strings cannot be encoded: " + err.Error()) // impossible
	}
	return base64.RawURLEncoding.EncodeToString(append(s.code(body), body...))
}

// open reads a handle. Errors are *[oauth.Error].
func (s seal) open(handle string, now time.Time) (asked, error) {
	var read asked
	raw, err := base64.RawURLEncoding.Strict().DecodeString(handle)
	if err != nil || len(raw) < sha256.Size || !hmac.Equal(raw[:sha256.Size], s.code(raw[sha256.Size:])) {
		return asked{}, oauth.Errorf(oauth.InvalidRequest, "there is no such page").WithStatus(http.StatusNotFound)
	}
	if err := json.Unmarshal(raw[sha256.Size:], &read); err != nil {
		return asked{}, err // it was made here
	}
	if now.Unix() >= read.Expires {
		return asked{}, oauth.Errorf(oauth.InvalidRequest, "this took too long; sign out in the application again").
			Because(store.ErrExpired)
	}
	return read, nil
}

func (s seal) code(body []byte) []byte {
	code := hmac.New(sha256.New, s)
	code.Write(body)
	return code.Sum(nil)
}

// formToken is the token of the page that asks about a session.
func formToken(secret, handle string, session *store.Session) string {
	return browser.FormToken(secret, "sign out\x00"+handle+"\x00"+hex.EncodeToString(session.ID[:]))
}

// viewClient returns the registered metadata that pages may show.
func viewClient(c *client.Client, redirect string) *browser.Client {
	m := c.Metadata
	view := &browser.Client{
		ID: c.ID, Name: m.ClientName, URI: m.ClientURI, LogoURI: m.LogoURI, PolicyURI: m.PolicyURI, TermsURI: m.TermsURI,
		ByLanguage: m.ByLanguage(),
	}
	if u, err := url.Parse(redirect); err == nil {
		view.RedirectHost = u.Host
	}
	return view
}
