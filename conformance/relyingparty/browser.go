package relyingparty

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// maxPage bounds what is read of a page, in bytes.
const maxPage = 1 << 20

// browser follows the suite's redirections as a user's would, as far as the client's redirect URI.
type browser struct{ http *http.Client }

// newBrowser makes one on a transport that trusts the suite.
func newBrowser(transport http.RoundTripper) browser {
	return browser{http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer opens the address of an authorization request and returns the parameters that the suite sends back to the redirect URI: in the query, the
// fragment or a form.
func (b browser) answer(ctx context.Context, address, redirectURI string) (url.Values, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := b.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the authorization endpoint: %w", err)
	}
	defer response.Body.Close()
	page := io.LimitReader(response.Body, maxPage)
	switch {
	case response.StatusCode == http.StatusOK:
		return formPost(page, redirectURI)
	case response.StatusCode/100 == 3:
		return redirected(response.Header.Get("Location"), redirectURI)
	}
	said, err := io.ReadAll(page)
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the authorization endpoint answered %d: %.300s", response.StatusCode, said)
}

// redirected reads the parameters from an address.
func redirected(location, redirectURI string) (url.Values, error) {
	to, err := url.Parse(location)
	if err != nil {
		return nil, err
	}
	query, fragment := to.Query(), to.EscapedFragment()
	to.RawQuery, to.Fragment, to.RawFragment = "", "", ""
	if to.String() != redirectURI {
		return nil, fmt.Errorf("the suite redirects to %s, and not to %s", to, redirectURI)
	}
	if fragment != "" {
		return url.ParseQuery(fragment)
	}
	return query, nil
}

// formPost reads the parameters from a page that posts a form (OAuth 2.0 Form Post Response Mode §2).
func formPost(page io.Reader, redirectURI string) (url.Values, error) {
	document, err := html.Parse(page)
	if err != nil {
		return nil, err
	}
	values, action := url.Values{}, ""
	for node := range document.Descendants() {
		switch node.Data {
		case "form":
			action = attribute(node, "action")
		case "input":
			if name := attribute(node, "name"); name != "" && strings.EqualFold(attribute(node, "type"), "hidden") {
				values.Add(name, attribute(node, "value"))
			}
		}
	}
	if action != redirectURI {
		return nil, fmt.Errorf("the suite posts a form to %q, and not to %s", action, redirectURI)
	}
	return values, nil
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
