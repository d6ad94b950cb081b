package relyingparty

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"

	"countersign/rp"
	"countersign/rp/client"
)

// application is a web application on package rp, at the site of a plan.
type application struct {
	*rp.App
	site *site
	// pinged are the ends of backchannel requests: nil for a ping that was verified, else why it was refused.
	pinged chan error

	mu sync.Mutex
	// idToken is the one of the last login.
	idToken string
}

// start makes the application of a job, and has it answer at its site until the function that is returned is called.
func (d driver) start(ctx context.Context, j job) (*application, func(), error) {
	a := &application{site: j.site, pinged: make(chan error, 1)}
	config := d.config(j)
	config.Issuer, config.ClientID, config.RedirectURI = "", "", ""
	var err error
	a.App, err = rp.New(ctx, rp.Config{
		Issuer: j.exposed["issuer"], BaseURL: j.site.base, ClientID: j.who.id, Client: config, AfterLogout: signedOut,
		Hooks: rp.Hooks{AfterCallback: a.keep, OnPing: a.onPing, OnError: a.onError},
	})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(prefix+"/", a.Handler(prefix))
	mux.HandleFunc(signedOut, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "signed out") })
	mux.Handle("/", a.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, ok := rp.FromContext(r.Context()); ok {
			_, _ = io.WriteString(w, welcome+s.Subject())
		}
	})))
	j.site.serve(mux)
	return a, func() { j.site.serve(nil) }, nil
}

const (
	// signedOut is the page to which a logout leads, and welcome how the page begins that only who is signed in sees.
	signedOut = "/signed-out"
	welcome   = "signed in: "
)

func (a *application) keep(_ context.Context, login *rp.Login) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.idToken = login.Tokens.IDToken
	return nil
}

func (a *application) onPing(context.Context, *client.BackchannelRequest) error {
	a.end(nil)
	return nil
}

// onError ends what waits for a ping if one did not bear the request's token. One of an earlier module's request does not count.
func (a *application) onError(_ context.Context, refused *rp.Error) {
	if check, ok := errors.AsType[*client.CheckError](refused); ok && check.What == "ping" {
		a.end(refused)
	}
}

func (a *application) end(err error) {
	select {
	case a.pinged <- err:
	default: // it was told already
	}
}

// await returns when a ping came: nil for one that bears the right token, and else why it was refused.
func (a *application) await(ctx context.Context, atMost time.Duration) error {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case err := <-a.pinged:
		return err
	case <-timer.C:
		return fmt.Errorf("no ping came within %s", atMost.Round(time.Second))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// user is a user's browser, with cookies, that trusts the suite and the site.
func (d driver) user(at *site) (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	transport := trusting(d.roots)
	roots := d.roots.Clone()
	roots.AddCert(at.certificate)
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &http.Client{Jar: jar, Transport: transport}, nil // the context bounds it
}

// page is what a browser came to.
type page struct {
	address *url.URL
	status  int
	body    string
}

// open has a user's browser open an address and follow where it leads. A form is posted from a page of the application's.
func (a *application) open(ctx context.Context, user *http.Client, method, address string) (page, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return page{}, err
	}
	request.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		request.Header.Set("Origin", a.site.base)
	}
	response, err := user.Do(request)
	if err != nil {
		return page{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err != nil {
		return page{}, err
	}
	return page{response.Request.URL, response.StatusCode, string(body)}, nil
}

// signedIn reports whether the user's session is alive: a program's request is not sent to a login.
func (a *application) signedIn(ctx context.Context, user *http.Client) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.site.base+"/", nil)
	if err != nil {
		return false, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := user.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err != nil {
		return false, err
	}
	return response.StatusCode == http.StatusOK && strings.HasPrefix(string(body), welcome), nil
}

// logout signs a user in, and ends the session: by the application, or at the provider, which tells the application by a logout token.
func (d driver) logout(ctx context.Context, j job) error {
	a, stop, err := d.start(ctx, j)
	if err != nil {
		return err
	}
	defer stop()
	user, err := d.user(j.site)
	if err != nil {
		return err
	}
	defer user.CloseIdleConnections()
	in, err := a.open(ctx, user, http.MethodGet, a.site.base+"/")
	if err != nil {
		return err
	}
	if in.status != http.StatusOK || !strings.HasPrefix(in.body, welcome) {
		return fmt.Errorf("the login ended with %d at %s: %.300s", in.status, in.address.Path, in.body)
	}
	if j.plan.suitePlan == oidcBackLogout {
		return a.byProvider(ctx, user, rightToken(j.module))
	}
	return a.byApplication(ctx, user, j.module)
}

// byApplication has the application end the session (OpenID Connect RP-Initiated Logout 1.0). Where the provider brings back another state than was sent,
// or none, the user sees an error page, signed out all the same.
func (a *application) byApplication(ctx context.Context, user *http.Client, module string) error {
	out, err := a.open(ctx, user, http.MethodPost, a.site.base+prefix+"/logout")
	if err != nil {
		return err
	}
	path, status := signedOut, http.StatusOK
	if strings.HasSuffix(module, "-state") {
		path, status = prefix+"/logged-out", http.StatusBadRequest
	}
	if out.address.Host != strings.TrimPrefix(a.site.base, "https://") || out.address.Path != path || out.status != status {
		return fmt.Errorf("the logout ended with %d at %s, and not with %d at %s", out.status, out.address, status, path)
	}
	return a.isSignedIn(ctx, user, false)
}

// byProvider ends the session at the provider, as another application would have the user do. A right logout token ends the application's session, any other
// leaves it.
func (a *application) byProvider(ctx context.Context, user *http.Client, ends bool) error {
	a.mu.Lock()
	hint := a.idToken
	a.mu.Unlock()
	address, err := a.Client().LogoutURL(client.LogoutOptions{IDTokenHint: hint, PostLogoutRedirectURI: a.site.base + prefix + "/logged-out"})
	if err != nil {
		return err
	}
	if _, err := a.open(ctx, user, http.MethodGet, address); err != nil {
		return err
	}
	return a.isSignedIn(ctx, user, !ends)
}

// isSignedIn demands that the user is signed in, or is not.
func (a *application) isSignedIn(ctx context.Context, user *http.Client, want bool) error {
	is, err := a.signedIn(ctx, user)
	if err != nil {
		return err
	}
	if is != want {
		return fmt.Errorf("after the logout: the user is signed in: %t, and that should be %t", is, want)
	}
	return nil
}

// rightToken reports whether a module sends a right logout token: what follows in the names of others is what is wrong.
func rightToken(module string) bool { return strings.HasSuffix(module, "-rpinitlogout") }
