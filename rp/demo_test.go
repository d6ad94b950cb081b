package rp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// demo is the bank of an example: a provider, and the test that it believes to be in.
type demo struct {
	testing.TB
	*providertest.Provider
	ends []func()
}

// newBank starts the provider of an example.
func newBank() *demo {
	d := &demo{}
	d.Provider = providertest.New(d)
	return d
}

func (d *demo) Helper()             {}
func (d *demo) Cleanup(end func())  { d.ends = append(d.ends, end) }
func (d *demo) Fatal(reason ...any) { panic(fmt.Sprint(reason...)) }
func (d *demo) Error(reason ...any) { panic(fmt.Sprint(reason...)) }

// Close ends it.
func (d *demo) Close() {
	for _, end := range d.ends {
		end()
	}
}

// trusting reaches it.
func (d *demo) trusting() client.Config { return client.Config{Roots: d.Roots} }

// loadKey is a key of an example.
func loadKey() client.Key {
	key, err := client.GenerateKey("ES256")
	if err != nil {
		panic(err)
	}
	return key
}

// check ends an example that cannot go on.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// customer is a browser that goes where it is sent, with a user who signs in at the bank.
type customer struct {
	bank    *demo
	site    http.Handler
	cookies map[string]*http.Cookie
}

func (d *demo) customer(site http.Handler) *customer {
	return &customer{d, site, map[string]*http.Cookie{}}
}

// opens prints the page at which the customer ends up.
func (c *customer) opens(path string) {
	c.shows(c.sends(httptest.NewRequest(http.MethodGet, "https://app.example"+path, nil)))
}

// posts sends an empty form, as a page of the site does.
func (c *customer) posts(path string) {
	request := httptest.NewRequest(http.MethodPost, "https://app.example"+path, nil)
	request.Header.Set("Origin", "https://app.example")
	c.shows(c.sends(request))
}

func (c *customer) shows(page *httptest.ResponseRecorder) {
	text := page.Body.String()
	if _, rest, ok := strings.Cut(text, "<h1>"); ok {
		text, _, _ = strings.Cut(rest, "</h1>")
	}
	fmt.Println(page.Code, strings.TrimSpace(text))
}

func (c *customer) sends(request *http.Request) *httptest.ResponseRecorder {
	if request.Header.Get("Accept") == "" {
		request.Header.Set("Accept", "text/html")
		request.Header.Set("Sec-Fetch-Mode", "navigate")
		request.Header.Set("Sec-Fetch-Dest", "document")
	}
	for _, cookie := range c.cookies {
		request.AddCookie(cookie)
	}
	page := httptest.NewRecorder()
	c.site.ServeHTTP(page, request)
	for _, cookie := range page.Result().Cookies() {
		if c.cookies[cookie.Name] = cookie; cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
		}
	}
	location := page.Header().Get("Location")
	switch {
	case location == "":
		return page
	case strings.HasPrefix(location, c.bank.Issuer+"/logout"):
		sent, err := url.Parse(location)
		check(err)
		location = sent.Query().Get("post_logout_redirect_uri") + "?state=" + sent.Query().Get("state")
	case strings.HasPrefix(location, c.bank.Issuer):
		location = "https://app.example/auth/callback?" + c.bank.Login(location).Encode()
	}
	return c.sends(httptest.NewRequest(http.MethodGet, location, nil))
}

func jsonBody(value any) *strings.Reader {
	raw, err := json.Marshal(value)
	check(err)
	return strings.NewReader(string(raw))
}
