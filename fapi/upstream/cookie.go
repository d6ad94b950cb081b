package upstream

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/internal/oauth"
	"countersign/rp/client"
	"countersign/rp/session"
	"countersign/store"
)

// The cookies: one for each sign-in under way, named by its state, one for what a logout at the provider needs, and one for a logout
// under way.
const (
	underWay   = session.HostPrefix + "upstream-"
	hintCookie = session.HostPrefix + "upstreamed"
	outCookie  = session.HostPrefix + "upstream_out"
)

const (
	// life is how long a sign-in at the provider may take; the interaction has a bound of its own.
	life = 15 * time.Minute
	// most is how many a browser may have under way; the oldest go.
	most = 4
	// largest is the size of a cookie's value, in bytes. Browsers store 4,096 with name and attributes (RFC 6265 §6.1).
	largest = 3800
)

// transaction is a sign-in under way, which belongs to one browser.
type transaction struct {
	Client client.Transaction `json:"t"`
	Handle string             `json:"h"`
	// Interaction names it in the audit log.
	Interaction string `json:"i"`
}

// nameOf is the cookie of a state.
func nameOf(state string) string {
	digest := store.DigestOf(state)
	return underWay + hex.EncodeToString(digest[:8])
}

// remember sets the cookie of a sign-in, and removes those of old ones.
func (h *Handler) remember(w http.ResponseWriter, r *http.Request, t transaction) error {
	name := nameOf(t.Client.State)
	if err := h.seal(w, name, t, life); err != nil {
		return err
	}
	type aged struct {
		name string
		at   time.Time
	}
	var others []aged
	for _, cookie := range r.Cookies() {
		var found transaction
		switch {
		case !strings.HasPrefix(cookie.Name, underWay) || cookie.Name == name:
		case !h.open(cookie, &found) || h.late(found):
			session.RemoveCookie(w, cookie.Name)
		default:
			others = append(others, aged{cookie.Name, found.Client.CreatedAt})
		}
	}
	slices.SortFunc(others, func(a, b aged) int { return b.at.Compare(a.at) })
	for _, old := range others[min(len(others), most-1):] {
		session.RemoveCookie(w, old.name)
	}
	return nil
}

// late reports whether a sign-in has taken too long.
func (h *Handler) late(t transaction) bool { return h.Now().Sub(t.Client.CreatedAt) >= life }

// recall finds the sign-in of a state, and has the browser forget it: it is used once.
func (h *Handler) recall(w http.ResponseWriter, r *http.Request, state string) (transaction, error) {
	var found transaction
	cookie, err := r.Cookie(nameOf(state))
	if state == "" || err != nil || !h.open(cookie, &found) || found.Client.State != state {
		return found, oauth.Errorf(oauth.InvalidRequest,
			"this sign-in is over, belongs to another browser, or cookies are off; start again in the application").Because(http.ErrNoCookie)
	}
	session.RemoveCookie(w, cookie.Name)
	if h.late(found) {
		return found, oauth.Errorf(oauth.InvalidRequest, "this sign-in took too long; start again in the application").Because(store.ErrExpired)
	}
	return found, nil
}

// seal sets a cookie, which only nodes of this server can read and make.
func (h *Handler) seal(w http.ResponseWriter, name string, value any, age time.Duration) error {
	plain, err := json.Marshal(value)
	if err != nil {
		return err
	}
	sealed := h.keys.SealText(name, plain)
	if len(sealed) > largest {
		return &session.TooLargeError{Size: len(sealed), Limit: largest}
	}
	session.SetCookie(w, session.NewCookie(name, sealed, age))
	return nil
}

// open reads a cookie, and reports whether it is one of this server.
func (h *Handler) open(cookie *http.Cookie, into any) bool {
	plain, _, err := h.keys.OpenText(cookie.Name, cookie.Value)
	return err == nil && json.Unmarshal(plain, into) == nil
}
