package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// push sends the authorization request to the server's back door (RFC 9126).
func (d *demo) push(ctx context.Context, t transaction) (string, error) {
	d.screen.step("Pushed authorization request", "What is asked for goes to the server directly; the browser will carry only a reference.")
	answer, err := d.post(ctx, d.server.PushEndpoint, d.form(
		"response_type", "code", "client_id", d.config.ClientID, "redirect_uri", d.config.RedirectURI, "scope", d.config.Scope,
		"state", t.state, "nonce", t.nonce, "code_challenge", digest(t.verifier), "code_challenge_method", "S256"))
	if err != nil {
		return "", err
	}
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if err := answer.into(http.StatusCreated, &pushed); err != nil {
		return "", err
	}
	d.screen.value("answer", answer.all())
	return pushed.RequestURI, nil
}

// authorize sends the person to the server and waits for what the browser brings back.
func (d *demo) authorize(ctx context.Context, t transaction, requestURI string) (code string, err error) {
	d.screen.step("Browser", "The person signs in and decides, at the server and out of the client's sight.")
	address := d.server.AuthorizationEndpoint + "?" + d.form("client_id", d.config.ClientID, "request_uri", requestURI).Encode()
	d.screen.request("GET", address, nil)
	var back url.Values
	if d.config.Auto {
		back, err = d.play(ctx, address)
	} else {
		back, err = d.wait(ctx, address)
	}
	if err != nil {
		return "", err
	}
	shown := map[string]string{}
	for name := range back {
		shown[name] = back.Get(name)
	}
	d.screen.request("GET", d.config.RedirectURI, shown)
	switch {
	case back.Get("state") != t.state:
		return "", errors.New("state is not the one that was sent: the answer belongs to another request")
	case back.Get("iss") != d.config.Issuer:
		return "", fmt.Errorf("iss must be %s, it is %q: the answer is another server's (RFC 9207)", d.config.Issuer, back.Get("iss"))
	case back.Has("error"):
		return "", fmt.Errorf("the server answered %s: %s", back.Get("error"), back.Get("error_description"))
	case back.Get("code") == "":
		return "", errors.New("the answer holds no code")
	}
	d.screen.say("state is ours, and iss names the server that we asked (RFC 9207): no mix-up.")
	return back.Get("code"), nil
}

// wait opens the person's browser and listens at the redirect URI.
func (d *demo) wait(ctx context.Context, address string) (url.Values, error) {
	redirect, err := url.Parse(d.config.RedirectURI)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", redirect.Port()))
	if err != nil {
		return nil, fmt.Errorf("the address of the callback is taken; is another demo running? %w", err)
	}
	came := make(chan url.Values, 1)
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{d.config.Callback}, MinVersion: tls.VersionTLS12},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != redirect.Path {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
			fmt.Fprint(w, "<!DOCTYPE html><html lang=en><title>Done</title><h1>Done</h1><p>Go back to the terminal. You can close this page.")
			select {
			case came <- r.URL.Query():
			default: // the page was loaded again
			}
		}),
	}
	go func() {
		// It ends with ErrServerClosed below; any other end shows as nobody coming.
		_ = server.ServeTLS(listener, "", "")
	}()
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(last) // the page is out by then, or not wanted
	}()
	d.screen.say("Waiting for your browser. If none opened, open the address above yourself.")
	if d.config.Open != nil {
		_ = d.config.Open(address) // the address is on the screen
	}
	select {
	case back := <-came:
		return back, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(waitForPerson):
		return nil, fmt.Errorf("nobody came back within %s", waitForPerson)
	}
}

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
	for range 12 { // two pages and their redirects need six
		response, err := browser.Do(request)
		if err != nil {
			return nil, err
		}
		page, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		response.Body.Close()
		if err != nil {
			return nil, err
		}
		if location, err := response.Location(); err == nil {
			if back, ok := strings.CutPrefix(location.String(), d.config.RedirectURI+"?"); ok {
				return url.ParseQuery(back)
			}
			if request, err = http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil); err != nil {
				return nil, err
			}
			continue
		}
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the server showed an error page (status %d)", response.StatusCode)
		}
		if request, err = d.fill(ctx, request.URL, string(page)); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the browser was sent around without an end")
}

// fill answers the page's form: it signs in, or allows.
func (d *demo) fill(ctx context.Context, page *url.URL, content string) (*http.Request, error) {
	document, err := html.Parse(strings.NewReader(content))
	if err != nil {
		return nil, err
	}
	inputs, buttons := controls(document)
	form := url.Values{}
	for name, value := range inputs {
		form.Set(name, value)
	}
	switch {
	case buttons["sign-in"] != "":
		d.screen.say("The sign-in page: " + d.config.Username + " signs in.")
		form.Set("username", d.config.Username)
		form.Set("password", d.config.Password)
		form.Set("action", buttons["sign-in"])
		if inputs["username"] == d.config.Username {
			return nil, errors.New("the server refused the user name and the password")
		}
	case buttons["allow"] != "":
		d.screen.say("The consent page: " + d.config.Username + " allows what the client asks for.")
		form.Set("action", buttons["allow"])
	default:
		return nil, errors.New("the page has neither a button sign-in nor a button allow")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, page.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request, nil
}

// controls finds the inputs of a page by name and its buttons by id, with their values.
func controls(node *html.Node) (inputs, buttons map[string]string) {
	inputs, buttons = map[string]string{}, map[string]string{}
	for n := range node.Descendants() {
		attributes := map[string]string{}
		for _, a := range n.Attr {
			attributes[a.Key] = a.Val
		}
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "input" && attributes["name"] != "":
			inputs[attributes["name"]] = attributes["value"]
		case n.Data == "button" && attributes["id"] != "":
			buttons[attributes["id"]] = attributes["value"]
		}
	}
	return inputs, buttons
}
