package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// maxPages is how far the browser lets itself be sent. Two pages and their redirects need six.
const maxPages = 12

// play is the browser and the person: it follows redirects, fills in the forms, and stops at the redirect URI.
func (d *demo) play(ctx context.Context, address string) (url.Values, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	browser := *d.http
	browser.Jar = jar
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	signedIn := false
	for range maxPages {
		if !d.atServer(request.URL) {
			return nil, fmt.Errorf("the browser must stay at %s, it was sent to %q", d.config.Issuer, request.URL.Host)
		}
		page, err := send(&browser, request)
		if err != nil {
			return nil, err
		}
		switch {
		case page.status == http.StatusSeeOther:
			location, err := request.URL.Parse(page.header.Get("Location"))
			if err != nil {
				return nil, fmt.Errorf("the redirect's address: %w", err)
			}
			if back, ok := strings.CutPrefix(location.String(), d.config.RedirectURI+"?"); ok {
				return url.ParseQuery(back)
			}
			request, err = http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
			if err != nil {
				return nil, err
			}
		case page.status == http.StatusOK:
			if request, err = d.fill(ctx, request.URL, page.body, &signedIn); err != nil {
				return nil, err
			}
		case page.status >= 300 && page.status < 400:
			return nil, fmt.Errorf("a redirect must have status 303, so that no browser sends a password on; it has %d (FAPI 2.0 Security Profile §5.3.2.2)", page.status)
		default:
			return nil, fmt.Errorf("expected a page to sign in; the server showed an error page (status %d%s): %s",
				page.status, page.oauthError(), textOf(page.body, "main"))
		}
	}
	return nil, errors.New("the browser was sent around without an end")
}

// atServer tells whether an address is one of the issuer's host: only there does the person type a password.
func (d *demo) atServer(address *url.URL) bool {
	issuer, err := url.Parse(d.config.Issuer)
	return err == nil && address.Scheme == issuer.Scheme && address.Host == issuer.Host
}

// fill answers the page's form: it signs in, or allows.
func (d *demo) fill(ctx context.Context, page *url.URL, content []byte, signedIn *bool) (*http.Request, error) {
	forms, err := readForms(content)
	if err != nil {
		return nil, err
	}
	for _, f := range forms {
		press := ""
		switch {
		case f.inputs["username"] && f.inputs["password"] && f.buttons["sign-in"].name != "":
			if *signedIn {
				return nil, fmt.Errorf("the server refused the user name and the password: %s", textOf(content, "problem"))
			}
			*signedIn = true
			d.screen.say("The sign-in page: " + d.config.Username + " types the password and signs in.")
			f.values.Set("username", d.config.Username)
			f.values.Set("password", d.config.Password)
			press = "sign-in"
		case f.buttons["allow"].name != "":
			d.screen.say("The consent page: " + d.config.Username + " allows what the client asks for.")
			press = "allow"
		default:
			continue
		}
		f.values.Set(f.buttons[press].name, f.buttons[press].value)
		target, err := page.Parse(f.action)
		if err != nil {
			return nil, fmt.Errorf("the form's action: %w", err)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(f.values.Encode()))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", page.Scheme+"://"+page.Host)
		return request, nil
	}
	return nil, errors.New("the page must hold a form with a button sign-in or allow")
}
