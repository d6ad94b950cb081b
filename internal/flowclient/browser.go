package flowclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// maxPages is how far the browser lets itself be sent. Two pages and their redirects need six. While nodes of two releases serve beside
// each other, one shows a page again that the other showed in other words, since users decide on what they saw.
const maxPages = 40

// Browser is a user with a browser: it keeps cookies, follows redirects, fills in forms, and stops where the client takes
// over. It is for one user at a time.
type Browser struct {
	// HTTP must not follow redirects, and keeps cookies.
	HTTP *http.Client
	// Username and Password sign in.
	Username, Password string
	// Issuer, where it is set, is the server at whose host alone the password is typed.
	Issuer string
	// AnyRedirect follows redirects of every status, as browsers do. Otherwise only 303 is followed, so that no form is
	// sent on (FAPI 2.0 Security Profile §5.3.2.2).
	AnyRedirect bool
	// Fill fills in the form of a page, and gives it with the address that it is sent to; nil fills in
	// Countersign's pages: it signs in, once, or allows what is asked.
	Fill func(Page) (Form, error)
	// Filled is told of a page of Countersign that is filled in, "sign-in" or "consent"; nil for nobody.
	Filled func(page string)
}

// NewBrowser makes a browser without cookies that reaches the server by a transport.
func NewBrowser(through http.RoundTripper) (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	made := NewHTTP(nil)
	made.Jar, made.Transport = jar, through
	return &Browser{HTTP: made}, nil
}

// Via is the same browser with the same cookies by way of another transport, such as that of another node.
func (b *Browser) Via(through http.RoundTripper) *Browser {
	by, reached := *b, *b.HTTP
	reached.Transport = through
	by.HTTP = &reached
	return &by
}

// Page is where a browser stopped: a page, or an address elsewhere.
type Page struct {
	Reply
	// Address is the page's own.
	Address *url.URL
	// SentTo is where the server sent the browser, outside of it; nil for a page.
	SentTo *url.URL
}

// Open opens an address and follows redirects within its host. What is elsewhere is not opened.
func (b *Browser) Open(ctx context.Context, address string) (Page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Page{}, err
	}
	budget := maxPages
	return b.open(request, "", &budget)
}

// open follows redirects until there is a page, or an address elsewhere: at another host, or at the client's callback.
func (b *Browser) open(request *http.Request, callback string, budget *int) (Page, error) {
	for ; *budget > 0; *budget-- {
		reply, err := send(b.HTTP, request)
		if err != nil {
			return Page{}, err
		}
		page := Page{Reply: reply, Address: request.URL}
		if reply.Status < 300 || reply.Status >= 400 {
			return page, nil
		}
		if reply.Status != http.StatusSeeOther && !b.AnyRedirect {
			return page, fmt.Errorf("a redirect must have status 303, so that no browser sends a password on; it has %d (FAPI 2.0 Security Profile §5.3.2.2)", reply.Status)
		}
		location, err := request.URL.Parse(reply.Header.Get("Location"))
		if err != nil {
			return page, fmt.Errorf("the redirect's address: %w", err)
		}
		back := callback != "" && strings.HasPrefix(location.String(), callback+"?")
		if back || !sameHost(location, request.URL) {
			page.SentTo = location
			return page, nil
		}
		if request, err = http.NewRequestWithContext(request.Context(), http.MethodGet, location.String(), nil); err != nil {
			return page, err
		}
	}
	return Page{}, errors.New("the browser was sent around without an end")
}

// Authorize opens an authorization request, signs in and consents where it is asked to, and gives the parameters with
// which the server sends the browser to the redirect URI.
func (b *Browser) Authorize(ctx context.Context, address, redirectURI string) (url.Values, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if issuer, err := url.Parse(b.Issuer); err != nil || b.Issuer != "" && !sameHost(issuer, request.URL) {
		return nil, strayed(b.Issuer, request.URL)
	}
	budget, signedIn := maxPages, false
	for {
		page, err := b.open(request, redirectURI, &budget)
		if err != nil {
			return nil, err
		}
		if page.SentTo != nil {
			if back, ok := strings.CutPrefix(page.SentTo.String(), redirectURI+"?"); ok {
				return url.ParseQuery(back)
			}
			return nil, strayed(page.Address.Scheme+"://"+page.Address.Host, page.SentTo)
		}
		if page.Status != http.StatusOK {
			return nil, fmt.Errorf("expected a page to sign in; the server showed an error page (status %d%s): %s",
				page.Status, page.OAuthError(), page.Text("main"))
		}
		if request, err = b.submit(ctx, page, &signedIn); err != nil {
			return nil, err
		}
		budget--
	}
}

// submit fills in the form of a page.
func (b *Browser) submit(ctx context.Context, page Page, signedIn *bool) (*http.Request, error) {
	fill := b.Fill
	if fill == nil {
		fill = func(p Page) (Form, error) { return b.signInOrAllow(p, signedIn) }
	}
	form, err := fill(page)
	if err != nil {
		return nil, err
	}
	target, err := page.Address.Parse(form.Action)
	if err != nil {
		return nil, fmt.Errorf("the form's action: %w", err)
	}
	if !sameHost(target, page.Address) {
		return nil, strayed(page.Address.Scheme+"://"+page.Address.Host, target)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(form.Values.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", page.Address.Scheme+"://"+page.Address.Host)
	return request, nil
}

// signInOrAllow fills in Countersign's pages.
func (b *Browser) signInOrAllow(page Page, signedIn *bool) (Form, error) {
	forms, err := page.Forms()
	if err != nil {
		return Form{}, err
	}
	for _, f := range forms {
		switch {
		case f.Inputs["username"] && f.Inputs["password"] && f.Buttons["sign-in"].Name != "":
			if *signedIn {
				return Form{}, fmt.Errorf("the server refused the user name and the password: %s", page.Text("problem"))
			}
			*signedIn = true
			b.filled("sign-in")
			f.Values.Set("username", b.Username)
			f.Values.Set("password", b.Password)
			f.Press("sign-in")
			return f, nil
		case f.Buttons["allow"].Name != "":
			b.filled("consent")
			f.Press("allow")
			return f, nil
		}
	}
	return Form{}, errors.New("the page must hold a form with a button sign-in or allow")
}

func (b *Browser) filled(page string) {
	if b.Filled != nil {
		b.Filled(page)
	}
}

func sameHost(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

func strayed(from string, to *url.URL) error {
	return fmt.Errorf("the browser must stay at %s, it was sent to %q", from, to.Host)
}
