// Package transaction keeps logins that are under way in a browser: each in a sealed cookie of its own, which binds it to that browser.
package transaction

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/rp/client"
	"countersign/rp/session"
)

// Transaction is a login under way.
type Transaction struct {
	Client client.Transaction `json:"t"`
	// ReturnTo is the path to which it leads, State what the application keeps for it.
	ReturnTo string          `json:"r"`
	State    json.RawMessage `json:"s,omitempty"`
	// Renews is the key of the session from before.
	Renews string `json:"k,omitempty"`
	// Silent asks nobody. Demand is what a login is for that is to be stronger, ACRValues those of which one is demanded.
	Silent    bool     `json:"q,omitempty"`
	Demand    string   `json:"d,omitempty"`
	ACRValues []string `json:"a,omitempty"`
}

const (
	// maxNumber is how many logins a browser may have under way, and maxBytes what their cookies may have. The oldest go.
	maxNumber = 6
	maxBytes  = 5120
	// maxSize is the size of the cookie of one.
	maxSize = 3500
)

// Jar keeps the transactions of all browsers.
type Jar struct {
	// Keys seal them.
	Keys session.KeyRing
	// Prefix begins the names of their cookies.
	Prefix string
	// Life is how long one may take.
	Life time.Duration
	// CrossSite is set where the provider's page posts the answer, which brings cookies only with SameSite=None.
	CrossSite bool
	// Now is the clock.
	Now func() time.Time
}

func (j *Jar) name(state string) string { return j.Prefix + session.KeyOf(state)[:16] }

func purpose(name string) string { return "transaction\x00" + name }

// Remember sets the cookie of a transaction, and removes those of old ones. One that is too large is a [*session.TooLargeError].
func (j *Jar) Remember(w http.ResponseWriter, r *http.Request, t *Transaction) error {
	plain, err := json.Marshal(t)
	if err != nil {
		return err
	}
	name := j.name(t.Client.State)
	value := j.Keys.SealText(purpose(name), plain)
	if len(value) > maxSize {
		return fmt.Errorf("a login with its state: %w", &session.TooLargeError{Size: len(value), Limit: maxSize})
	}
	j.evict(w, r, len(value))
	j.set(w, name, value, int(j.Life/time.Second))
	return nil
}

// set sets or, with an age below 0, removes a cookie.
func (j *Jar) set(w http.ResponseWriter, name, value string, age int) {
	cookie := session.NewCookie(name, value, 0)
	cookie.MaxAge = age
	if j.CrossSite {
		cookie.SameSite = http.SameSiteNoneMode
	}
	session.SetCookie(w, cookie)
}

// Found is a transaction that a request brought.
type Found struct {
	*Transaction
	name string
	size int
}

// Forget removes its cookie: it is used once.
func (j *Jar) Forget(w http.ResponseWriter, found Found) { j.set(w, found.name, "", -1) }

// All are the transactions of a browser, the newest first. Cookies that cannot be opened are removed.
func (j *Jar) All(w http.ResponseWriter, r *http.Request) []Found {
	var all []Found
	for _, cookie := range r.Cookies() {
		if !strings.HasPrefix(cookie.Name, j.Prefix) {
			continue
		}
		t := j.open(cookie)
		if t == nil {
			j.set(w, cookie.Name, "", -1)
			continue
		}
		all = append(all, Found{t, cookie.Name, len(cookie.Value)})
	}
	slices.SortStableFunc(all, func(x, y Found) int { return y.Client.CreatedAt.Compare(x.Client.CreatedAt) })
	return all
}

// open opens a cookie; nil is one of something else.
func (j *Jar) open(cookie *http.Cookie) *Transaction {
	plain, _, err := j.Keys.OpenText(purpose(cookie.Name), cookie.Value)
	if err != nil {
		return nil
	}
	var t Transaction
	if err := json.Unmarshal(plain, &t); err != nil || j.name(t.Client.State) != cookie.Name {
		return nil
	}
	return &t
}

// Late reports whether a transaction has taken too long.
func (j *Jar) Late(t *Transaction) bool { return j.Now().Sub(t.Client.CreatedAt) >= j.Life }

// evict removes transactions that are over, and the oldest of more than fit beside another.
func (j *Jar) evict(w http.ResponseWriter, r *http.Request, size int) {
	number := 1
	for _, each := range j.All(w, r) {
		if number++; number > maxNumber || size+each.size > maxBytes || j.Late(each.Transaction) {
			j.Forget(w, each)
			continue
		}
		size += each.size
	}
}

// StateOf is the state of an answer, not verified; by JARM it is in the token.
func StateOf(answer url.Values) (state string, readable bool) {
	response := answer.Get("response")
	if response == "" {
		return answer.Get("state"), true
	}
	parts := strings.Split(response, ".")
	if len(parts) != 3 {
		return "", len(parts) != 5
	}
	var claims struct {
		State string `json:"state"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return "", true
	}
	return claims.State, true
}
