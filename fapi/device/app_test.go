package device_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
	"countersign/internal/httpsig"
	"countersign/internal/jose"
	"countersign/store"
)

// requests reads the list of an application.
func requests(t *testing.T, r fapitest.Reply) []map[string]any {
	t.Helper()
	if r.Status != http.StatusOK {
		t.Fatalf("the list: %d %s", r.Status, r.Raw)
	}
	var list []map[string]any
	for _, each := range r.Body["requests"].([]any) {
		list = append(list, each.(map[string]any))
	}
	return list
}

func refused(t *testing.T, r fapitest.Reply, status int, code string) {
	t.Helper()
	if r.Status != status || r.Text("error") != code || r.Text("error_description") == "" || r.Text("correlation_id") == "" {
		t.Errorf("got %d %s, want %d %s", r.Status, r.Raw, status, code)
	}
}

// app is an application that confirms for a user.
type app struct {
	w    *fapitest.World
	t    *testing.T
	http *http.Client
	key  jose.PrivateKey
	// language is the Accept-Language of its calls, or empty.
	language string
}

func newApp(t *testing.T, w *fapitest.World) *app {
	t.Helper()
	return &app{w: w, t: t, http: w.DeviceBrowser(t).HTTP, key: fapitest.NewKey(t, jose.ES256)}
}

// proof makes a DPoP proof for a request with a form, or none; change alters its claims.
func (a *app) proof(method, address string, form url.Values, change func(fapitest.Claims)) string {
	a.t.Helper()
	address, _, _ = strings.Cut(address, "?")
	body := fapitest.Claims{"jti": fapitest.RandomString(), "htm": method, "htu": address, "iat": a.w.Clock.Now().Unix()}
	if form != nil {
		body["content_digest"] = httpsig.Digest([]byte(form.Encode()))
	}
	if change != nil {
		change(body)
	}
	proof, err := a.key.SignEmbedded(a.t.Context(), "dpop+jwt", body)
	if err != nil {
		a.t.Fatal(err)
	}
	return proof
}

// call sends a request with a proof, or without one when it is empty. A nil form is a GET.
func (a *app) call(address, proof string, form url.Values) fapitest.Reply {
	a.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(a.t.Context(), method, address, body)
	if err != nil {
		a.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if proof != "" {
		request.Header.Set("DPoP", proof)
	}
	if a.language != "" {
		request.Header.Set("Accept-Language", a.language)
	}
	response, err := a.http.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	r := fapitest.Reply{Status: response.StatusCode, Header: response.Header, Raw: string(raw)}
	if err := json.Unmarshal(raw, &r.Body); err != nil {
		a.t.Fatalf("%s %s: %d %q", method, address, response.StatusCode, raw)
	}
	return r
}

// get and post send a request with a good proof. path is below the API.
func (a *app) get(path string) fapitest.Reply {
	a.t.Helper()
	address := a.w.Issuer + "/device/api" + path
	return a.call(address, a.proof(http.MethodGet, address, nil, nil), nil)
}

func (a *app) post(address string, form url.Values) fapitest.Reply {
	a.t.Helper()
	return a.call(address, a.proof(http.MethodPost, address, form, nil), form)
}

// enrolledApp is an application of a user, enrolled under a passkey.
func enrolledApp(t *testing.T, w *fapitest.World, name string) *app {
	t.Helper()
	return enrolledUnder(t, w, name, browser.PasskeyACR)
}

// enrolledUnder is an application of a user, enrolled under a sign-in of a class; empty is one from before classes were kept.
func enrolledUnder(t *testing.T, w *fapitest.World, name, acr string) *app {
	t.Helper()
	a := newApp(t, w)
	device := store.Device{
		ID: "device of " + name + fapitest.RandomString(), Subject: "sub-" + name, Name: "Bank app", JKT: a.key.ID(),
		ACR: acr, CreatedAt: w.Clock.Now(),
	}
	if err := w.Store.AddDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	return a
}
